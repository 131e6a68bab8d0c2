"""The facts that hold for everything one call measures, and its progress."""

import os
from collections.abc import Callable
from typing import Any

import psutil
import torch

from hired.models.hardware import name_device, versions

Tell = Callable[[int, int, str], None]  # lanes done, lanes in all, what runs now


def describe_session(device: torch.device, command: str) -> dict[str, Any]:
    """The facts of a session: command, hardware, versions."""
    about: dict[str, Any] = {
        "command": command,
        "device": str(device),
        "device_name": name_device(device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "versions": versions(),
    }
    if device.type == "cuda":
        about["device_bytes"] = torch.cuda.get_device_properties(device).total_memory
    return about


class Progress:
    """A count of the lanes that are done, for a display."""

    def __init__(self, tell: Tell, total: int) -> None:
        self.tell, self.total, self.done = tell, total, 0

    def say(self, line: str) -> None:
        """Show what happens now."""
        self.tell(self.done, self.total, line)

    def skip(self, lanes: int) -> None:
        """Count lanes that were measured before."""
        self.done += lanes
        self.say("already recorded")

    def step(self, line: str, lanes: int = 1) -> None:
        """Show what happens now, and count it as done from here on."""
        self.say(line)
        self.done += lanes
