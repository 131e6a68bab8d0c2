"""Kept tokens at the positions of the stock sequence: equal to a stock run blind to the rest."""

from dataclasses import replace

import pytest
import torch
from conftest import make_image, make_tiny, prompt
from transformers import GenerationConfig

from hired import HiredModel, Lane, compare
from hired.clip import read_tower
from hired.comparison.explain import explain
from hired.comparison.preview import Preview
from hired.errors import SettingError
from hired.generate import as_encoder_outputs
from hired.pack import pack, project, stock_places
from hired.selectors import SELECTORS, build
from hired.serving.settings import make_selector
from hired.wrapper import look

SIZES = [(90, 150), (120, 90)]
ORIGINAL = build("hired", budget=0.3, positions="original")


def ask(processor, sizes, images: int = 1):
    """Inputs of one prompt per group of `images` sizes, padded left where there are several."""
    pictures = [make_image(*size, seed=seed) for seed, size in enumerate(sizes)]
    questions = ["what is in the picture ?", "how many ?"]
    texts = [prompt(questions[i % 2], images) for i in range(len(sizes) // images)]
    return processor(images=pictures, text=texts, return_tensors="pt", padding=True)


def blind_logits(model, inputs, selection) -> torch.Tensor:
    """Last logits of the stock sequence with dropped tokens masked out."""
    ids = inputs["input_ids"]
    mask = torch.ones_like(ids)
    visual = (ids[0] == model.config.image_token_id).nonzero()[:, 0]
    dropped = torch.ones(len(visual), dtype=torch.bool)
    dropped[stock_places(selection)] = False
    mask[0, visual[dropped]] = 0
    seen = look(read_tower(model), inputs["pixel_values"], inputs.get("image_sizes"), build("full"))
    features = project(model, *zip(*seen, strict=True))
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=torch.arange(ids.shape[1])[None],
        mm_encoder_outputs=as_encoder_outputs(features),
        logits_to_keep=1,
    )
    return output.logits[0, -1]


@pytest.mark.parametrize("newline", ["none", "rows"])
@pytest.mark.parametrize("kind", ["llava_next", "llava"])
@pytest.mark.parametrize("text", ["llama", "mistral", "qwen2"])
def test_logits_are_those_of_the_stock_sequence_blind_to_what_is_dropped(kind, text, newline):
    model, processor = make_tiny(kind, text)
    inputs = ask(processor, SIZES[:1])
    selector = build("hired", budget=0.3, positions="original", newline=newline)
    sizes = inputs.get("image_sizes")
    ((_, selection),) = look(read_tower(model), inputs["pixel_values"], sizes, selector)
    with torch.inference_mode():
        wanted = blind_logits(model, inputs, selection)
        found = HiredModel(model, selector).generate(
            **inputs, max_new_tokens=1, return_dict_in_generate=True, output_logits=True
        )
    assert (found.logits[0][0] - wanted).abs().max() < 1e-4


def test_packed_is_the_default_and_needs_no_positions(tiny):
    model, processor = tiny
    inputs = ask(processor, SIZES[:1])
    for selector in (build("hired"), build("hired", budget=1.0, positions="original")):
        seen = look(read_tower(model), inputs["pixel_values"], inputs["image_sizes"], selector)
        asked = inputs["input_ids"], inputs["attention_mask"]
        assert pack(model, *asked, *zip(*seen, strict=True)).position_ids is None


@pytest.mark.parametrize("name", [name for name in SELECTORS if build(name).budget != 1.0])
def test_every_method_keeps_places_and_the_text_after_them(tiny, name):
    model, processor = tiny
    inputs = ask(processor, SIZES[:1])
    selector = build(name, positions="original")
    seen = look(read_tower(model), inputs["pixel_values"], inputs["image_sizes"], selector)
    packed = pack(model, inputs["input_ids"], inputs["attention_mask"], *zip(*seen, strict=True))
    places = packed.position_ids[0]
    stock = torch.arange(inputs["input_ids"].shape[1])
    assert (places.diff() > 0).all() and places[0] == 0 and places[-1] == stock[-1]
    assert (inputs["input_ids"][0, places] == packed.input_ids[0]).all()


@pytest.mark.parametrize("between", ["", " and then "])
def test_several_images_stand_where_stock_has_them(tiny, between):
    model, processor = tiny
    pictures = [make_image(*size, seed=seed) for seed, size in enumerate([*SIZES, (60, 200)])]
    text = prompt().replace("<image>", between.join(["<image>"] * 3))
    inputs = processor(images=pictures, text=text, return_tensors="pt")
    seen = look(read_tower(model), inputs["pixel_values"], inputs["image_sizes"], ORIGINAL)
    packed = pack(model, inputs["input_ids"], inputs["attention_mask"], *zip(*seen, strict=True))
    stays = inputs["input_ids"][0] != model.config.image_token_id
    places = (~stays).nonzero()[:, 0].split([selection.stock for _, selection in seen])
    for mine, (_, selection) in zip(places, seen, strict=True):
        stays[mine[stock_places(selection)]] = True
    assert packed.position_ids.tolist() == stays.nonzero().T.tolist()


def test_positions_without_a_cache_are_refused(tiny):
    """Stock reads gaps between positions as borders between prompts where nothing is cached."""
    model, processor = tiny
    inputs = ask(processor, SIZES[:1])
    short = {"max_new_tokens": 4, "do_sample": False}
    uncached = {"use_cache": False, **short}
    for options in (uncached, {"generation_config": GenerationConfig(**uncached)}):
        with pytest.raises(SettingError, match=r"takes a KV cache.*use_cache=True"):
            HiredModel(model, ORIGINAL).generate(**inputs, **options)
        for selector in (build("hired", budget=0.3), replace(ORIGINAL, budget=1.0)):
            own = HiredModel(model, selector)
            assert torch.equal(own.generate(**inputs, **short), own.generate(**inputs, **options))


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}])
@pytest.mark.parametrize("images", [1, 2])
def test_batches_beams_and_several_images_answer_as_alone(tiny, images, options):
    model, processor = tiny
    sizes = SIZES * images
    together = ask(processor, sizes, images)
    lane = HiredModel(model, ORIGINAL)
    output = lane.generate(**together, max_new_tokens=4, do_sample=False, **options)
    for row in range(2):
        alone = {
            key: together[key][row * images : (row + 1) * images]
            for key in ("pixel_values", "image_sizes")
        }
        real = together["attention_mask"][row].bool()
        ids = together["input_ids"][row : row + 1, real]
        single = lane.generate(ids, torch.ones_like(ids), **alone, max_new_tokens=4,
                               do_sample=False, **options)  # fmt: skip
        assert (output[row, -4:] == single[0, -4:]).all()


