"""Checkpoints of a training, and its journal: means as JSON lines."""

import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from hired.errors import ModelError


def save_checkpoint(path: Path, step: int, seed: int, start: str = "", **parts: Any) -> None:
    """Write the parts' states whole: first beside their place, then moved there."""
    spare = path.with_suffix(".tmp")
    states = {name: part.state_dict() for name, part in parts.items()}
    torch.save({**states, "step": step, "seed": seed, "start": start}, spare)
    spare.replace(path)


def load_checkpoint(path: Path, seed: int, start: str = "") -> dict[str, Any] | None:
    """The checkpoint that `save_checkpoint` wrote; None without a file.

    Raises:
        ModelError: it is of a run with another seed, other first weights or another schedule.
    """
    if not path.exists():
        return None
    saved = torch.load(path, weights_only=True, map_location="cpu")  # of any device
    if saved["seed"] != seed:
        raise ModelError(
            f"{path} is of a run with seed {saved['seed']}, this one has seed {seed}. Give another "
            f"folder with --checkpoints, or remove the file."
        )
    if saved.get("start", "") != start:
        raise ModelError(
            f"{path} is of a run that began with other weights than this one's (--resume-from), or "
            f"had another schedule: {saved.get('start') or 'none'}, this one {start or 'none'}. "
            f"Give another folder with --checkpoints, or remove the file."
        )
    return saved


def resume(saved: Mapping[str, Any] | None, parts: Mapping[str, Any]) -> int:
    """Bring the parts to the state of a loaded checkpoint, and tell its step; 0 without one."""
    if saved is None:
        return 0
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    return int(saved["step"])


class Journal:
    """Means of the steps since the last line: JSON lines in a file and to `log`.

    Attributes:
        path: the file the lines are added to; those of steps after `first` are taken out, as a run
            that goes on from a checkpoint takes these steps again.
        every: steps per line.
        pause_s: seconds between two checkpoints.
    """

    def __init__(
        self,
        path: Path,
        every: int,
        log: Callable[[str], None],
        first: int = 0,
        pause_s: float = 150.0,
    ) -> None:
        if path.exists():
            told = path.read_text(encoding="utf-8").splitlines(keepends=True)
            whole = [line for line in told if line.endswith("\n")]  # a disk may have been full
            spare = path.with_suffix(".tmp")
            kept = [line for line in whole if json.loads(line)["step"] <= first]
            spare.write_text("".join(kept), encoding="utf-8")
            spare.replace(path)
        self.path = path
        self.every = every
        self.pause_s = pause_s
        self._log = log
        self._sums: dict[str, float] = defaultdict(float)
        self._steps = self._summed = 0
        self._began = self._saved = time.monotonic()

    def add(
        self,
        step: int,
        values: dict[str, float],
        more: Callable[[], dict[str, Any]] = dict,
        last: bool = False,
    ) -> None:
        """Note the values of one step; `more()` is asked for what belongs on its line.

        The last step always has a line.

        Raises:
            ModelError: a value is not finite; what was saved before is untouched.
        """
        self._steps += 1
        self._summed += 1
        for name, value in values.items():
            if not math.isfinite(value):
                raise ModelError(f"The training went astray: {name} is {value} at step {step}.")
            self._sums[name] += value
        if step % self.every and not last:
            return
        speed = self._steps / (time.monotonic() - self._began)
        means = {name: round(total / self._summed, 4) for name, total in self._sums.items()}
        line = json.dumps({"step": step, "steps_per_s": round(speed, 3)} | means | more())
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self._log(line)
        self._sums.clear()
        self._summed = 0

    def due(self, last: bool) -> bool:
        """Tell whether it is time for a checkpoint."""
        if not last and time.monotonic() - self._saved < self.pause_s:
            return False
        self._saved = time.monotonic()
        return True
