"""HiPrune: what a middle layer looks at, what lies around it, and what a deep layer looks at."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from hired.encode import Taps, Vision
from hired.selectors.base import candidate_mask, keep_best, read_finite
from hired.selectors.per_tile import PerTile, lift
from hired.settings import Layer, Share, declared

DEPTH = 8 / 22  # the paper's object layer, the 9th of CLIP ViT-L/14, to the one that feeds LLaVA
CROSS = 5  # an anchor and its four neighbours


@dataclass(frozen=True)
class HiPrune(PerTile):
    """Anchors, buffers and registers (Liu et al. 2025, arXiv 2508.00553).

    A layer's score of a patch is the attention that it receives from all tokens, the mean over
    heads and queries. Of each tile's T patches, round(α·T / 5) are anchors, those with the highest
    score in a middle layer, which looks at objects; their neighbours above, below, left and right
    are buffers; the rest are registers, those with the highest score in the deep layer.

    Ours: a neighbour is one in the picture, where the published code goes on in the next row;
    letterbox patches are none of the three; every tile keeps the same share of its candidates;
    with an α near 1, buffers that would be too many give way by the deep layer's score. The two
    maps take about as long as a block of the tower (CLIP ViT-L/14, 5 tiles, one CPU thread).

    Attributes:
        object_share: α, the share of each tile's budget for anchors and buffers.
        object_layer: layer that picks the anchors; None for the one as deep as the paper's.
        deep_layer: layer that picks the registers; None for the one that feeds the projector.
    """

    object_share: float = declared(
        0.1,
        Share(
            label="Object share",
            help="share of each tile's budget for what the middle layer picks, neighbours included",
        ),
    )
    object_layer: int | None = declared(
        None,
        Layer(
            auto=True,
            label="Object layer",
            help="layer in the middle that picks objects; auto: as deep as the paper's, the 9th of "
            "24",
        ),
    )
    deep_layer: int | None = declared(
        None,
        Layer(
            auto=True,
            label="Deep layer",
            help="layer that picks the rest; auto: the one that feeds the projector",
        ),
    )

    name: ClassVar[str] = "hiprune"
    title: ClassVar[str] = "HiPrune"
    paper: ClassVar[str] = "https://arxiv.org/abs/2508.00553"
    summary: ClassVar[str] = "Objects by a middle layer's attention, the rest by a deep one's."

    def layers(self, feature_tap: int) -> tuple[int, int]:
        """The object layer and the deep one."""
        middle = round(DEPTH * feature_tap) if self.object_layer is None else self.object_layer
        return middle, feature_tap if self.deep_layer is None else self.deep_layer

    def taps(self, feature_tap: int) -> Taps:
        """The attention that patches receive in both layers; no CLS token is asked."""
        return Taps(received=self.layers(feature_tap))

    def scores(self, vision: Vision) -> Tensor:
        """The deep layer's; buffers are lifted above the rest and anchors above them."""
        grid, shares = vision.grid, self.shares(vision)
        middle, deep = (
            read_finite(vision.received[layer]) for layer in self.layers(vision.feature_tap)
        )
        counts = [round(share * self.object_share / CROSS) for share in shares]
        anchors = keep_best(middle, counts, grid)
        buffers = neighbours(anchors, grid.side) & candidate_mask(grid) & ~anchors
        return lift(deep, buffers + 2 * anchors.int())


def neighbours(mask: Tensor, side: int) -> Tensor:
    """Patches with an edge in common with one of `mask`, or of it, bool (T, side²)."""
    map_ = mask.view(-1, 1, side, side).float()
    upright = max_pool2d(map_, (3, 1), stride=1, padding=(1, 0))
    across = max_pool2d(map_, (1, 3), stride=1, padding=(0, 1))
    return torch.maximum(upright, across).view_as(mask) > 0
