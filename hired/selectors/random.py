"""Random dropping, the control every method has to beat."""

from dataclasses import dataclass
from numbers import Integral
from typing import ClassVar

import torch
from torch import Tensor

from hired.errors import SettingError
from hired.selectors.base import Selector, keep_best
from hired.tiles import TileGrid
from hired.vision import Vision


@dataclass(frozen=True)
class Random(Selector):
    """Candidates drawn without replacement, each tile equally likely; same seed, same draw."""

    seed: int = 0

    name: ClassVar[str] = "random"
    title: ClassVar[str] = "Random"
    paper: ClassVar[str] = "a control, no paper"
    summary: ClassVar[str] = "Patches drawn at random from a seed, blind to the image."

    def __post_init__(self) -> None:
        """Check the seed."""
        super().__post_init__()
        if not isinstance(self.seed, Integral) or isinstance(self.seed, bool) or self.seed < 0:
            raise SettingError(f"seed is a whole number from 0 up; got {self.seed!r}.")

    def budgets(self, grid: TileGrid, overview: Tensor | None) -> list[int]:
        """What the draw gives each tile: known before anything is encoded."""
        draw = self._draw(grid).view(1, -1)
        return keep_best(draw, [self.total(grid)], grid).view(grid.tiles, -1).sum(1).tolist()

    def scores(self, vision: Vision) -> Tensor:
        """The draw."""
        return self._draw(vision.grid)

    def _draw(self, grid: TileGrid) -> Tensor:
        generator = torch.Generator().manual_seed(int(self.seed))
        return torch.rand(grid.tiles, grid.patches, generator=generator)