def test_lanes_and_explanations_read_original_positions_too(tiny):
    model, processor = tiny
    image, question = make_image(90, 150), "what is it ?"
    answers = {}
    for positions in ("packed", "original"):
        lane = Lane("a", build("hired", budget=0.3, positions=positions))
        *_, last = compare(model, processor, image, question, [lane], max_new_tokens=6)
        own = explain(model, processor, image, question, (), reader=lane.selector, max_new_tokens=6)
        assert last.phase == "done" and own.answer == last.text.strip()
        answers[positions] = own.words[0].weights
    assert not torch.equal(answers["packed"], answers["original"])


def test_a_server_of_vllm_refuses_original_positions():
    assert make_selector({"positions": "packed"}).positions == "packed"
    with pytest.raises(SettingError, match="vLLM counts the positions"):
        make_selector({"positions": "original"})


def test_posters_answered_at_once_are_answered_as_alone_at_original_positions():
    from hired.models.load import load
    from hired.shapes.evaluate import answer_all
    from hired.shapes.pictures import ask_about, render

    model, processor = load("shapes", device="cpu")
    eye, asked = Preview(model, processor), [ask_about("sparse", i)[1][:3] for i in range(2)]
    images = [render(ask_about("sparse", i)[0]) for i in range(2)]
    seen = [(eye.look(image), eye.select(image, ORIGINAL)) for image in images]

    together = answer_all(model, processor, seen, asked)

    for image, questions, replies in zip(images, asked, together, strict=True):
        for question, reply in zip(questions, replies, strict=True):
            alone = explain(model, processor, image, question.text, (), reader=ORIGINAL, eye=eye)
            assert reply == alone.answer
