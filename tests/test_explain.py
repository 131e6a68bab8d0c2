"""Attention of an answer's words on the image: what eager attention gives, and its words."""

import copy
import json

import pytest
import torch
from conftest import make_image, make_tiny

from hired import explain
from hired.cli import main
from hired.clip import read_tower
from hired.comparison.explain import SINK, Explanation, Word, split_words
from hired.comparison.gaze import attention_rows
from hired.comparison.preview import Preview
from hired.comparison.run import _device
from hired.errors import InputError
from hired.generate import as_encoder_outputs
from hired.inputs import prepare
from hired.pack import Packed, pack
from hired.selectors import build, candidate_mask
from hired.tiles import TileGrid
from hired.web.examples import read_examples
from hired.wrapper import look

SHOWN = {one.key: one for one in read_examples()}
ANSWER = [9, 14, 21, 7, 30]


@pytest.fixture(scope="module")
def shapes():
    """The embedded model and its processor."""
    from hired.models.load import load

    return load("shapes", device="cpu")


def pack_stock(model, processor, size: tuple[int, int] = (90, 150)) -> Packed:
    inputs = prepare(processor, read_tower(model).fit, make_image(*size), "what is it ?")
    seen = look(read_tower(model), inputs.pixel_values, inputs.image_sizes, build("full"))
    return pack(model, inputs.input_ids, inputs.attention_mask, *zip(*seen, strict=True))


def eager_rows(model, packed: Packed, answer: list[int]) -> torch.Tensor:
    """(A, L) by `output_attentions=True`, over the prompt."""
    slow = copy.deepcopy(model)
    slow.set_attn_implementation("eager")
    prompt = packed.input_ids.shape[1]
    ids = torch.cat([packed.input_ids, torch.tensor([answer])], dim=1)
    with torch.inference_mode():
        output = slow(
            input_ids=ids,
            mm_encoder_outputs=as_encoder_outputs(packed.features),
            output_attentions=True,
        )
    rows = torch.stack(output.attentions).float().mean((0, 2))[0]
    return rows[prompt - 1 : -1, :prompt]


@pytest.mark.parametrize("text", ["llama", "mistral", "qwen2"])
@pytest.mark.parametrize("kind", ["llava_next", "llava"])
def test_rows_equal_eager_attention(kind, text):
    model, processor = make_tiny(kind, text)
    packed = pack_stock(model, processor)
    places = torch.arange(packed.input_ids.shape[1])
    before = {name: value.clone() for name, value in model.state_dict().items()}

    rows = attention_rows(model, packed, ANSWER, places)

    assert model.config._attn_implementation == "sdpa"
    assert not any(module._forward_hooks for module in model.modules())
    assert all((before[name] == value).all() for name, value in model.state_dict().items())
    assert (rows - eager_rows(model, packed, ANSWER)).abs().max() < 1e-5
    assert rows[0].sum() == pytest.approx(1, abs=1e-5)


def test_rows_see_no_further_than_a_sliding_window():
    model, processor = make_tiny("llava_next", "mistral")
    model = copy.deepcopy(model)
    model.config.text_config.sliding_window = 40
    packed = pack_stock(model, processor)
    places = torch.arange(packed.input_ids.shape[1])

    rows = attention_rows(model, packed, ANSWER, places)

    assert (rows - eager_rows(model, packed, ANSWER)).abs().max() < 1e-5
    assert not rows[:, : len(places) - 40].any()


def test_rows_in_half_precision_are_near_those_of_float32():
    model, processor = make_tiny()
    packed = pack_stock(model, processor)
    places = torch.arange(packed.input_ids.shape[1])
    half = copy.deepcopy(model).bfloat16()
    low = Packed(packed.input_ids, packed.attention_mask, [f.bfloat16() for f in packed.features])

    rows = attention_rows(half, low, ANSWER, places)

    assert rows.dtype == torch.float32
    assert (rows - attention_rows(model, packed, ANSWER, places)).abs().max() < 0.05


def test_rows_need_an_answer():
    model, processor = make_tiny()
    with pytest.raises(InputError, match="no tokens"):
        attention_rows(model, pack_stock(model, processor), [], torch.arange(3))


def test_everything_kept_covers_everything():
    model, processor = make_tiny()
    image, methods = make_image(90, 150), ["full", "hired:budget=5"]
    found = explain(model, processor, image, "what is it ?", methods, max_new_tokens=3)
    assert found.coverage("full") == pytest.approx(1)
    assert 0 < found.coverage("hired:budget=5") < 0.5
    assert found.kept["hired:budget=5"].sum() == 5
    for word in found.words:
        assert word.weights.sum() == pytest.approx(1, abs=1e-5)
        assert 0 < word.on_image < 1


def test_words_are_explained_apart_and_as_plain_data():
    weights = torch.zeros(2, 1, 4)
    weights[0, 0] = torch.tensor([0.7, 0.3, 0.0, 0.0])
    weights[1, 0] = torch.tensor([0.7, 0.0, 0.3, 0.0])
    words = tuple(Word(text, one, 0.5) for text, one in zip(("red", "6"), weights, strict=True))
    keeps = torch.tensor([[False, True, False, False]])
    found = Explanation(
        "red 6.", TileGrid((28, 28), 0, 0, 28, 14), words, {"hired": keeps}, torch.ones(1, 4)
    )

    told = found.as_dict()

    assert [word["coverage"]["hired"] for word in told["words"]] == [0.3, 0.0]
    assert told["coverage"]["hired"] == 0.15
    assert words[0].coverage(keeps, without=torch.tensor([[True, False, False, False]])) == 1.0


