"""Every method on a device that is not the CPU: nothing is mixed up, and few waits for it."""

import copy
from dataclasses import replace

import pytest
import torch
from conftest import make_image, make_tiny
from emulated import Emulated
from torch.nn.attention import SDPBackend, sdpa_kernel

from hired.comparison.lane import Prompt, run_lane
from hired.selectors import SELECTORS, build
from hired.wrapper import select

SHAPES = {"square": (168, 168), "letterboxed": (120, 160), "thin": (40, 250), "one tile": (84, 84)}
# What the host may read off the device in a lane beyond the baseline's, and copy to or from it:
# each is a moment in which an accelerator stands still.
WAITS = {
    "full": (0, 0), "hired": (2, 4), "divprune": (1, 2), "fastervlm": (1, 1), "globalcom2": (2, 2),
    "hand": (0, 1), "hiprune": (2, 1), "hired-release": (2, 4), "prumerge": (2, 26),
    "prumerge-adaptive": (2, 16),
    "prumerge-plus": (2, 26), "prumerge-plus-adaptive": (2, 16), "random": (0, 1),
    "scope": (2, 1),
    "spatial": (0, 1), "visionzip": (3, 26), "vispruner": (6, 6),
}  # fmt: skip


def answer(model, processor, image, selector, tokens=2):
    last = {}
    prompt = Prompt(model, processor, image, "what ?", {"max_new_tokens": tokens})
    run_lane(prompt, selector, lambda **news: last.update(news), lambda: False, False)
    assert last["phase"] == "done", last["error"]
    return last


@pytest.fixture(scope="module", params=[torch.float16, torch.bfloat16], ids=["fp16", "bf16"])
def halved(request):
    """Half-precision LLaVA-NeXT and LLaVA-1.5, each with its processor."""
    models = {}
    for kind in ("llava_next", "llava"):
        model, processor = make_tiny(kind)
        models[kind] = copy.deepcopy(model).to(request.param), processor
    return models


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SELECTORS)
def test_a_lane_mixes_no_devices_and_keeps_the_same(halved, name, shape):
    model, processor = halved["llava" if shape == "one tile" else "llava_next"]
    image, selector = make_image(*SHAPES[shape]), build(name)
    with sdpa_kernel(SDPBackend.MATH):  # what an unknown device computes attention with
        here = answer(model, processor, image, selector)
    with Emulated() as device:
        there = answer(device.take(model), processor, image, selector)
    assert torch.equal(there["selection"].mask, here["selection"].mask)
    assert there["token"] == here["token"]
    same = ("visual_tokens", "kv_cache_bytes", "prompt_tokens", "new_tokens")
    for number in same:
        assert getattr(there["metrics"], number) == getattr(here["metrics"], number)


@pytest.mark.parametrize("name", SELECTORS)
def test_a_lane_waits_for_the_device_as_rarely_as_told(halved, name):
    model, processor = halved["llava_next"]
    image, found = make_image(120, 160), {}
    with Emulated() as device:
        moved = device.take(model)
        for one in ("full", name):
            device.waits.clear()
            answer(moved, processor, image, build(one))
            found[one] = device.waits["reads"], device.waits["copies"]
    more = tuple(ours - stock for ours, stock in zip(found[name], found["full"], strict=True))
    assert more <= WAITS[name] and more[1] <= WAITS[name][1], more


def test_a_token_costs_two_reads_whatever_was_dropped(halved):
    model, processor = halved["llava_next"]
    image, reads = make_image(120, 160), []
    with Emulated() as device:
        moved = device.take(model)
        for tokens in (2, 7):
            device.waits.clear()
            answer(moved, processor, image, build("hired"), tokens)
            reads.append(device.waits["reads"])
    assert reads[1] - reads[0] == 2 * 5  # the token, and whether generation is over


def test_image_sizes_on_the_device_are_read_once(halved):
    model, processor = halved["llava_next"]
    text = "USER: <image>\nwhat ? ASSISTANT:"
    inputs = processor(images=make_image(120, 160), text=text, return_tensors="pt")
    with Emulated() as device:
        moved = device.take(model)
        reads = []
        for sizes in (inputs["image_sizes"], inputs["image_sizes"].to("meta")):
            device.waits.clear()
            select(moved, inputs["pixel_values"].to("meta"), sizes, build("spatial"))
            reads.append(device.waits["reads"])
    assert reads[1] - reads[0] == 1


def test_the_emulated_device_refuses_what_an_accelerator_refuses(halved):
    model, processor = halved["llava_next"]
    with Emulated() as device:
        here, there = torch.ones(3), torch.ones(3).to("meta")
        assert float((there + 1).sum()) == 6 and device.waits["reads"] == 1
        for mixed in (lambda: here + there, lambda: here[torch.tensor([0], device="meta")],
                      lambda: torch.cat([here, there])):  # fmt: skip
            with pytest.raises(RuntimeError, match="device"):
                mixed()
        taps = build("hired").select
        seen = []

        class Astray(type(build("hired"))):
            def select(self, vision):
                seen.append(vision)
                return taps(replace(vision, cls={k: v.cpu() for k, v in vision.cls.items()},
                                    features=vision.features + torch.ones(1)))  # fmt: skip

        last = {}
        prompt = Prompt(
            device.take(model), processor, make_image(90, 90), "what ?", {"max_new_tokens": 1}
        )
        run_lane(prompt, Astray(), lambda **news: last.update(news), lambda: False, False)
    assert last["phase"] == "failed" and seen
