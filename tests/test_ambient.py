"""Torch's settings around a call, set by a caller for other ends, change nothing that is kept."""

import copy
from functools import partial

import pytest
import torch
from conftest import make_image, make_tiny, prompt

from hired import HiredModel
from hired.clip import read_tower
from hired.generate import LogitsWatch
from hired.pack import Packed, pack
from hired.selectors import SELECTORS, build
from hired.taps import cls_attention, received_attention
from hired.wrapper import look, select

FEW = {"max_new_tokens": 2, "do_sample": False}


@pytest.fixture(scope="module")
def asked():
    """A tiny LLaVA-NeXT and the inputs of one prompt."""
    model, processor = make_tiny("llava_next")
    inputs = processor(images=make_image(120, 160), text=prompt(), return_tensors="pt")
    return model, inputs


@pytest.mark.parametrize("name", SELECTORS)
def test_a_default_device_moves_nothing(asked, name):
    """As `torch.set_default_device("cuda")` would; what is made on `meta` holds no values."""
    model, inputs = asked
    pictures = inputs["pixel_values"], inputs["image_sizes"]
    usual = select(model, *pictures, build(name))[0]
    with torch.device("meta"):
        ((vision, found),) = look(read_tower(model), *pictures, build(name))
        packed = pack(model, inputs["input_ids"], None, [vision], [found])
    assert torch.equal(usual.mask, found.mask)
    assert packed.input_ids.device == packed.attention_mask.device == torch.device("cpu")


def test_the_host_s_copy_of_a_flag_is_on_the_host(asked):
    """CUDA cannot pin memory of its own."""
    watch = LogitsWatch(asked[0], Packed(torch.zeros(1, 1).long(), torch.ones(1, 1), []))
    with torch.device("meta"):
        watch(torch.zeros(1, 1).long(), torch.zeros(1, 8, device="cpu"))
    watch.check()


@pytest.mark.parametrize("name", SELECTORS)
@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_every_method_answers_under_autocast(asked, name, precision):
    model, inputs = asked
    lane = HiredModel(model, build(name))
    with torch.autocast("cpu", precision):
        inside = lane.generate(**inputs, **FEW)
    assert inside.shape == lane.generate(**inputs, **FEW).shape


@pytest.mark.parametrize("name", SELECTORS)
def test_a_default_precision_changes_no_choice(asked, name):
    model, inputs = copy.deepcopy(asked[0]).to(torch.bfloat16), asked[1]
    choose = partial(select, model, inputs["pixel_values"], inputs["image_sizes"], build(name))
    usual = choose()[0]
    torch.set_default_dtype(torch.bfloat16)
    try:
        found = choose()[0]
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(usual.mask, found.mask)


@pytest.mark.parametrize("read", [cls_attention, received_attention])
def test_attention_is_float32_under_autocast(asked, read):
    """Autocast rounds what the projections give, as in the tower, and not their products."""
    block = asked[0].model.vision_tower.encoder.layers[1]
    hidden = torch.randn(2, 145, block.self_attn.q_proj.in_features)
    half = copy.deepcopy(block).to(torch.bfloat16)
    half.layer_norm1.float()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = read(block, hidden)
    with torch.no_grad():
        half.layer_norm1.register_forward_hook(lambda *_: _[-1].to(torch.bfloat16))
        wanted = read(half, hidden)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, atol=1e-7, rtol=1e-5)
