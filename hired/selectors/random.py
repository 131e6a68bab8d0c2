"""Random dropping, the control every method has to beat."""

from dataclasses import dataclass
from numbers import Integral
from typing import ClassVar

import torch
from torch import Tensor

from hired.errors import SettingError
from hired.selectors.base import Selector, checked, keep_best
from hired.tiles import TileGrid
from hired.vision import Vision


def check_seed(name: str, seed: int) -> int:
    """A whole number from 0 up.

    Raises:
        SettingError: anything else, booleans included.
    """
    if isinstance(seed, Integral) and not isinstance(seed, bool) and seed >= 0:
        return int(seed)
    raise SettingError(f"{name} is a whole number from 0 up; got {seed!r}.")


@dataclass(frozen=True)
class Random(Selector):
    """Candidates drawn without replacement, each tile equally likely; same seed, same draw."""

    seed: int = checked(0, check_seed)

    name: ClassVar[str] = "random"
    title: ClassVar[str] = "Random"
    paper: ClassVar[str] = "a control, no paper"
    summary: ClassVar[str] = "Patches drawn at random from a seed, blind to the image."

    def budgets(self, grid: TileGrid, overview: Tensor | None) -> list[int]:
        """What the draw gives each tile: known before anything is encoded."""
        draw = self._draw(grid).view(1, -1)
        return keep_best(draw, [self.total(grid)], grid).view(grid.tiles, -1).sum(1).tolist()

    def scores(self, vision: Vision) -> Tensor:
        """The draw."""
        return self._draw(vision.grid)

    def _draw(self, grid: TileGrid) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        return torch.rand(grid.tiles, grid.patches, generator=generator)
