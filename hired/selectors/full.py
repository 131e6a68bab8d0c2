"""The baseline: every candidate, newlines included, as stock LLaVA feeds them."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hired.encode import Vision
from hired.selectors.base import BUDGET, Selector
from hired.settings import declared
from hired.tiles import TileGrid


@dataclass(frozen=True)
class Full(Selector):
    """Keep everything: stock LLaVA-NeXT, bit for bit (Liu et al. 2024)."""

    budget: float | int = declared(1.0, BUDGET)

    name: ClassVar[str] = "full"
    title: ClassVar[str] = "All tokens (stock)"
    paper: ClassVar[str] = "https://llava-vl.github.io/blog/2024-01-30-llava-next/"
    summary: ClassVar[str] = "Every patch and newline, exactly what the stock model reads."
    unused: ClassVar[tuple[str, ...]] = ("budget", "newline", "positions")

    def total(self, grid: TileGrid) -> int:
        """Every candidate, whatever the budget."""
        return grid.candidates

    def scores(self, vision: Vision) -> Tensor:
        """All equal."""
        return torch.zeros(vision.grid.tiles, vision.grid.patches, dtype=torch.float32)
