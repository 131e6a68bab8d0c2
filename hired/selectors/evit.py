"""EViT's fused token: one weighted mean of what a tile loses, in the place of its weakest patch."""

import torch
from torch import Tensor

from hired.selectors.base import Selection, candidate_mask


def fuse_dropped(features: Tensor, selection: Selection) -> Tensor:
    """Features with one fused token in every tile that keeps some patches and drops others.

    x_fused = Σ a_i x_i over the dropped patches (EViT, Liang et al. 2022, arXiv 2202.07800), a_i
    their CLS attention.

    The anyres form is ours: one fused token per tile, as each is a ViT input of its own. It takes
    the place of the tile's weakest kept patch, which joins the sum, so that the count stays exact.
    The weights are scaled to sum to 1: EViT feeds the token to a ViT layer that normalises it, a
    projector does not.

    Args:
        features: (T, N, D), input of the projector.
        selection: what is kept; its scores are the weights.

    Returns:
        (T, N, D), a copy.
    """
    fused = features.clone()
    open_ = candidate_mask(selection.grid)
    assert selection.scores is not None  # `select` notes them
    for tile, mask in enumerate(selection.mask & open_):
        scores = selection.scores[tile]
        kept = mask.nonzero().flatten()
        dropped = (open_[tile] & ~mask).nonzero().flatten()
        if not len(kept) or not len(dropped):
            continue
        weakest = kept[scores[kept].argsort(descending=True, stable=True)[-1:]]
        gone = torch.cat([dropped, weakest])
        weights = scores[gone].clamp(min=0)
        weights = weights if weights.any() else torch.ones_like(weights)
        weights = (weights / weights.sum()).to(features.device)
        fused[tile, weakest.item()] = (weights @ features[tile, gone].float()).to(features.dtype)
    return fused
