"""SCOPE: patches that are salient and cover what no chosen one is like yet."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from hired.encode import Vision
from hired.selectors.base import candidate_mask
from hired.selectors.per_tile import PerTile, mean_attention


@dataclass(frozen=True)
class Scope(PerTile):
    """Saliency and coverage in one score (Deng et al. 2025, arXiv 2510.24214).

    A set S covers patch v by max sim(v, s) over s in S, sim the cosine of the features. The gain
    of one more patch u is what the covers of all patches grow by, Σ_v max(0, sim(v, u) − cover);
    chosen is, again and again, the patch with the largest gain · a_u, a its CLS attention.

    Written from the abstract and reviews of the paper, neither from its full text nor its code,
    which has no licence. They confirm the greedy choice by coverage gain with saliency in it, and
    cosine as the similarity. Not confirmed: that saliency enters without an exponent, and that the
    gain is a sum over all patches, the usual one of set coverage. Ours: features before the
    projector, nothing is covered below 0 (a patch that is the opposite of all chosen counts as
    uncovered), every tile keeps the same share of its candidates and is covered by its own.
    """

    name: ClassVar[str] = "scope"
    title: ClassVar[str] = "SCOPE"
    paper: ClassVar[str] = "https://arxiv.org/abs/2510.24214"
    summary: ClassVar[str] = "Salient patches that cover what is not like any chosen one yet."

    def scores(self, vision: Vision) -> Tensor:
        """Chosen patches by the order they were chosen in their tile, 0 for the others."""
        grid, attention = vision.grid, mean_attention(vision)
        shares = self.shares(vision)
        open_ = candidate_mask(grid)
        scores = torch.zeros(open_.shape, dtype=torch.float32)
        # One copy of all, as every step asks for numbers.
        features = vision.features.cpu()
        for tile, share in enumerate(shares):
            if share == 0:
                continue
            candidates = open_[tile].nonzero().flatten()
            order = most_covering(features[tile, candidates], attention[tile, candidates], share)
            scores[tile, candidates[order]] = torch.arange(share, 0, -1, dtype=torch.float32)
        return scores


def most_covering(features: Tensor, saliency: Tensor, count: int) -> Tensor:
    """Indices of `count` rows in the order they are chosen; on the CPU.

    A choice changes the cover of those patches alone that are more like it than like any before,
    so only their part of the gains is counted again. Equal scores keep the lower index.

    Args:
        features: (n, D).
        saliency: (n,), not negative.
        count: at most n.
    """
    unit = normalize(features.float(), dim=-1).nan_to_num(0.0)
    alike = (unit @ unit.T).clamp_(min=0).double().numpy()  # (n, n)
    weights = saliency.double().numpy()
    cover, gain = np.zeros(len(alike)), alike.sum(axis=0)
    taken, chosen = np.zeros(len(alike), bool), []
    for _ in range(count):
        best = _best(gain, weights, taken)
        chosen.append(best)
        taken[best] = True
        grown = np.flatnonzero(alike[best] > cover)
        before, after = cover[grown], alike[best, grown]
        # max(0, r − before) − max(0, r − after) is r held between the two, less `before`.
        held = np.clip(alike[grown], before[:, None], after[:, None])
        gain -= held.sum(axis=0) - before.sum()
        cover[grown] = after
    return torch.tensor(chosen)


def _best(gain: NDArray[np.float64], weights: NDArray[np.float64], taken: NDArray) -> int:
    """The open row of the largest score; where all scores are 0 the most salient one."""
    score = np.where(taken, -1.0, np.maximum(gain, 0) * weights)
    best = int(score.argmax())
    return best if score[best] > 0 else int(np.where(taken, -1.0, weights).argmax())