def test_a_token_without_letters_belongs_to_no_word():
    _, processor = make_tiny()
    ids = processor.tokenizer.convert_tokens_to_ids(["red", "circle", "</s>"])
    assert split_words(processor.tokenizer, ids) == [("redcircle", [0, 1])]


def test_the_digit_of_a_right_answer_is_covered_and_of_a_broken_one_is_not(shapes):
    found = {
        name: explain(*shapes, one.image, one.question, ["hired", "random"])
        for name, one in SHOWN.items()
    }
    shares = {
        name: {method: one.words[-1].coverage(mask) for method, mask in one.kept.items()}
        for name, one in found.items()
    }
    for name, one in found.items():
        assert SHOWN[name].answer.endswith(f" {one.words[-1].text}.")
    assert shares["sparse"]["hired"] > 0.5 > shares["sparse"]["random"]
    assert shares["dense"]["hired"] < shares["sparse"]["hired"]


def test_the_command_prints_words_with_their_coverage(capsys):
    image, question = SHOWN["sparse"].image, SHOWN["sparse"].question
    lanes = ["--lane", "hired", "--lane", "random:budget=40%"]

    assert main(["explain", image, question, *lanes, "--device", "cpu"]) == 0
    table = capsys.readouterr().out
    assert main(["explain", image, question, *lanes, "--device", "cpu", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)

    assert told["answer"] == SHOWN["sparse"].answer
    last = told["words"][-1]
    assert last["coverage"].keys() == {"hired", "random:budget=40%"}
    shares = [round(100 * share) for share in (last["on_image"], last["coverage"]["hired"])]
    assert f"| {last['word']} | {shares[0]} | {shares[1]} | " in table
    assert told["seconds"] > 0


def test_the_words_of_another_method_looked_only_at_what_it_keeps():
    model, processor = make_tiny()
    image, lane = make_image(90, 150), "hired:budget=9,newline=rows"
    found = explain(model, processor, image, "what is it ?", [lane], reader=lane, max_new_tokens=3)
    assert found.coverage(lane) == pytest.approx(1)
    assert all((word.weights > 0).sum() == 9 for word in found.words)


def test_sinks_and_outliers_are_marked_counted_and_left_out():
    grid = TileGrid((280, 280), 0, 0, 280, 14)
    weights = torch.full((2, 1, 400), 0.5 / 396)
    weights[:, 0, 0] = 0.3  # whatever is written
    weights[0, 0, 1] = weights[1, 0, 2] = 0.2
    weights[0, 0, 2] = weights[1, 0, 1] = weights[:, 0, 3] = 0.0
    cls = torch.ones(1, 400)
    cls[0, :4] = torch.tensor([50.0, 1.0, 50.0, 50.0])
    keeps = torch.zeros(1, 400, dtype=torch.bool)
    keeps[0, [0, 3]] = True
    words = tuple(Word(text, one, 0.5) for text, one in zip("ab", weights, strict=True))
    found = Explanation("a b", grid, words, {"hired": keeps}, cls)

    assert found.sinks.nonzero().tolist() == [[0, 0]]
    assert found.outliers.nonzero().tolist() == [[0, 3]]  # the other two were looked at
    told = found.as_dict()
    assert (told["sinks"], told["outliers"]) == ({"all": 1, "hired": 1}, {"all": 1, "hired": 1})
    assert told["coverage"] == {"hired": 0.3}
    assert told["coverage_without_sinks"] == {"hired": 0.0}


def test_outliers_are_measured_against_what_there_is_of_their_tile():
    grid = TileGrid.fit((40, 600), [[280, 280], [280, 560], [280, 840]], 280, 14)
    there = candidate_mask(grid)
    assert (there.sum(1) < grid.patches).any()
    cls = torch.where(there, 1.0, 0.0)
    words = (Word("a", torch.full_like(cls, 0.5 / grid.candidates), 0.5),)
    assert not Explanation("a", grid, words, {}, cls).outliers.any(), "each is as all others"
    tile, patch = there.nonzero()[-1].tolist()
    cls[tile, patch] = 1.2 * SINK * there[tile].sum()
    looked = torch.full_like(cls, 0.5 / grid.candidates)
    looked[tile, patch] = 0.0
    found = Explanation("a", grid, (Word("a", looked, 0.5),), {}, cls).outliers
    assert found.nonzero().tolist() == [[tile, patch]]


def test_nothing_looks_while_the_device_is_held(tiny):
    """A look may wait for the device itself: on MPS for as long as it takes."""
    model, processor = tiny
    held = []

    class Forgetful(Preview):
        def look(self, image, *received):
            taken = _device.acquire(blocking=False)
            held.append(not taken)
            if taken:
                _device.release()
            return self.encode(image, *received)

    explain(model, processor, make_image(90, 150), "what is it ?", ("hired",), max_new_tokens=3,
            eye=Forgetful(model, processor))  # fmt: skip
    assert held and not any(held)
