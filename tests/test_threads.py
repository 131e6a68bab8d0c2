"""Threads: what the machine has free, what others use, and how waiting costs no core."""

import os
import subprocess
import sys
import time

import pytest
import torch

from hired import threads
from hired.errors import SettingError
from hired.threads import (
    Load,
    Threads,
    choose_threads,
    find_quota,
    use_threads,
)


class Busy(Load):
    """A machine on which others use so many cores."""

    def __init__(self, cores: float) -> None:
        self.cores = cores

    def others(self) -> float:
        return self.cores


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Eight cores, no quota yet."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(threads, "_CGROUP", tmp_path)
    return tmp_path


@pytest.mark.parametrize(("used", "count"), [(0.0, 8), (0.4, 8), (1.6, 6), (7.8, 1), (30.0, 1)])
def test_what_others_use_is_left_to_them(machine, used, count):
    assert choose_threads(load=Busy(used)).count == count
    assert str(choose_threads(load=Busy(used))).endswith(f"(of 8 cores, {used:.1f} used by others)")


def test_a_quota_counts_in_both_kinds_of_control_group(machine):
    assert find_quota() is None and choose_threads().count == 8
    (machine / "cpu").mkdir()
    (machine / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (machine / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert find_quota() is None
    (machine / "cpu" / "cpu.cfs_quota_us").write_text("150000\n")
    assert find_quota() == 1.5 and choose_threads() == Threads(2, "of 2 cores, 1.5 by quota")
    (machine / "cpu.max").write_text("50000 100000\n")
    assert choose_threads(load=Busy(3)).count == 1  # 5 of the 8 are free, half of one is ours
    (machine / "cpu.max").write_text("max 100000\n")
    assert find_quota() is None


def test_what_was_asked_for_comes_first(machine, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert choose_threads(load=Busy(8)) == Threads(3, "OMP_NUM_THREADS")
    assert choose_threads("5", Busy(8)) == Threads(5, "as asked")
    for wrong in ("0", "many", -1, "1.5"):
        with pytest.raises(SettingError, match="auto or a number from 1"):
            choose_threads(wrong)


def test_threads_are_set():
    before = torch.get_num_threads()
    try:
        assert use_threads(1).count == torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_only_the_work_of_others_counts_as_theirs():
    load, until = Load(), time.process_time() + 0.3
    while time.process_time() < until:
        pass
    alone = load.others()
    burn = "import time\nend = time.time() + 2\nwhile time.time() < end: pass"
    with subprocess.Popen([sys.executable, "-c", burn]):
        load = Load()
        time.sleep(1.0)
        beside = load.others()
    assert 0 <= alone <= os.cpu_count() and 0.2 < beside <= os.cpu_count() + 0.1


FIRST = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Watch())
sys.argv = ["hired", "ask", "nothing.png", "what is it ?"]
"""


@pytest.mark.parametrize("program", ["import app", "import hired.__main__"])
@pytest.mark.parametrize("told", [None, "ACTIVE"])
def test_programs_let_waiting_threads_sleep_unless_the_user_said_otherwise(program, told):
    environment = {name: value for name, value in os.environ.items() if "OMP_WAIT" not in name}
    environment |= {"OMP_WAIT_POLICY": told} if told else {}
    ran = subprocess.run(
        [sys.executable, "-c", FIRST + program], capture_output=True, text=True, env=environment
    )
    assert ran.stdout == f"{told or 'PASSIVE'}\n", ran.stderr
