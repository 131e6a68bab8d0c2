"""The demo's engine: both lanes stream, stop, fail and are measured apart."""

import copy
import gc
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

import pytest
import torch
from conftest import make_image, make_tiny
from serving import before_each_step
from test_encode import same, state
from transformers import GenerationConfig

from hired.comparison.lane import Lane
from hired.comparison.run import compare
from hired.errors import InputError, ModelError, SettingError
from hired.phases import FINAL
from hired.selectors import SELECTORS, build, fitting
from hired.selectors.base import Selector

IMAGE = make_image(160, 168)
QUESTION = "what is in the picture ?"


def lanes(*names, **settings):
    return [Lane(name, build(name, **fitting(name, settings))) for name in names]


def run(pair, these, **kwargs):
    """All steps, and the last one of each lane."""
    steps = list(compare(*pair, IMAGE, QUESTION, these, **kwargs))
    return steps, [[s for s in steps if s.lane == i][-1] for i in range(len(these))]


def test_both_lanes_stream_and_end(tiny):
    steps, (full, hired) = run(tiny, lanes("full", "hired", budget=0.2), max_new_tokens=20)
    assert (full.phase, hired.phase) == ("done", "done")
    for lane in (0, 1):
        mine = [step for step in steps if step.lane == lane]
        phases = list(dict.fromkeys(step.phase for step in mine))
        order = ["waiting", "preprocess", "vision", "select", "prefill", "decode", "done"]
        assert [phase for phase in order if phase in phases] == phases
        texts = [step.text for step in mine]
        assert all(late.startswith(early) for early, late in pairwise(texts))
    first_hired = next(
        i for i, step in enumerate(steps) if step.lane == 1 and step.phase != "waiting"
    )
    last_full = max(i for i, step in enumerate(steps) if step.lane == 0)
    assert steps[last_full].phase == "done"
    assert all(step.lane == 1 or step.phase == "done" for step in steps[first_hired:])


def test_the_numbers_add_up(tiny):
    model, _ = tiny
    _, ends = run(tiny, lanes("full", "hired", budget=0.2), max_new_tokens=9)
    full, hired = (end.metrics for end in ends)
    assert (full.kept_tokens, full.newline_tokens) == (180, 12) and full.visual_tokens == 192
    assert (hired.kept_tokens, hired.visual_tokens) == (36, 36)
    assert full.nominal_tokens == hired.nominal_tokens == 180
    assert full.stock_tokens == hired.stock_tokens == 192
    text = model.config.text_config
    per_token = text.num_hidden_layers * text.num_key_value_heads * 16 * 2 * 4  # bytes, float32
    for metrics in (full, hired):
        assert metrics.new_tokens == 9
        phases = metrics.preprocess_s + metrics.vision_s + metrics.select_s + metrics.prefill_s
        assert phases == pytest.approx(metrics.ttft_s)
        assert metrics.total_s == pytest.approx(metrics.ttft_s + metrics.decode_s)
        assert metrics.tokens_per_s == pytest.approx(8 / metrics.decode_s)
        assert min(metrics.preprocess_s, metrics.vision_s, metrics.select_s, metrics.prefill_s) > 0
        # the last token is never read back, so it has no keys
        cached = metrics.visual_tokens + metrics.prompt_tokens + metrics.new_tokens - 1
        assert metrics.kv_cache_bytes == cached * per_token
        assert metrics.peak_is_approximate and not metrics.contended
    assert full.prompt_tokens == hired.prompt_tokens


def test_full_is_the_stock_models_text(tiny):
    model, processor = tiny
    _, (full, everything) = run(
        tiny, [*lanes("full"), *lanes("hired", budget=1.0)], max_new_tokens=10
    )
    text = f"USER: <image>\n{QUESTION} ASSISTANT:"
    inputs = processor(images=IMAGE, text=text, return_tensors="pt")
    stock = model.generate(**inputs, max_new_tokens=10, do_sample=False)
    stock = stock[0, inputs["input_ids"].shape[1] :]
    expected = processor.tokenizer.decode(stock, skip_special_tokens=True).strip()
    assert full.text == everything.text == expected


