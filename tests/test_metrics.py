"""Clocks and sizes: what is waited for before a time is taken."""

import pytest
import torch

from hired.metrics import Stopwatch


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_a_time_is_taken_once_the_device_is_idle(kind, monkeypatch) -> None:
    waited = []
    monkeypatch.setattr(getattr(torch, kind), "synchronize", lambda *_: waited.append(kind))
    watch = Stopwatch(torch.device(kind))
    with watch.phase("vision"):
        assert waited == [kind] * 2
    assert waited == [kind] * 3 and watch.seconds["vision"] > 0
