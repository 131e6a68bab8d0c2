"""The published release's selection, defects included, so that its numbers can be traced."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hired.budget import split_budget
from hired.encode import Vision
from hired.selectors.base import Selection, candidate_mask, read_finite
from hired.selectors.hired import HiRED, merge_heads
from hired.settings import Flag, declared
from hired.tiles import TileGrid


@dataclass(frozen=True)
class HiREDRelease(HiRED):
    """The selection of hasanar1f/HiRED as published, before unpad.

    It differs from the paper in three places: a crop's score counts how many of the overview's
    top tokens fall into a band of rows rather than the attention in the crop's region; shares are
    truncated and what a full tile cannot take is lost; and letterbox patches are picked too, so
    fewer tokens than budgeted reach the language model. `Selection.mask` is the release's mask,
    `Selection.kept` what is left of it. Its swap of grid height and width is not reproduced.

    Attributes:
        exact: keep the release's shares but round them as `hired` does, over candidates.
    """

    exact: bool = declared(
        False,
        Flag(label="Exact count", help="the release's shares, rounded to the exact budget"),
    )

    name: ClassVar[str] = "hired-release"
    title: ClassVar[str] = "HiRED, release"
    paper: ClassVar[str] = "https://github.com/hasanar1f/HiRED"
    summary: ClassVar[str] = "The published code's selection: row bands, truncated budgets."
    fixed_count: ClassVar[bool] = False

    def content(self, grid: TileGrid, overview: Tensor) -> list[float]:
        """Top overview tokens per band of rows; the bands are crops in name only."""
        attention = read_finite(merge_heads(overview, self.heads))
        top = torch.zeros(grid.patches, dtype=torch.float32)
        top[attention.topk(int(grid.patches * (1 - self.alpha))).indices] = 1.0
        crops = grid.tiles - 1
        return [float(band.sum()) for band in top.tensor_split(crops)] if crops else []

    def budgets(self, grid: TileGrid, overview: Tensor | None) -> list[int]:
        """Truncated shares; remainder and excess are lost unless `exact`."""
        assert overview is not None  # `taps` asks for it
        content = self.content(grid, overview)
        if self.exact:
            return split_budget(self.total(grid), self.alpha, content, grid.caps)
        total = self.budget if isinstance(self.budget, int) else int(self.budget * grid.nominal)
        first = min(int(self.alpha * total), grid.patches)
        mass = sum(content) or 1.0
        rest = [int((total - first) * score / mass) for score in content]
        shares = [first, *(min(share, grid.patches) for share in rest)]
        return shares if any(shares) else [1, *shares[1:]]  # a prompt needs something to look at

    def select(self, vision: Vision) -> Selection:
        """The best patches of each tile, letterbox or not; with `exact`, candidates only."""
        if self.exact:
            return super().select(vision)
        scores = read_finite(self.scores(vision))
        budgets = self.shares(vision)
        assert budgets is not None  # the scores play no part in them
        mask = torch.zeros_like(candidate_mask(vision.grid))
        for row, budget in enumerate(budgets):
            mask[row, scores[row].topk(budget).indices] = True
        selection = Selection(
            vision.grid, mask, budgets, self.newline, scores, positions=self.positions
        )
        return self.finish(vision, selection)