def test_race_marks_its_times_as_contended(tiny):
    _, ends = run(tiny, lanes("full", "hired", "spatial"), max_new_tokens=10, race=True)
    assert all(end.phase == "done" and end.metrics.contended for end in ends)
    _, alone = run(tiny, lanes("full", "hired", "spatial"), max_new_tokens=10)
    assert [end.text for end in ends] == [end.text for end in alone]


def test_both_kinds_of_lane_are_warmed_up_once(tiny):
    model, processor = copy.deepcopy(tiny[0]), tiny[1]
    seen = []
    with before_each_step(model, seen.append):
        stop = threading.Event()
        stop.set()
        run((model, processor), lanes("full"), max_new_tokens=1, stop=stop)
        assert not seen, "who has stopped waits for no warm-up, and leaves it to the next"
        for _ in range(2):
            run((model, processor), lanes("hired"), max_new_tokens=1)
    prefills = [length for length in seen if length > 1]
    assert len(prefills) == 4 and prefills[0] > prefills[2] == prefills[3] > prefills[1]


@pytest.mark.parametrize("race", [False, True])
def test_stop_keeps_what_is_there(tiny, race):
    stop = threading.Event()
    these, last = lanes("full", "hired"), {}
    for step in compare(*tiny, IMAGE, QUESTION, these, max_new_tokens=1500, race=race, stop=stop):
        last[step.lane] = step
        if step.new_tokens >= 3:
            stop.set()
    assert {step.phase for step in last.values()} == {"stopped"}
    assert 3 <= last[0].new_tokens + last[1].new_tokens < 1500
    assert last[0].text or last[1].text


def test_one_side_can_be_stopped(tiny):
    these, last = lanes("full", "hired"), {}
    for step in compare(*tiny, IMAGE, QUESTION, these, max_new_tokens=300):
        last[step.lane] = step
        if step.lane == 0 and step.new_tokens >= 3:
            these[0].stop.set()
    assert (last[0].phase, last[1].phase) == ("stopped", "done")
    assert last[0].new_tokens < 300 == last[1].new_tokens
    assert last[0].metrics.new_tokens == last[0].new_tokens


def test_closing_returns_at_once_and_the_next_one_runs(tiny):
    steps = compare(*tiny, IMAGE, QUESTION, lanes("full"), max_new_tokens=1500)
    for step in steps:
        if step.new_tokens:
            break
    begin = time.perf_counter()
    steps.close()
    assert time.perf_counter() - begin < 0.1
    _, (end,) = run(tiny, lanes("hired"), max_new_tokens=2)
    assert end.phase == "done"


@dataclass(frozen=True)
class Broken(Selector):
    """Fails the way it is told to."""

    error: Exception = field(default_factory=lambda: RuntimeError("boom"))
    title: ClassVar[str] = "x"
    paper: ClassVar[str] = "x"
    summary: ClassVar[str] = "x"

    def scores(self, vision):
        raise self.error


@pytest.mark.parametrize("race", [False, True])
@pytest.mark.parametrize(
    "error, message",
    [
        (RuntimeError("boom"), "RuntimeError"),
        (torch.OutOfMemoryError("CUDA out of memory"), "ran out of memory"),
        (MemoryError(), "ran out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "ran out of memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), "ran out of memory"),
        (SettingError("heads must be small; got 9."), "heads must be small"),
    ],
    ids=str,
)
def test_an_error_in_one_lane_leaves_the_other(tiny, error, message, race):
    these = [Lane("broken", Broken(error=error)), *lanes("hired")]
    _, (broken, hired) = run(tiny, these, max_new_tokens=4, race=race)
    assert broken.phase == "failed" and message in broken.error
    assert hired.phase == "done" and hired.new_tokens == 4
    assert "broken" not in SELECTORS


def test_out_of_memory_inside_the_model(tiny, monkeypatch):
    """At the allocator's boundary: the language model cannot take a long sequence."""
    model, _ = tiny
    layer = model.model.language_model.layers[0].mlp

    def refuse(module, args):
        if args[0].shape[1] > 100:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    handle = layer.register_forward_pre_hook(refuse)
    try:
        _, (full, hired) = run(tiny, lanes("full", "hired", budget=0.2), max_new_tokens=3)
    finally:
        handle.remove()
    assert full.phase == "failed" and "ran out of memory" in full.error
    assert hired.phase == "done"


