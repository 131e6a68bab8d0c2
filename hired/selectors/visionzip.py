"""VisionZip: dominant patches by CLS attention, the rest merged into a few contextual tokens."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hired.budget import floor_share
from hired.encode import Taps, Vision
from hired.selectors.base import Selection, candidate_mask, keep_best
from hired.selectors.per_tile import PerTile, lift, mean_attention
from hired.settings import Share, declared


@dataclass(frozen=True)
class VisionZip(PerTile):
    """Dominant and contextual tokens (Yang et al. 2024, arXiv 2412.04467).

    Of each tile's budget the dominant part goes to the patches with the highest CLS attention.
    Evenly spaced targets among the others take the rest; every remaining patch goes to the target
    whose key is most like its own (cosine), and a contextual token is the target plus the mean
    of what came to it, as in the published code.

    Ours: every tile keeps the same share of its candidates, exactly; a contextual token stands
    where its target stood; CLS itself is not among the dominant tokens; keys are compared with
    their heads side by side.

    Attributes:
        contextual: the contextual share of the budget; published settings use 10 of 64.
    """

    contextual: float = declared(
        10 / 64,
        Share(
            label="Contextual share",
            help="share of the budget that goes to merged tokens",
        ),
    )

    name: ClassVar[str] = "visionzip"
    title: ClassVar[str] = "VisionZip"
    paper: ClassVar[str] = "https://arxiv.org/abs/2412.04467"
    summary: ClassVar[str] = "CLS attention picks, the rest is merged into a few tokens by key."

    def taps(self, feature_tap: int) -> Taps:
        """CLS attention and keys of the feature layer."""
        return Taps(final=feature_tap, keys=feature_tap)

    def scores(self, vision: Vision) -> Tensor:
        """Attention; targets are lifted above the rest and dominant patches above them."""
        dominant, targets = self._parts(vision)
        return lift(mean_attention(vision), targets + 2 * dominant.int())

    def merge(self, vision: Vision, selection: Selection) -> Tensor:
        """Contextual tokens in the places of their targets."""
        assert vision.keys is not None  # `taps` asks for them
        merged = vision.features.clone()
        others = candidate_mask(vision.grid) & ~selection.mask
        _, targets = self._parts(vision)
        for tile in range(vision.grid.tiles):
            into, from_ = targets[tile].nonzero().flatten(), others[tile].nonzero().flatten()
            if len(into) and len(from_):
                keys, features = vision.keys[tile].float(), vision.features[tile].float()
                added = mean_by_nearest(keys[into], keys[from_], features[from_])
                merged[tile, into] = (features[into] + added).to(merged.dtype)
        return merged

    def _parts(self, vision: Vision) -> tuple[Tensor, Tensor]:
        """Dominant patches and contextual targets, bool (T, N) each."""
        grid = vision.grid
        shares = self.shares(vision)
        counts = [floor_share(self.contextual, share) for share in shares]
        first = [share - count for share, count in zip(shares, counts, strict=True)]
        dominant = keep_best(mean_attention(vision), first, grid)
        rest = candidate_mask(grid) & ~dominant
        targets = torch.zeros_like(rest)
        for tile, count in enumerate(counts):
            if count:
                left = rest[tile].nonzero().flatten()
                targets[tile, left[:: len(left) // count][:count]] = True
        return dominant, targets


def mean_by_nearest(targets: Tensor, keys: Tensor, features: Tensor) -> Tensor:
    """Mean of the features whose key is nearest to each target's; zero where none came.

    Args:
        targets: keys of the targets, (m, D).
        keys, features: of the patches to hand out, (n, D).

    Returns:
        (m, D).
    """
    alike = normalize(keys, dim=-1) @ normalize(targets, dim=-1).T  # (n, m)
    owner = torch.zeros_like(alike).scatter_(1, alike.argmax(dim=1, keepdim=True), 1.0)
    return owner.T @ features / owner.sum(dim=0).clamp(min=1)[:, None]
