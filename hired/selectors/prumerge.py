"""PruMerge and PruMerge+: attention outliers, dropped patches merged into them by key."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hired.encode import Taps, Vision
from hired.selectors.base import Selection, candidate_mask, keep_best
from hired.selectors.per_tile import PerTile, even_sample, lift, mean_attention, take_rows
from hired.tiles import TileGrid

NEIGHBOURS = 32


@dataclass(frozen=True)
class PruMerge(PerTile):
    """PruMerge at an exact budget (Shang et al. 2024, arXiv 2403.15388).

    Kept are the patches with the highest CLS attention. Each takes in its 32 nearest by key
    (cosine), weighted with their CLS attention: y'_p = y_p + Σ_q a_q y_q, kept ones among them,
    as in the published code.

    Ours: the count is given instead of found (see `prumerge-adaptive`), each tile keeps the same
    share of its candidates, attention and keys are those of the layer that feeds the projector
    (the code reads the one after it), and the attention is the mean of the heads' (the code runs
    one softmax over all heads together).
    """

    name: ClassVar[str] = "prumerge"
    title: ClassVar[str] = "PruMerge"
    paper: ClassVar[str] = "https://arxiv.org/abs/2403.15388"
    summary: ClassVar[str] = "CLS attention picks, each pick takes in its neighbours by key."

    def taps(self, feature_tap: int) -> Taps:
        """CLS attention and keys of the feature layer."""
        return Taps(final=feature_tap, keys=feature_tap)

    def merge(self, vision: Vision, selection: Selection) -> Tensor:
        """Every kept patch with its neighbours added."""
        assert vision.keys is not None  # `taps` asks for them
        merged, attention = vision.features.clone(), mean_attention(vision)
        open_ = candidate_mask(vision.grid)
        for tile in range(vision.grid.tiles):
            candidates = open_[tile].nonzero().flatten()
            kept = selection.mask[tile, candidates].nonzero().flatten()
            if len(kept):
                features = take_rows(vision.features[tile], candidates).float()
                keys = take_rows(vision.keys[tile], candidates).float()
                weights = attention[tile, candidates].to(features.device)
                added = add_neighbours(features, keys, weights, kept)
                merged[tile, candidates[kept]] = added.to(merged.dtype)
        return merged


@dataclass(frozen=True)
class PruMergePlus(PruMerge):
    """PruMerge+ at an exact budget: a quarter outliers, the rest an even sample.

    The published code adds about three evenly spaced patches per outlier, hence the quarter.
    """

    name: ClassVar[str] = "prumerge-plus"
    title: ClassVar[str] = "PruMerge+"
    summary: ClassVar[str] = "A quarter by CLS attention, the rest evenly spaced, then merged."

    def scores(self, vision: Vision) -> Tensor:
        """Attention; the even sample is lifted above the rest and the outliers above it."""
        grid, attention = vision.grid, mean_attention(vision)
        shares = self.shares(vision)
        quarter = [-(-share // 4) for share in shares]
        outliers = keep_best(attention, quarter, grid)
        rest, sample = candidate_mask(grid) & ~outliers, torch.zeros_like(outliers)
        for tile, share in enumerate(shares):
            left = rest[tile].nonzero().flatten()
            sample[tile, even_sample(left, share - quarter[tile])] = True
        return lift(attention, sample + 2 * outliers.int())


@dataclass(frozen=True)
class PruMergeAdaptive(PruMerge):
    """PruMerge with the count it finds itself: attention above Q3 + 1.5 IQR of its tile.

    `budget` plays no part, and the number of visual tokens depends on the image's content. A tile
    without outliers keeps nothing; an image without any keeps the overview's best patch.
    """

    name: ClassVar[str] = "prumerge-adaptive"
    title: ClassVar[str] = "PruMerge, adaptive"
    summary: ClassVar[str] = "Keeps what attention singles out, however much; merges the rest."
    fixed_count: ClassVar[bool] = False
    unused: ClassVar[tuple[str, ...]] = ("budget",)

    def budgets(self, grid: TileGrid, overview: Tensor | None) -> None:
        """Unknown until every tile has been seen."""

    def select(self, vision: Vision) -> Selection:
        """The outliers of every tile."""
        grid, attention = vision.grid, mean_attention(vision)
        mask = torch.zeros_like(candidate_mask(grid))
        for tile, open_ in enumerate(candidate_mask(grid)):
            candidates = open_.nonzero().flatten()
            if len(candidates):
                mask[tile, candidates[self.pick(attention[tile, candidates])]] = True
        if not mask.any():
            mask = keep_best(attention, [1] + [0] * (grid.tiles - 1), grid)
        counts = mask.sum(dim=1).tolist()
        return self.finish(
            vision, Selection(grid, mask, counts, self.newline, attention, positions=self.positions)
        )

    def pick(self, attention: Tensor) -> Tensor:
        """Pick a tile's candidates: bool (n,) from their CLS attention (n,)."""
        return find_outliers(attention)


@dataclass(frozen=True)
class PruMergePlusAdaptive(PruMergeAdaptive):
    """PruMerge+ as published: outliers, and every (1/3)·(n/outliers)-th patch beside them."""

    name: ClassVar[str] = "prumerge-plus-adaptive"
    title: ClassVar[str] = "PruMerge+, adaptive"
    summary: ClassVar[str] = "What attention singles out and about three times as many even ones."

    def pick(self, attention: Tensor) -> Tensor:
        """Outliers and the even sample."""
        outliers = find_outliers(attention)
        found = int(outliers.sum())
        if found:
            outliers[:: max(1, len(attention) // found // 3)] = True
        return outliers


def find_outliers(attention: Tensor) -> Tensor:
    """Attention above the upper fence Q3 + 1.5·(Q3 − Q1), bool (n,)."""
    low, high = torch.quantile(attention, attention.new_tensor([0.25, 0.75]))
    return attention > high + 1.5 * (high - low)


def add_neighbours(features: Tensor, keys: Tensor, weights: Tensor, kept: Tensor) -> Tensor:
    """Features of `kept`, each with its nearest neighbours by key added, weighted.

    Args:
        features, keys: of a tile's candidates, (n, D).
        weights: their CLS attention, (n,).
        kept: indices of those to update.

    Returns:
        (len(kept), D).
    """
    unit = normalize(keys, dim=-1)
    kept = kept.to(unit.device)
    alike = unit[kept] @ unit.T  # (kept, n)
    alike[torch.arange(len(kept), device=unit.device), kept] = -torch.inf  # not itself
    nearest = alike.topk(min(NEIGHBOURS, len(features) - 1), dim=1).indices
    shares = torch.zeros_like(alike).scatter_(1, nearest, weights[nearest])
    return features[kept] + shares @ features
