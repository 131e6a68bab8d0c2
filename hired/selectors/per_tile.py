"""The base of methods that were published for one ViT input: the same rate in every tile."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hired.budget import allocate
from hired.encode import Taps, Vision
from hired.selectors.base import Selector, read_finite
from hired.tiles import TileGrid


@dataclass(frozen=True)
class PerTile(Selector):
    """CLS attention of the layer whose output is the feature, ranked in each tile on its own.

    These methods treat every partition alike. At an exact budget that means: each tile gets the
    same share of its candidates, largest remainder, ties to the earlier tile.
    """

    def taps(self, feature_tap: int) -> Taps:
        """The feature layer; its last block would not reach the language model."""
        return Taps(final=feature_tap)

    def budgets(self, grid: TileGrid, overview: Tensor | None) -> list[int] | None:
        """The same rate for every tile: known before anything is encoded."""
        return allocate(self.total(grid), grid.caps, grid.caps)

    def shares(self, vision: Vision) -> list[int]:
        """Patches for each tile; they never depend on the scores here."""
        found = super().shares(vision)
        assert found is not None
        return found

    def scores(self, vision: Vision) -> Tensor:
        """CLS attention, mean over the heads."""
        return mean_attention(vision)


def mean_attention(vision: Vision) -> Tensor:
    """CLS attention of the feature layer, mean over the heads: (T, N) float32 on the CPU."""
    return read_finite(vision.cls[vision.feature_tap].float().mean(dim=1))


def lift(scores: Tensor, mask: Tensor, level: int = 1) -> Tensor:
    """Scores in which every patch of `mask` outranks every patch below its level; (T, N)."""
    return scores + mask * (level * (scores.amax() - scores.amin() + 1))


def even_sample(indices: Tensor, count: int) -> Tensor:
    """`count` of `indices`: the middle of each of as many equal stretches."""
    return indices[(torch.arange(count) * 2 + 1) * len(indices) // max(1, 2 * count)]


def take_rows(rows: Tensor, indices: Tensor) -> Tensor:
    """Rows of a tile (N, D) by rising indices; not copied where they are all of them."""
    return rows if len(indices) == len(rows) else rows[indices]
