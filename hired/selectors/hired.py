"""HiRED as the paper states it, at an exact budget."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hired.budget import split_budget
from hired.encode import Taps, Vision
from hired.errors import SettingError
from hired.selectors.base import Selection, Selector, region_sums
from hired.selectors.evit import fuse_dropped
from hired.settings import Flag, Heads, Layer, Share, declared
from hired.tiles import TileGrid


@dataclass(frozen=True)
class HiRED(Selector):
    """High-Resolution Early Dropping (arXiv 2408.10945, section 4).

    CLS attention of an early layer over the overview shares the budget out among the crops; CLS
    attention of the final one picks the patches of each tile.

    Attributes:
        alpha: the overview's share of the budget, 0 to 1.
        init_layer: layer whose CLS attention shares the budget out.
        final_layer: layer whose CLS attention ranks the patches; None for the one whose output
            feeds the projector (22 of 24 for `vision_feature_layer=-2`).
        heads: "sum" or "max" over the heads, or one head's index; applies to both taps.
        fuse: put EViT's fused token in the place of each tile's weakest kept patch, so that what
            is dropped leaves a trace; the count stays. Not part of HiRED: off by default.

    Differs from the release: see `hired.selectors.release`.
    """

    alpha: float = declared(
        0.5,
        Share(label="α", help="the overview's share of the budget"),
    )
    init_layer: int = declared(
        0, Layer(label="Init layer", help="layer whose CLS attention shares the budget out")
    )
    final_layer: int | None = declared(
        None,
        Layer(
            auto=True,
            label="Final layer",
            help="layer whose CLS attention picks the patches; auto: the one that feeds the "
            "projector",
        ),
    )
    heads: str | int = declared(
        "sum", Heads(label="Heads", help="sum or max over the heads, or the number of one head")
    )
    fuse: bool = declared(
        False,
        Flag(
            label="Fused token",
            help="the weakest kept patch of each tile becomes a mean of what is dropped from it",
        ),
        kw_only=True,
    )

    name: ClassVar[str] = "hired"
    title: ClassVar[str] = "HiRED"
    paper: ClassVar[str] = "https://arxiv.org/abs/2408.10945"
    summary: ClassVar[str] = "Early CLS attention shares the budget out, late CLS attention picks."

    def taps(self, feature_tap: int) -> Taps:
        """l_init and l_final."""
        return Taps(self.init_layer, feature_tap if self.final_layer is None else self.final_layer)

    def content(self, grid: TileGrid, overview: Tensor) -> list[float]:
        """Visual content score s_i of each crop (HiRED, Eq. 1): overview attention in its region.

        Args:
            grid: where the tiles lie.
            overview: init-layer CLS attention of the overview, (H, N).

        Differs from the release: attention mass in the crop's region, not a count of top tokens
        in bands of rows.
        """
        return region_sums(grid, merge_heads(overview, self.heads))

    def budgets(self, grid: TileGrid, overview: Tensor | None) -> list[int]:
        """The overview's share first, then the crops by their content (section 4.2)."""
        assert overview is not None  # `taps` asks for it
        content = self.content(grid, overview)
        return split_budget(self.total(grid), self.alpha, content, grid.caps)

    def scores(self, vision: Vision) -> Tensor:
        """Feature importance f_p (HiRED, Eq. 2): final-layer CLS attention over the heads."""
        layer = vision.feature_tap if self.final_layer is None else self.final_layer
        return merge_heads(vision.cls[layer], self.heads)

    def merge(self, vision: Vision, selection: Selection) -> Tensor | None:
        """With `fuse`, one token per tile for all that is dropped from it."""
        return fuse_dropped(vision.features, selection) if self.fuse else None


def merge_heads(attention: Tensor, heads: str | int) -> Tensor:
    """(..., H, N) -> (..., N) by "sum", "max" or one head's index.

    Raises:
        SettingError: there is no such head.
    """
    if heads == "sum":
        return attention.sum(dim=-2)
    if heads == "max":
        return attention.amax(dim=-2)
    index = int(heads)
    if index >= attention.shape[-2]:
        raise SettingError(
            f"heads must be 'sum', 'max' or a head of this vision tower, 0 to "
            f"{attention.shape[-2] - 1}; got {heads}."
        )
    return torch.select(attention, -2, index)
