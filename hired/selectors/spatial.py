"""Uniform subsampling: every k-th patch."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hired.encode import Vision
from hired.selectors.base import Selector, candidate_mask
from hired.selectors.per_tile import even_sample
from hired.tiles import TileGrid


@dataclass(frozen=True)
class Spatial(Selector):
    """Every k-th candidate in raster order, k = candidates / B, so the count is exact.

    The "Spatial" baseline of HiRED's Table 1; the paper does not define it at an exact count.
    """

    name: ClassVar[str] = "spatial"
    title: ClassVar[str] = "Every k-th patch"
    paper: ClassVar[str] = "https://arxiv.org/abs/2408.10945 (baseline, Table 1)"
    summary: ClassVar[str] = "An even sample of the patches, blind to the image."

    def budgets(self, grid: TileGrid, overview: Tensor | None) -> list[int]:
        """The comb's count in each tile, known before anything is encoded."""
        return self._comb(grid).long().sum(dim=1).tolist()

    def scores(self, vision: Vision) -> Tensor:
        """1 on the comb, 0 beside it."""
        return self._comb(vision.grid)

    def _comb(self, grid: TileGrid) -> Tensor:
        candidates = candidate_mask(grid).flatten().nonzero().squeeze(1)
        comb = torch.zeros(grid.nominal, dtype=torch.float32)
        comb[even_sample(candidates, self.total(grid))] = 1.0
        return comb.view(grid.tiles, grid.patches)
