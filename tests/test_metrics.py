"""Clocks and sizes: what is waited for before a time is taken."""

import gc
import time

import numpy as np
import pytest
import torch

from hired import metrics
from hired.metrics import MemoryProbe, Stopwatch
from hired.models import hardware as machine

MB = 2**20


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_a_time_is_taken_once_the_device_is_idle(kind, monkeypatch) -> None:
    waited = []
    monkeypatch.setattr(getattr(torch, kind), "synchronize", lambda *_: waited.append(kind))
    watch = Stopwatch(torch.device(kind))
    with watch.phase("vision"):
        assert waited == [kind] * 2
    assert waited == [kind] * 3 and watch.seconds["vision"] > 0


def test_a_model_on_several_devices_waits_for_all_and_is_approximate(monkeypatch) -> None:
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    cards = [torch.device("cuda", index) for index in range(2)]
    Stopwatch(*cards, torch.device("cpu"), torch.device("meta"))
    assert waited == cards
    assert MemoryProbe(cards[0], split=True).approximate and not MemoryProbe(cards[0]).approximate


def test_on_mps_the_allocator_is_sampled(monkeypatch) -> None:
    levels = iter([100, 900, *[300] * 10**6])
    monkeypatch.setattr(torch.mps, "current_allocated_memory", lambda: next(levels))
    with MemoryProbe(torch.device("mps")) as probe:
        time.sleep(0.05)
    assert probe.peak_bytes == 800 and probe.approximate


def test_room_in_a_container_counts_the_files_it_can_let_go(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("3000\n")
    (tmp_path / "memory.current").write_text("2900\n")
    (tmp_path / "memory.stat").write_text("anon 500\nactive_file 1000\ninactive_file 1200\n")
    assert machine.free_bytes(torch.device("cpu")) == 100 + 1000 + 1200


def measure(waited: float = 0.0) -> MemoryProbe:
    with MemoryProbe(torch.device("cpu")) as probe:
        block = np.ones(64 * MB, dtype=np.uint8)
        time.sleep(waited)
        del block
    return probe


def test_the_peak_is_seen_however_short_it_was():  # Linux counts pages by the quarter megabyte
    assert 63 * MB < measure().peak_bytes < 66 * MB
    assert measure().approximate


@pytest.mark.parametrize("mark", ["missing", "without effect"])
def test_the_peak_is_sampled_where_the_system_keeps_none(mark, tmp_path, monkeypatch):
    place = tmp_path / "clear_refs" if mark == "without effect" else tmp_path / "no" / "clear_refs"
    measure()  # the highest so far is far above the level of now
    monkeypatch.setattr(metrics, "_RESET", place)
    probe = measure(waited=0.1)
    assert not MemoryProbe._open and 63 * MB < probe.peak_bytes < 66 * MB


def test_a_probe_keeps_what_it_saw_when_another_begins():
    with MemoryProbe(torch.device("cpu")) as outer:
        np.ones(64 * MB, dtype=np.uint8)
        with MemoryProbe(torch.device("cpu")) as inner:
            np.ones(16 * MB, dtype=np.uint8)
    assert 63 * MB < outer.peak_bytes < 66 * MB and 15 * MB < inner.peak_bytes < 18 * MB


def test_a_probe_collects_nothing():
    begun = []
    note = lambda phase, info: begun.append(info["generation"])  # noqa: E731
    gc.disable()
    gc.callbacks.append(note)
    try:
        measure()
    finally:
        gc.callbacks.remove(note)
        gc.enable()
    assert begun == []
