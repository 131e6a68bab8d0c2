"""How a sweep handles what it measures with: one model at a time."""

import copy
import weakref
from dataclasses import replace

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
