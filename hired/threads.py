"""CPU threads for PyTorch: as many as the machine has free, asleep while they wait for each other.

Threads that wait spinning, as they do by default, keep the others from the cores they wait for:
beside a busy process two threads took 18 to 30 s where one took 6 to 7. So the programs set
OpenMP's OMP_WAIT_POLICY to PASSIVE, unless the user said otherwise, before torch is imported.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import psutil

from hired.errors import SettingError

AUTO = "auto"
WORDS = "CPU threads that compute, or auto: as many as quota and other processes leave free"
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Threads:
    """The number of threads that compute, and the reason in a few words."""

    count: int
    why: str

    def __str__(self) -> str:
        """`2 threads (of 2 cores, 0.1 in use by others)`."""
        return f"{self.count} thread{'s' if self.count > 1 else ''} ({self.why})"


class Load:
    """The number of cores that other processes keep busy, counted from its making on."""

    def __init__(self) -> None:
        self._begin = self._used()

    def others(self) -> float:
        """Cores that others used since then, on average."""
        seconds, used = (now - then for now, then in zip(self._used(), self._begin, strict=True))
        return max(0.0, used / seconds) if seconds > 0 else 0.0

    def _used(self) -> tuple[float, float]:
        """The clock, and the seconds of all cores that went to others until now."""
        times, mine = psutil.cpu_times(), psutil.Process().cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        return perf_counter(), sum(times[:8]) - idle - mine.user - mine.system


def choose_threads(asked: str | int = AUTO, load: Load | None = None) -> Threads:
    """Choose the threads: as asked for, or the allowed cores less those that others use.

    Args:
        asked: a number, or "auto".
        load: what has counted the others since a second ago or longer; None leaves them out.

    Raises:
        SettingError: neither.
    """
    if str(asked) != AUTO:
        if not str(asked).isdecimal() or int(asked) < 1:
            raise SettingError(f"threads is auto or a number from 1; got {asked!r}.")
        return Threads(int(asked), "as asked")
    if (told := os.environ.get("OMP_NUM_THREADS", "")).isdecimal() and int(told):
        return Threads(int(told), "OMP_NUM_THREADS")
    cores = os.cpu_count() or 1
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    quota = find_quota()
    limit = ours if quota is None else min(ours, max(1, round(quota)))
    why = f"of {limit} core{'s' if limit > 1 else ''}"
    why += f", {quota:g} by quota" if quota is not None and quota < ours else ""
    if load is None:
        return Threads(limit, why)
    used = load.others()
    return Threads(min(limit, max(1, round(cores - used))), f"{why}, {used:.1f} used by others")


def use_threads(asked: str | int = AUTO, load: Load | None = None) -> Threads:
    """Set what `choose_threads` chooses, for this thread and all that begin after it.

    Raises:
        SettingError: see `choose_threads`.
    """
    import torch

    threads = choose_threads(asked, load)
    torch.set_num_threads(threads.count)
    return threads


def find_quota() -> float | None:
    """Cores' worth of time that the control group may use; None without a limit."""
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (_CGROUP / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (_CGROUP / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if not quota.isdecimal() or not int(period):  # "max", or -1
        return None
    return int(quota) / int(period)
