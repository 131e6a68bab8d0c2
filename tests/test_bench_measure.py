"""How a sweep handles what it measures with: one model at a time."""

import copy
import json
import weakref
from dataclasses import replace

import pytest
import torch

from hired.bench import speed
from hired.bench.plan import Entry
from hired.bench.speed import run_sweep
from hired.bench.speed_plan import Sweep


def test_a_model_goes_before_the_next_one_comes(tiny, tmp_path, monkeypatch):
    model, processor = tiny
    loaded = []

    def load(*_):
        assert not [name for name in loaded if name() is not None], "two models at once"
        other = copy.deepcopy(model)
        loaded.append(weakref.ref(other))
        return other, processor

    monkeypatch.setattr(speed, "load", load)
    sweep = Sweep(models=("one", "two"), methods=(Entry("hired"),), budgets=(0.2,), repeats=1)
    small = replace(sweep, warm_up=0, new_tokens=1, image_size=(84, 84))
    run_sweep(small, tmp_path / "two.jsonl", "test", "cpu")
    assert len(loaded) == 2


@pytest.mark.parametrize(("place", "warmed"), [("cpu", 2), ("cuda", 3)])
def test_every_lane_is_warm_on_a_card_and_every_other_round_goes_backwards(
    tiny, tmp_path, monkeypatch, place, warmed
):
    """Kernels are chosen by shape; and what drifts meanwhile may be no lane's gain."""
    ran = []
    stock = speed._measure
    monkeypatch.setattr(
        speed, "_measure", lambda prompt, entry: ran.append(entry.budget) or stock(prompt, entry)
    )
    monkeypatch.setattr(speed, "input_device", lambda model: torch.device(place))
    sweep = Sweep(models=("one",), methods=(Entry("hired"),), budgets=(0.4, 0.2), repeats=2)
    small = replace(sweep, warm_up=1, new_tokens=1, image_size=(84, 84))
    path = run_sweep(small, tmp_path / "warm.jsonl", "test", "cpu", models={"one": tiny})
    assert ran == [*(None, 0.4, 0.2)[:warmed], None, 0.4, 0.2, 0.2, 0.4, None]
    _, *rounds = map(json.loads, path.read_text().splitlines())
    assert [[lane["budget"] for lane in one["lanes"]] for one in rounds] == [[None, 0.4, 0.2]] * 2
