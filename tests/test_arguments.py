"""Options and processor outputs that people get wrong: obeyed, or one sentence that says so."""

import copy

import numpy as np
import pytest
import torch
from asking import KINDS, SIZES, answers, process
from conftest import make_image, make_tiny
from transformers import DynamicCache, GenerationConfig

from hired.comparison.lane import Lane
from hired.comparison.run import compare
from hired.errors import InputError, SettingError
from hired.generate import CACHE
from hired.selectors import HiRED
from hired.wrapper import HiredModel


@pytest.mark.parametrize("layer", [-1, -2, 1, 3, [-3]])
@pytest.mark.parametrize("kind", KINDS)
def test_another_feature_layer_is_obeyed(kind, layer):
    model, processor = make_tiny(kind)
    inputs = process(processor)
    stock = answers(model, inputs, vision_feature_layer=layer)
    ours = answers(HiredModel(model, "full"), inputs, vision_feature_layer=layer)
    assert torch.equal(stock, ours)
    default = answers(HiredModel(model, HiRED(0.3)), inputs, 12)
    asked = answers(HiredModel(model, HiRED(0.3)), inputs, 12, vision_feature_layer=layer)
    assert torch.equal(default, asked) == (layer in (-2, 3))  # of hidden states 0 to 4


REFUSED = {
    "another strategy": ({"vision_feature_select_strategy": "full"}, "is 'default' here"),
    "a layer that is not there": ({"vision_feature_layer": 9}, "is one of this tower's layers"),
    "no layer": ({"vision_feature_layer": "last"}, "is one of this tower's layers"),
    "two layers": ({"vision_feature_layer": [1, 2]}, "takes the features of 1 layer"),
    "embeddings": ({"vision_feature_layer": 0}, "no block has attention"),
    "a typo": ({"max_new_tokns": 3}, "takes no 'max_new_tokns'"),
    "an extra key": ({"mm_token_type_ids": torch.zeros(2, 3)}, "takes no 'mm_token_type_ids'"),
    "embeddings in": ({"inputs_embeds": torch.zeros(2, 3, 4)}, "inputs_embeds cannot be given"),
    "positions": ({"position_ids": torch.zeros(2, 3)}, "position_ids cannot be given"),
    "one criterion": ({"stopping_criteria": len}, "stopping_criteria is a list"),
    "a bad value": ({"max_new_tokens": -3}, "cannot be used: `max_new_tokens` must be greater"),
    "a dict": ({"generation_config": {"num_beams": 2}}, "is a GenerationConfig; got dict"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_options_that_make_no_sense_are_a_setting_error(tiny, name):
    options, words = REFUSED[name]
    with pytest.raises(SettingError, match=words):
        HiredModel(tiny[0], "hired").generate(**process(tiny[1]), **options)


def test_a_cache_is_taken_only_when_it_is_new(tiny):
    model, processor = tiny
    inputs, cache = process(processor), DynamicCache()
    wrapped = HiredModel(model, "hired")
    right = answers(wrapped, inputs)
    assert torch.equal(right, answers(wrapped, inputs, **{CACHE: cache}))
    for other in (cache, ((1, 2),)):
        with pytest.raises(SettingError, match=f"{CACHE} is a new Cache"):
            answers(wrapped, inputs, **{CACHE: other})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("of", [torch.as_tensor, np.asarray], ids=["tensors", "arrays"])
@pytest.mark.parametrize("budget", [0.3, 1.0])
def test_pixels_in_a_list_of_images(kind, of, budget):
    model, processor = make_tiny(kind)
    inputs = process(processor)
    images = [make_image(*size, seed=index) for index, size in enumerate(SIZES)]
    parts = processor.image_processor(images=images, do_pad=False)["pixel_values"]
    given = inputs | {"pixel_values": [of(part) for part in parts]}
    assert len({len(part) for part in parts}) == 2 or kind == "llava"
    wrapped = HiredModel(model, HiRED(budget))
    assert torch.equal(answers(wrapped, given), answers(wrapped, inputs))


def test_sizes_in_lists(tiny):
    model, processor = tiny
    inputs, wrapped = process(processor), HiredModel(model, "hired")
    right = answers(wrapped, inputs)
    for sizes in (inputs["image_sizes"].tolist(), list(inputs["image_sizes"]), SIZES):
        assert torch.equal(answers(wrapped, inputs | {"image_sizes": sizes}), right)


WRONG = {
    "ids in lists": ({"input_ids": [[1, 2]]}, "input_ids is a tensor of whole numbers"),
    "ids of one prompt": ({"input_ids": torch.tensor([1, 2])}, "shape (2,)"),
    "ids that are floats": ({"input_ids": torch.ones(2, 9)}, "got float32 of shape"),
    "a token too high": ({"input_ids": torch.full((2, 9), 999)}, "lie from 999 to 999"),
    "a mask too short": ({"attention_mask": torch.ones(2, 3)}, "shaped like input_ids"),
    "a mask of twos": ({"attention_mask": 2}, "holds 0 for padding and 1"),
    "a mask of zeros": ({"attention_mask": 0}, "leaves a prompt without any token"),
    "pixels of another model": ({"pixel_values": torch.zeros(2, 5, 3, 36, 36)}, "are tiles of"),
    "no pixels": ({"pixel_values": []}, "are tiles of this model"),
    "pixels that are a picture": ({"pixel_values": make_image(9, 9)}, "are tiles of this model"),
    "too few pixels": ({"pixel_values": torch.zeros(1, 5, 3, 84, 84)}, "do not hold the"),
    "one size for two": ({"image_sizes": [168, 168]}, "image_sizes are (height, width)"),
    "sizes in words": ({"image_sizes": "168x168"}, "image_sizes are (height, width)"),
    "no sizes": ({"image_sizes": None}, "image_sizes is missing"),
    "a size of nothing": ({"image_sizes": [[0, 1], [1, 1]]}, "at least one pixel"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_no_processor_returns_is_an_input_error(tiny, name):
    given, words = WRONG[name]
    inputs = process(tiny[1])
    if isinstance(mask := given.get("attention_mask"), int):
        given = {"attention_mask": torch.full_like(inputs["attention_mask"], mask)}
    with pytest.raises(InputError) as caught:
        answers(HiredModel(tiny[0], "hired"), {**inputs, **given})
    assert words in str(caught.value)


def test_ids_that_are_missing_are_an_input_error(tiny):
    inputs = dict(process(tiny[1]))
    wrapped, ids = HiredModel(tiny[0], "hired"), inputs.pop("input_ids")
    with pytest.raises(InputError, match="got a NoneType"):
        wrapped.generate(**inputs)
    right = wrapped.generate(ids, **inputs, max_new_tokens=3)
    assert torch.equal(right, wrapped.generate(inputs=ids, **inputs, max_new_tokens=3))


# What a lane of a comparison takes

LANE_REFUSED = {
    "a typo": ({"temprature": 0.5}, "takes no 'temprature'"),
    "lookup": ({"prompt_lookup_num_tokens": 3}, "the options ask for assisted generation"),
    "lookup by a configuration": (
        {"generation_config": GenerationConfig(prompt_lookup_num_tokens=3)},
        "the options ask for assisted generation",
    ),
    "beams by a configuration": (
        {"generation_config": GenerationConfig(num_beams=2)},
        "the options ask for beam search",
    ),
    "another layer": ({"vision_feature_layer": 1}, "takes no vision_feature_layer"),
    "a prompt of its own": ({"input_ids": torch.ones(1, 2)}, "takes no input_ids"),
    "a static cache": ({"cache_implementation": "static"}, "cache is dynamic; got static"),
    "one criterion": ({"stopping_criteria": len}, "stopping_criteria is a list"),
}


def compared(pair, **options):
    lanes = [Lane("a", "full"), Lane("b", "hired:budget=20%")]
    steps = compare(*pair, make_image(90, 90), "what ?", lanes, warm_up=False, **options)
    return list({step.lane: step for step in steps}.values())


@pytest.mark.parametrize("name", LANE_REFUSED)
def test_options_that_a_lane_cannot_obey_are_refused_before_anything_runs(tiny, name):
    options, words = LANE_REFUSED[name]
    with pytest.raises(SettingError, match=words):
        compare(*tiny, make_image(90, 90), "what ?", [Lane("a", "full")], **options)


def test_what_the_models_own_configuration_asks_for_is_refused_too():
    model, processor = copy.deepcopy(make_tiny())
    model.generation_config.prompt_lookup_num_tokens = 3
    with pytest.raises(SettingError, match="the options ask for assisted generation"):
        compared((model, processor))


def test_a_lane_takes_criteria_and_processors_beside_its_own(tiny):
    plain = compared(tiny, max_new_tokens=5)
    empty = compared(tiny, max_new_tokens=5, stopping_criteria=[], logits_processor=[])
    assert [step.text for step in plain] == [step.text for step in empty]

    def forbid(ids, scores):
        return scores.index_fill(1, torch.arange(8, scores.shape[1]), -torch.inf)

    def third(ids, scores, **_):
        seen.append(ids.shape[1])
        return torch.full((1,), len(seen) % 3 == 0)

    seen = []
    ends = compared(tiny, max_new_tokens=9, logits_processor=[forbid], stopping_criteria=[third])
    assert [(step.phase, step.new_tokens) for step in ends] == [("done", 3)] * 2


def test_a_configuration_given_to_a_lane_is_obeyed(tiny):
    sampled = GenerationConfig(do_sample=True, temperature=5.0)
    said = set()
    for seed in range(3):
        torch.manual_seed(seed)
        said.add(compared(tiny, max_new_tokens=12, generation_config=sampled)[0].text)
    assert len(said) == 3
