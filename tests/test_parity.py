"""Keeping everything is the stock model, to the bit; and what the drop-in must do like it."""

import pytest
import torch
from conftest import make_image, make_tiny, prompt
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

from hired.clip import read_tower
from hired.generate import CACHE, as_encoder_outputs
from hired.models.load import load
from hired.pack import pack
from hired.selectors import build, fitting
from hired.wrapper import HiredModel, look

# (height, width): 1x2, 2x1, 2x2, 1x3, 3x1 grids, square and letterboxed
SIZES = [(84, 168), (168, 84), (168, 168), (84, 252), (252, 84), (120, 168), (168, 97), (40, 200)]


def process(processor, sizes, texts=None):
    images = [make_image(*size, seed=index) for index, size in enumerate(sizes)]
    return processor(
        images=images, text=texts or [prompt()] * len(sizes), return_tensors="pt", padding=True
    )


def logits(model, inputs, selector):
    seen = look(read_tower(model), inputs["pixel_values"], inputs.get("image_sizes"), selector)
    packed = pack(model, inputs["input_ids"], inputs["attention_mask"], *zip(*seen, strict=True))
    return model(
        input_ids=packed.input_ids,
        attention_mask=packed.attention_mask,
        mm_encoder_outputs=as_encoder_outputs(packed.features),
    ).logits


@pytest.mark.parametrize(
    "selector", [build("full"), build("hired", budget=1.0)], ids=lambda s: s.name
)
@pytest.mark.parametrize("size", SIZES, ids=str)
@torch.inference_mode()
def test_logits_are_the_stock_models(tiny, size, selector):
    model, processor = tiny
    inputs = process(processor, [size])
    assert torch.equal(logits(model, inputs, selector), model(**inputs).logits)


@torch.inference_mode()
def test_logits_of_a_mixed_batch_are_the_stock_models(tiny):
    model, processor = tiny
    inputs = process(processor, [SIZES[2], SIZES[3], SIZES[5], SIZES[7]])
    assert torch.equal(logits(model, inputs, build("full")), model(**inputs).logits)


@torch.inference_mode()
def test_logits_with_several_images_in_one_prompt(tiny):
    model, processor = tiny
    inputs = process(processor, [SIZES[2], SIZES[6], SIZES[4]], [prompt(images=2), prompt()])
    assert torch.equal(logits(model, inputs, build("full")), model(**inputs).logits)


@torch.inference_mode()
def test_logits_of_llava_15(tiny_15):
    model, processor = tiny_15
    inputs = process(processor, [SIZES[2], SIZES[3]])
    assert torch.equal(logits(model, inputs, build("full")), model(**inputs).logits)


@pytest.mark.parametrize("layer", [-1, -2, 2, [-2, -1], [1, 3]], ids=str)
@torch.inference_mode()
def test_any_feature_layer(layer):
    model, processor = make_tiny(layer=layer if isinstance(layer, int) else tuple(layer))
    inputs = process(processor, [SIZES[5]])
    assert torch.equal(logits(model, inputs, build("full")), model(**inputs).logits)


@pytest.mark.parametrize("images", [1, 2])
@torch.inference_mode()
def test_logits_in_half_precision_are_the_stock_models(images):
    """Some CPUs round a product by how its rows lie in memory."""
    model, processor = load("shapes", device="cpu", dtype="bfloat16")
    inputs = process(processor, [(336, 336), (336, 168)][:images], ["<image>What is it?"] * images)
    inputs["pixel_values"] = inputs["pixel_values"].to(torch.bfloat16)
    assert torch.equal(logits(model, inputs, build("full")), model(**inputs).logits)


@pytest.mark.parametrize("text", ["llama", "mistral", "qwen2"])
def test_greedy_text_is_the_stock_models(text):
    model, processor = make_tiny(text=text)
    inputs = process(processor, SIZES[:4])
    stock = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    ours = HiredModel(model, build("full")).generate(**inputs, max_new_tokens=12, do_sample=False)
    assert torch.equal(stock, ours)


KINDS = {
    "greedy": {"do_sample": False},
    "beams": {"num_beams": 3, "do_sample": False, "num_return_sequences": 2},
    "sampling": {"do_sample": True, "temperature": 0.9},
}


@pytest.mark.parametrize("kind", KINDS)
def test_generate_kwargs_reach_the_model(tiny, kind):
    model, processor = tiny
    inputs = process(processor, [SIZES[2], SIZES[3]])
    results = []
    for run in (model, HiredModel(model, build("full"))):
        torch.manual_seed(7)
        results.append(run.generate(**inputs, max_new_tokens=6, **KINDS[kind]))
    assert torch.equal(*results)


