"""NaN and infinity out of the model end a lane with a sentence; no token is made of them."""

import copy

import pytest
import torch
from conftest import make_image, make_tiny, prompt

from hired.comparison.lane import Lane
from hired.comparison.run import compare
from hired.errors import InputError, NotFinite
from hired.selectors import SELECTORS, build, fitting
from hired.wrapper import HiredModel, select

IMAGE = make_image(160, 168)
NAN, INF = float("nan"), float("inf")


def tower(model):
    return model.model.vision_tower.encoder.layers


# Where it comes up -> what is broken, and the words that name the place.
PLACES = {
    "patch embedding": (
        lambda model: model.model.vision_tower.embeddings.position_embedding.weight,
        "The patch embedding",
    ),
    "first block": (lambda model: tower(model)[0].mlp.fc2.bias, "Layer 0 of the vision tower"),
    "second block": (lambda model: tower(model)[1].mlp.fc2.bias, "Layer 1 of the vision tower"),
    "last block": (lambda model: tower(model)[2].mlp.fc2.bias, "Layer 2 of the vision tower"),
    "projector": (
        lambda model: model.model.multi_modal_projector.linear_2.bias,
        "The projector behind the vision tower",
    ),
    "language model": (
        lambda model: model.model.language_model.layers[0].mlp.down_proj.weight,
        "Layer 0 of the language model",
    ),
    "head": (lambda model: model.lm_head.weight, "The head of the language model"),
}


def broken(place: str, value: float):
    model, processor = copy.deepcopy(make_tiny())
    with torch.no_grad():
        PLACES[place][0](model).view(-1)[:70] = value
    return model, processor


def some(method: str):
    return build(method, **fitting(method, {"budget": 0.3}))


def inputs_of(processor):
    return processor(images=IMAGE, text=prompt(), return_tensors="pt")


@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("method", ["full", "hired"])
def test_a_lane_ends_with_a_sentence_that_names_the_layer(method, place, value):
    model, processor = broken(place, value)
    lanes = [Lane("a", some(method))]
    *_, last = compare(model, processor, IMAGE, "what ?", lanes, max_new_tokens=4, warm_up=False)
    assert last.phase == "failed" and last.new_tokens == 0
    assert last.error.startswith(f"{PLACES[place][1]} gives NaN or infinity in float32."), last
    assert "Load the model in bfloat16 or float32" in last.error


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("method", SELECTORS)
def test_generate_raises_for_every_method(method, place):
    model, processor = broken(place, NAN)
    with pytest.raises(NotFinite, match=PLACES[place][1]):
        HiredModel(model, some(method)).generate(**inputs_of(processor), max_new_tokens=4)


@pytest.mark.parametrize("options", [{"do_sample": True}, {"num_beams": 2}, {"use_cache": False}])
def test_generate_raises_however_it_decodes(options):
    model, processor = broken("head", NAN)
    with pytest.raises(NotFinite, match="The head of the language model"):
        HiredModel(model, build("hired")).generate(
            **inputs_of(processor), max_new_tokens=4, **options
        )


def test_a_selection_is_not_made_of_nan():
    model, processor = broken("first block", NAN)
    inputs = inputs_of(processor)
    with pytest.raises(NotFinite, match="Layer 0 of the vision tower"):
        select(model, inputs["pixel_values"], inputs["image_sizes"], build("hired"))


def test_attention_that_overflows_alone_is_named(tiny):
    """As in float16, where query times key may pass 65504 while the block itself is fine."""
    model, processor = copy.deepcopy(tiny)
    with torch.no_grad():
        for part in ("q_proj", "k_proj"):
            getattr(tower(model)[2].self_attn, part).weight.mul_(1e25)
    lanes = [Lane("a", build("hired", budget=0.3))]
    *_, last = compare(model, processor, IMAGE, "what ?", lanes, max_new_tokens=4, warm_up=False)
    assert last.error.startswith("The attention of layer 2 of the vision tower gives NaN")


def test_pixels_that_are_no_numbers_are_an_input_error(tiny):
    model, processor = tiny
    inputs = inputs_of(processor)
    inputs["pixel_values"][0, 0, 0, 0, 0] = NAN
    with pytest.raises(InputError, match="pixel_values hold NaN"):
        HiredModel(model, build("hired")).generate(**inputs, max_new_tokens=4)


def test_tokens_may_be_forbidden_by_minus_infinity(tiny):
    """A processor that forbids every token but one leaves rows of minus infinity behind."""
    model, processor = tiny
    inputs = inputs_of(processor)
    only = {"prefix_allowed_tokens_fn": lambda batch, ids: [7], "max_new_tokens": 3}
    assert HiredModel(model, build("full")).generate(**inputs, **only)[0, -3:].tolist() == [7] * 3