def test_bad_input_is_refused_before_anything_runs(tiny):
    model, processor = tiny
    with pytest.raises(InputError, match="empty"):
        compare(model, processor, IMAGE, " ", lanes("full"))
    with pytest.raises(InputError, match="not an image"):
        compare(model, processor, b"nothing", QUESTION, lanes("full"))
    with pytest.raises(SettingError, match="at least one lane"):
        compare(model, processor, IMAGE, QUESTION, [])
    for bad in (0, -1, True, 2.5, "9"):
        with pytest.raises(SettingError, match="max_new_tokens"):
            compare(model, processor, IMAGE, QUESTION, lanes("full"), max_new_tokens=bad)
    several = {"num_return_sequences": 2, "do_sample": True}
    inside = {"generation_config": GenerationConfig(**several)}
    its_own = ({"streamer": None}, {"return_dict_in_generate": True})
    for bad in ({"num_beams": 2}, {"use_cache": False}, several, inside, *its_own):
        with pytest.raises(SettingError, match=r"se HiredModel\(model, selector\).generate"):
            compare(model, processor, IMAGE, QUESTION, lanes("full"), **bad)
    for bad in ({"init_layer": 4}, {"final_layer": 9}, {"heads": 4}):
        these = [*lanes("full"), *lanes("hired", **bad)]
        with pytest.raises(SettingError, match=r"of this vision tower.* 0 to 3; got [49]"):
            compare(model, processor, IMAGE, QUESTION, these)
    with pytest.raises((ModelError, AttributeError)):
        compare(torch.nn.Linear(1, 1), processor, IMAGE, QUESTION, lanes("full"))


def test_a_prompt_too_long_for_the_model_fails_its_lane_only(tiny):
    long = "what " * 790  # 2048 positions: too many beside 192 visual tokens, not beside 10
    these = [*lanes("full"), *lanes("hired", budget=10)]
    steps = list(compare(*tiny, IMAGE, long, these, max_new_tokens=1200))
    full, hired = ([s for s in steps if s.lane == i][-1] for i in (0, 1))
    assert full.phase == "failed" and "reads at most 2048" in full.error
    assert hired.phase == "done"


def test_special_tokens_in_the_question_change_nothing_but_the_text(tiny):
    for question in ("<image> </s> ASSISTANT: what", "<image>" * 50):
        steps = list(compare(*tiny, IMAGE, question, lanes("hired"), max_new_tokens=3))
        assert steps[-1].phase == "done" and steps[-1].metrics.visual_tokens == 36


def test_the_model_is_left_as_it_was():
    pair = make_tiny.__wrapped__()
    before = state(pair[0])
    run(pair, lanes("full", "hired"), max_new_tokens=3)
    stop = threading.Event()
    for step in compare(*pair, IMAGE, QUESTION, lanes("hired"), max_new_tokens=900, stop=stop):
        if step.new_tokens:
            stop.set()
    run(pair, [Lane("broken", Broken())], max_new_tokens=3)
    gc.collect()
    assert same(before, state(pair[0]))


def test_llava_15_compares_too(tiny_15):
    _, (full, hired) = run(tiny_15, lanes("full", "hired", budget=0.25), max_new_tokens=3)
    assert (full.metrics.visual_tokens, hired.metrics.visual_tokens) == (36, 9)


def test_every_lane_ends(tiny):
    these = [Lane(name, cls(budget=0.3)) for name, cls in SELECTORS.items()]
    _, ends = run(tiny, these, max_new_tokens=2)
    assert all(end.phase in FINAL and end.error is None for end in ends)


def test_a_program_that_stops_reading_ends_like_any_other(tiny, tmp_path):
    """A thread that dies inside PyTorch while the interpreter ends takes the process with it."""
    model, processor = tiny
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    program = f"""
import hired, numpy, PIL.Image
model, processor = hired.load({str(tmp_path / "model")!r}, device="cpu")
image = PIL.Image.fromarray(numpy.zeros((90, 90, 3), "uint8"))
lanes = [hired.Lane("stock", hired.SELECTORS["full"]())]
for step in hired.compare(model, processor, image, "what", lanes, max_new_tokens=1500):
    if step.new_tokens:
        break
print("left")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "left\n"), ended.stderr
