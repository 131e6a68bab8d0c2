"""Clocks and sizes: what is waited for before a time is taken."""

import pytest
import torch

from hired import machine
from hired.metrics import Stopwatch


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_a_time_is_taken_once_the_device_is_idle(kind, monkeypatch) -> None:
    waited = []
    monkeypatch.setattr(getattr(torch, kind), "synchronize", lambda *_: waited.append(kind))
    watch = Stopwatch(torch.device(kind))
    with watch.phase("vision"):
        assert waited == [kind] * 2
    assert waited == [kind] * 3 and watch.seconds["vision"] > 0


def test_room_in_a_container_counts_the_files_it_can_let_go(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("3000\n")
    (tmp_path / "memory.current").write_text("2900\n")
    (tmp_path / "memory.stat").write_text("anon 500\nactive_file 1000\ninactive_file 1200\n")
    assert machine.free_bytes(torch.device("cpu")) == 100 + 1000 + 1200