def test_dropping_returns_the_callers_prompt(tiny):
    model, processor = tiny
    inputs = process(
        processor, [SIZES[2], SIZES[3]], [prompt("what ?"), prompt("how many of it ?")]
    )
    length = inputs["input_ids"].shape[1]
    wrapped = HiredModel(model, build("hired", budget=0.2))
    plain = wrapped.generate(**inputs, max_new_tokens=5)
    assert torch.equal(plain[:, :length], inputs["input_ids"])
    assert plain.shape[1] == length + 5
    for total in (
        {"max_length": length + 5},
        {"generation_config": GenerationConfig(max_length=length + 5)},
    ):
        assert torch.equal(plain, wrapped.generate(**inputs, **total))
    assert total["generation_config"].max_length == length + 5, "the caller's own is left alone"
    full = wrapped.generate(**inputs, max_new_tokens=5, return_dict_in_generate=True)
    assert torch.equal(full.sequences, plain)
    assert full[CACHE].get_seq_length() < length
    beams = wrapped.generate(**inputs, max_new_tokens=5, num_beams=2, num_return_sequences=2)
    assert torch.equal(beams[:, :length], inputs["input_ids"].repeat_interleave(2, dim=0))


@pytest.mark.parametrize("name", ["full", "hired", "visionzip"])
def test_batches_answer_like_their_prompts_alone(tiny, name):
    """Mixed grids and prompts of different lengths, padded on the left; 1, 2, 4 and 8 at once."""
    model, processor = tiny
    questions = ("what ?", "how many of it ?", "what is in the picture ?", "red ?")
    texts = [prompt(" ".join(questions[: 1 + index % 4])) for index in range(len(SIZES))]
    images = [make_image(*size, seed=index) for index, size in enumerate(SIZES)]
    wrapped = HiredModel(model, build(name, **fitting(name, {"budget": 0.3})))

    def answers(first, count):
        some = slice(first, first + count)
        inputs = processor(images=images[some], text=texts[some], return_tensors="pt", padding=True)
        return wrapped.generate(**inputs, max_new_tokens=6, do_sample=False)[:, -6:]

    alone = torch.cat([answers(index, 1) for index in range(len(SIZES))])
    for batch in (2, 4, 8):
        together = [answers(first, batch) for first in range(0, len(SIZES), batch)]
        assert torch.equal(torch.cat(together), alone), batch


def test_prompts_without_image_and_in_between(tiny):
    model, processor = tiny
    wrapped = HiredModel(model, build("hired", budget=0.2))
    text = processor(text="USER: what is it ? ASSISTANT:", return_tensors="pt")
    assert torch.equal(
        wrapped.generate(**text, max_new_tokens=4), model.generate(**text, max_new_tokens=4)
    )
    mixed = processor(
        images=[make_image(*SIZES[2])],
        text=["USER: what is it ? ASSISTANT:", prompt()],
        return_tensors="pt",
        padding=True,
    )
    answers = wrapped.generate(**mixed, max_new_tokens=4)
    assert torch.equal(answers[0, -4:], wrapped.generate(**text, max_new_tokens=4)[0, -4:])


@pytest.mark.parametrize("in_config", [False, True])
def test_the_shortest_length_counts_the_callers_prompt(in_config):
    model, processor = make_tiny.__wrapped__()
    inputs = process(processor, [SIZES[2]])
    wrapped, length = HiredModel(model, build("hired", budget=0.2)), inputs["input_ids"].shape[1]
    first = int(wrapped.generate(**inputs, max_new_tokens=1)[0, -1])
    model.generation_config.eos_token_id = first  # ends at once, where it may
    lengths = {"min_length": length + 3, "max_length": length + 6}
    given = {"generation_config": GenerationConfig(**lengths)} if in_config else lengths
    assert wrapped.generate(**inputs, max_length=length + 6).shape[1] == length + 1
    answer = wrapped.generate(**inputs, **given)[0, length:].tolist()
    assert 3 <= len(answer) <= 6 and first not in answer[:3]


class Collect(BaseStreamer):
    def __init__(self):
        self.tokens = []

    def put(self, value):
        self.tokens.append(value.reshape(-1).tolist())

    def end(self):
        self.tokens.append("end")


def test_streamers_work(tiny):
    model, processor = tiny
    inputs = process(processor, [SIZES[2]])
    streamer = Collect()
    wrapped = HiredModel(model, build("hired", budget=0.2))
    output = wrapped.generate(**inputs, max_new_tokens=5, streamer=streamer)
    assert streamer.tokens[-1] == "end"
    assert [token for (token,) in streamer.tokens[1:-1]] == output[0, -5:].tolist()
