"""GlobalCom²: the overview decides how much each crop keeps and has a say in which patches."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize, pad

from hired.budget import allocate
from hired.encode import Taps, Vision
from hired.selectors.base import Selector, candidate_mask, read_finite, region_sums
from hired.selectors.per_tile import mean_attention
from hired.tiles import TileGrid

TEMPERATURE = 10.0


@dataclass(frozen=True)
class GlobalCom2(Selector):
    """Global compression commander (Liu et al. 2025, arXiv 2501.05179).

    The overview keeps a share R, crop i a share r_i = R(1 + σ_i − 1/k), σ the softmax with τ = 10
    of the overview's CLS attention summed over each of the k crops. Patches of a crop are ranked
    by its own CLS attention plus the overview's, stretched over the crop, each of length 1.

    Ours: the count over the whole image is exact (shares and caps as HiRED rounds them), crop
    regions go through the letterbox, and newlines follow `newline` like every method's; the
    published code keeps them. Attention averaged over heads sums to at most 1, so at τ = 10 the
    crops' shares are almost even, there as here.
    """

    name: ClassVar[str] = "globalcom2"
    title: ClassVar[str] = "GlobalCom²"
    paper: ClassVar[str] = "https://arxiv.org/abs/2501.05179"
    summary: ClassVar[str] = "The overview shares the budget out and helps to rank every crop."

    def taps(self, feature_tap: int) -> Taps:
        """CLS attention of the feature layer, of the overview first."""
        return Taps(feature_tap, feature_tap)

    def budgets(self, grid: TileGrid, overview: Tensor | None) -> list[int]:
        """B in proportion to R·N for the overview and r_i times its candidates for each crop."""
        assert overview is not None  # `taps` asks for it
        attention = read_finite(overview.float().mean(dim=0))
        weights = [1.0, *crop_ratios(grid, attention)]
        shares = [weight * cap for weight, cap in zip(weights, grid.caps, strict=True)]
        return allocate(self.total(grid), shares, grid.caps)

    def scores(self, vision: Vision) -> Tensor:
        """The overview's own attention; in the crops local plus global attention."""
        grid, attention = vision.grid, mean_attention(vision)
        attention = attention * candidate_mask(grid)
        if grid.tiles == 1:
            return attention
        local, global_ = attention[1:], stretch(grid, attention[0])
        crops = normalize(local, dim=1) + normalize(global_, dim=1)
        return torch.cat([attention[:1], crops])


def crop_ratios(grid: TileGrid, overview: Tensor) -> list[float]:
    """r_i / R of each crop, from the overview's CLS attention (N,)."""
    sums = region_sums(grid, overview)
    top = max(sums, default=0.0)
    powers = [math.exp((mass - top) / TEMPERATURE) for mass in sums]
    return [1 + power / sum(powers) - 1 / len(powers) for power in powers]


def stretch(grid: TileGrid, overview: Tensor) -> Tensor:
    """The overview's map (N,) over the unpadded canvas, cut into crops: (T - 1, N)."""
    top, bottom, left, right = grid.unpadded
    side, height, width = grid.side, grid.rows * grid.side, grid.cols * grid.side
    if bottom == top or right == left:  # an image so thin that unpad leaves nothing of the crops
        return overview.new_zeros(grid.tiles - 1, grid.patches)
    map_ = interpolate(
        overview.view(1, 1, side, side), size=(bottom - top, right - left), mode="bilinear"
    )
    canvas = pad(map_[0, 0], (left, width - right, top, height - bottom))
    return canvas.view(grid.rows, side, grid.cols, side).transpose(1, 2).reshape(-1, side * side)
