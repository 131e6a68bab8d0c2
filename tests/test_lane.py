"""One lane: what it leaves behind, and what it works out only once."""

import gc
import warnings
from functools import cached_property

import pytest
import torch
from conftest import make_image, make_tiny

from hired.comparison import lane
from hired.comparison.lane import Prompt, run_lane
from hired.selectors import SELECTORS, Selection, build


def run(selector, kind="llava_next", **settings):
    model, processor = make_tiny(kind)
    prompt = Prompt(model, processor, make_image(160, 168), "what is it ?", {"max_new_tokens": 3})
    last = {}
    run_lane(prompt, build(selector, **settings), lambda **news: last.update(news), bool, False)
    return last


def tensors():
    with warnings.catch_warnings():  # some modules of torch warn when they are looked at
        warnings.simplefilter("ignore")
        return {id(one): one for one in gc.get_objects() if isinstance(one, torch.Tensor)}


@pytest.mark.parametrize("name", SELECTORS)
def test_a_lane_leaves_no_tensor_for_the_collector(name):
    run(name)  # what is kept for good is there
    gc.collect()
    gc.disable()
    try:
        before = tensors()
        assert run(name)["phase"] == "done"
        left = [one for key, one in tensors().items() if key not in before]
        assert left == []
    finally:
        gc.enable()


@pytest.mark.parametrize("name", SELECTORS)
def test_what_is_kept_is_counted_once_a_lane(name, monkeypatch):
    count, counted = Selection.kept.func, []

    def counting(selection):
        counted.append(selection)
        return count(selection)

    again = cached_property(counting)
    again.__set_name__(Selection, "kept")
    monkeypatch.setattr(Selection, "kept", again)
    last = run(name)
    assert last["phase"] == "done" and last["selection"].features is None
    assert last["selection"].visual_tokens == last["metrics"].visual_tokens
    assert len(counted) == 1


def test_a_lane_fails_in_words_where_even_its_memory_cannot_be_released(monkeypatch):
    """After some faults CUDA answers nothing but the same error again."""

    def lost(*_):
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(lane, "release_memory", lost)
    monkeypatch.setattr(lane, "_measure", lost)
    assert run("hired")["phase"] == "failed"
