"""VisPruner: half by CLS attention, half by not being a duplicate."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from hired.budget import floor_share
from hired.encode import Vision
from hired.selectors.base import candidate_mask, keep_best
from hired.selectors.per_tile import PerTile, lift, mean_attention
from hired.settings import Share, declared

STEP = 8  # duplicates removed per round
SHRINK = 0.6  # of the rows are left: go on with them alone


@dataclass(frozen=True)
class VisPruner(PerTile):
    """Important patches, then distinct ones (Zhang et al. 2025, arXiv 2412.01818v2).

    Of each tile's T tokens, r·T are those with the highest CLS attention. The others are thinned
    out round by round: in order of attention they are split alternately into two sets, and the
    patches of the first that are most like any of the second (cosine of features) are removed.

    Every tile keeps the same share of its candidates; the exact count is ours, and so is that
    letterbox patches are never among those compared.

    Attributes:
        important: r, the share of each tile's budget that goes by attention.
    """

    important: float = declared(
        0.5,
        Share(
            label="Important share",
            help="share of each tile's budget that goes by attention",
        ),
    )

    name: ClassVar[str] = "vispruner"
    title: ClassVar[str] = "VisPruner"
    paper: ClassVar[str] = "https://arxiv.org/abs/2412.01818v2"
    summary: ClassVar[str] = "Half by CLS attention, half what is least like the rest."

    def scores(self, vision: Vision) -> Tensor:
        """Attention; distinct patches are lifted above the rest and important ones above them."""
        grid, attention = vision.grid, mean_attention(vision)
        shares = self.shares(vision)
        first = [floor_share(self.important, share) for share in shares]
        important = keep_best(attention, first, grid)
        rest = candidate_mask(grid) & ~important
        distinct = torch.zeros_like(rest)
        for tile, share in enumerate(shares):
            left = rest[tile].nonzero().flatten()
            left = left[attention[tile, left].argsort(descending=True, stable=True)]
            kept = thin_out(vision.features[tile, left].float(), share - first[tile])
            distinct[tile, left[kept]] = True
        return lift(attention, distinct + 2 * important.int())


def thin_out(features: Tensor, wanted: int) -> Tensor:
    """Indices of `wanted` of the rows of `features` (n, D) after removing duplicates by rounds.

    Every round asks other pairs, and the order of all that stay decides the next one, so all pairs
    of a tile are compared: their product alone is two thirds of the time.
    """
    names = torch.arange(len(features))
    if wanted == 0:
        return names[:0]
    unit = normalize(features, dim=-1)
    alike, left = (unit @ unit.T).cpu(), names.numpy()
    while len(left) > wanted:
        if len(left) < SHRINK * len(alike):  # rows and columns of the removed only cost reading
            kept = torch.from_numpy(left)
            alike = alike.index_select(0, kept).index_select(1, kept)
            names, left = names[kept], np.arange(len(left))
        first, second = left[::2], left[1::2]
        nearest = alike.numpy()[second].max(axis=0)[first]
        drop = min(STEP, len(left) - wanted, len(first))
        stay = np.argsort(-nearest, kind="stable")[drop:]
        left = np.concatenate([first[stay], second])
    return names[torch.from_numpy(left)]
