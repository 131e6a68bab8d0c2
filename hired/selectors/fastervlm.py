"""FasterVLM: the patches CLS attends to most, in every tile alike."""

from dataclasses import dataclass
from typing import ClassVar

from hired.selectors.per_tile import PerTile


@dataclass(frozen=True)
class FasterVLM(PerTile):
    """Keep the patches with the highest CLS attention (Zhang et al. 2024, arXiv 2412.01818v1).

    a[j] = 1/H Σ_h softmax(q_cls · K_h / √d)[j], and the largest are kept.

    The attention is that of the layer whose output feeds the projector, as in its code. The
    anyres form follows it too: each partition keeps the same share. That the share is of its
    candidates, exact over the image, is ours. HiRED without the sharing of the budget.
    """

    name: ClassVar[str] = "fastervlm"
    title: ClassVar[str] = "FasterVLM"
    paper: ClassVar[str] = "https://arxiv.org/abs/2412.01818v1"
    summary: ClassVar[str] = "CLS attention picks, every tile gets the same share."
