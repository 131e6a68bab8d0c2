"""What a training writes down on its way: means as JSON lines, and when to save."""

import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Journal:
    """Means of the last `every` steps, one JSON line each, in a file and to `log`.

    Attributes:
        path: the file the lines are added to.
        every: steps per line.
        pause_s: seconds between two checkpoints.
    """

    def __init__(
        self, path: Path, every: int, log: Callable[[str], None], pause_s: float = 150.0
    ) -> None:
        self.path = path
        self.every = every
        self.pause_s = pause_s
        self._log = log
        self._means: dict[str, float] = defaultdict(float)
        self._steps = 0
        self._began = self._saved = time.monotonic()

    def add(
        self,
        step: int,
        values: dict[str, float],
        more: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        """Note the values of one step; `more()` is asked for what belongs on its line."""
        self._steps += 1
        for name, value in values.items():
            self._means[name] += value / self.every
        if step % self.every:
            return
        speed = self._steps / (time.monotonic() - self._began)
        means = {name: round(mean, 4) for name, mean in self._means.items()}
        line = json.dumps({"step": step, "steps_per_s": round(speed, 3)} | means | more())
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self._log(line)
        self._means.clear()

    def due(self, last: bool) -> bool:
        """Is it time for a checkpoint?"""
        if not last and time.monotonic() - self._saved < self.pause_s:
            return False
        self._saved = time.monotonic()
        return True
