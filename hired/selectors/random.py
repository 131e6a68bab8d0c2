"""Random dropping, the control every method has to beat."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hired.encode import Vision
from hired.selectors.base import Selector, keep_best
from hired.settings import Whole, declared
from hired.tiles import TileGrid

SEED = Whole(
    high=2**31 - 1,  # exact in JSON and in every form
    label="Seed",
    help="of the draw; the same seed draws the same patches",
)


@dataclass(frozen=True)
class Random(Selector):
    """Candidates drawn without replacement, each tile equally likely; same seed, same draw."""

    seed: int = declared(0, SEED)

    name: ClassVar[str] = "random"
    title: ClassVar[str] = "Random"
    paper: ClassVar[str] = "a control, no paper"
    summary: ClassVar[str] = "Patches drawn at random from a seed, blind to the image."

    def budgets(self, grid: TileGrid, overview: Tensor | None) -> list[int]:
        """The draw's count in each tile, known before anything is encoded."""
        draw = self._draw(grid).view(1, -1)
        return keep_best(draw, [self.total(grid)], grid).view(grid.tiles, -1).sum(1).tolist()

    def scores(self, vision: Vision) -> Tensor:
        """The draw."""
        return self._draw(vision.grid)

    def _draw(self, grid: TileGrid) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        return torch.rand(grid.tiles, grid.patches, generator=generator, dtype=torch.float32)
