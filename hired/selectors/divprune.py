"""DivPrune: the patches that are least alike."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hired.encode import Vision
from hired.selectors.base import Selector, candidate_mask
from hired.selectors.farthest import pick_farthest
from hired.settings import Flag, declared


@dataclass(frozen=True)
class DivPrune(Selector):
    """Greedy max–min diversity (Alvar et al. 2025, arXiv 2503.02175).

    Wanted is the set S of B patches with the largest min d(i, j) over i ≠ j in S, d = 1 − cosine
    of the features. The first patch is the one whose nearest neighbour is farthest away; then,
    again and again, the one farthest from its nearest among those chosen.

    Ours: distances are taken on the features before the projector, so that only kept patches are
    projected, where the paper's are taken after it. As there, all tiles compete with each other;
    letterbox patches do not take part.

    Attributes:
        centred: take the mean feature of the image off every feature before their distances
            ("Cen-Prune"). Not part of DivPrune: off by default.
    """

    centred: bool = declared(
        False,
        Flag(label="Centred", help="distances between features less the image's mean feature"),
        kw_only=True,
    )

    name: ClassVar[str] = "divprune"
    title: ClassVar[str] = "DivPrune"
    paper: ClassVar[str] = "https://arxiv.org/abs/2503.02175"
    summary: ClassVar[str] = "Patches as different from each other as can be, blind to attention."

    def scores(self, vision: Vision) -> Tensor:
        """Chosen patches by the order they were chosen in, 0 for the others."""
        grid = vision.grid
        total, scores = self.total(grid), torch.zeros(grid.nominal, dtype=torch.float32)
        candidates = candidate_mask(grid).flatten().nonzero().flatten()
        if total < len(candidates):
            features = vision.features.flatten(0, 1)
            if len(candidates) < grid.nominal:
                features = features[candidates.to(features.device)]
            features = features.float()
            if self.centred:
                features = features - features.mean(dim=0)
            order = most_diverse(features, total)
            scores[candidates[order]] = torch.arange(total, 0, -1, dtype=torch.float32)
        return scores.view(grid.tiles, grid.patches)


def most_diverse(features: Tensor, count: int) -> Tensor:
    """Indices of `count` rows of `features` (n, D) in the order they are chosen; on the CPU.

    A row without direction, of zeros or of what is no number, is at distance 1 from every other.
    """
    return pick_farthest(normalize(features, dim=-1).nan_to_num_(0.0), count)
