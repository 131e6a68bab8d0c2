"""DivPrune: the patches that are least alike."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hired.selectors.base import Selector, candidate_mask
from hired.vision import Vision


@dataclass(frozen=True)
class DivPrune(Selector):
    """Greedy max–min diversity (Alvar et al. 2025, arXiv 2503.02175).

    Wanted is the set S of B patches with the largest min d(i, j) over i ≠ j in S, d = 1 − cosine
    of the features. The first patch is the one whose nearest neighbour is farthest away; then,
    again and again, the one farthest from its nearest among those chosen.

    Ours: distances are taken on the features before the projector, so that only kept patches are
    projected, where the paper's are taken after it. As there, all tiles compete with each other;
    letterbox patches do not take part.
    """

    name: ClassVar[str] = "divprune"
    title: ClassVar[str] = "DivPrune"
    paper: ClassVar[str] = "https://arxiv.org/abs/2503.02175"
    summary: ClassVar[str] = "Patches as different from each other as can be, blind to attention."

    def scores(self, vision: Vision) -> Tensor:
        """Chosen patches by the order they were chosen in, 0 for the others."""
        grid = vision.grid
        total, scores = self.total(grid), torch.zeros(grid.nominal)
        candidates = candidate_mask(grid).flatten().nonzero().flatten()
        if total < len(candidates):
            features = vision.features.flatten(0, 1)
            order = most_diverse(features[candidates.to(features.device)].float(), total)
            scores[candidates[order]] = torch.arange(total, 0, -1, dtype=torch.float32)
        return scores.view(grid.tiles, grid.patches)


def most_diverse(features: Tensor, count: int) -> Tensor:
    """Indices of `count` rows of `features` (n, D) in the order they are chosen; on the CPU."""
    unit = normalize(features, dim=-1)
    distance = 1 - unit @ unit.T  # (n, n)
    distance.fill_diagonal_(torch.inf)
    # Never an index that the CPU would have to read: the device is waited for once, at the end.
    chosen = [distance.amin(dim=1).argmax(dim=0, keepdim=True)]
    nearest = distance.index_select(0, chosen[0])[0].index_fill_(0, chosen[0], -torch.inf)
    for _ in range(count - 1):
        chosen.append(nearest.argmax(dim=0, keepdim=True))
        nearest = torch.minimum(nearest, distance.index_select(0, chosen[-1])[0])
        nearest.index_fill_(0, chosen[-1], -torch.inf)
    return torch.cat(chosen).cpu()
