"""The share of each layer's CLS attention that lies on a poster's shapes or a document's text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hired.bench.tables import markdown
from hired.comparison.preview import Preview
from hired.errors import at_least
from hired.shapes.documents import KINDS as PAGES
from hired.shapes.pictures import content_patches, picture_for, render

SHARE = 0.2


@dataclass(frozen=True)
class Focus:
    """One layer's CLS attention, summed over heads, on some tiles; shares of 1, means over tiles.

    Attributes:
        layer: ViT layer.
        area: of a tile's patches, those a shape or words cover a quarter of.
        mass: of the attention, what lies on these.
        found: of these, those among the `SHARE` of the tile's patches that get most.
        tiles: how many were looked at; tiles without any are left out.
    """

    layer: int
    area: float
    mass: float
    found: float
    tiles: int


def measure_focus(
    model: Any,
    processor: Any,
    posters: int,
    split: str = "sparse",
    seed: int = 0,
    tell: Callable[[int], object] = lambda more: None,
) -> dict[str, list[Focus]]:
    """Measure how well each layer finds the content of validation pictures: "crops", "overviews".

    Args:
        model, processor: the embedded model or one like it; only read.
        posters: how many, one at least.
        split: one of `TESTED`.
        seed: of the pictures.
        tell: called with 1 after each picture.

    Raises:
        SettingError: no posters.
    """
    at_least(1, posters=posters)
    eye = Preview(model, processor)
    rows: dict[tuple[str, int], list[tuple[float, ...]]] = {}
    for index in range(posters):
        picture = picture_for("validation", split, seed, index)
        on = torch.from_numpy(content_patches(picture))
        vision = eye.encode(render(picture))
        for layer, heads in vision.cls.items():
            attention = heads.sum(1).cpu()
            for tile, covered in enumerate(on):
                if covered.any():
                    where = "crops" if tile else "overviews"
                    rows.setdefault((where, layer), []).append(_one(attention[tile], covered))
        tell(1)
    found: dict[str, list[Focus]] = {"crops": [], "overviews": []}
    for (where, layer), values in sorted(rows.items()):
        area, mass, caught = np.mean(values, axis=0)
        found[where].append(Focus(layer, area, mass, caught, len(values)))
    return found


def _one(attention: torch.Tensor, covered: torch.Tensor) -> tuple[float, ...]:
    best = attention.topk(int(SHARE * len(attention))).indices
    caught = covered[best].sum() / covered.sum()
    mass = attention[covered].sum() / attention.sum()
    return covered.float().mean().item(), mass.item(), caught.item()


def focus_table(found: Mapping[str, Sequence[Focus]], split: str = "sparse") -> str:
    """The same as Markdown, in %."""
    content = "text" if split in PAGES else "a shape"
    most = f"of these, among the {SHARE:.0%} with most attention"
    head = ["layer", "tiles", f"their patches with {content}", "attention on these", most]
    lines = [
        [f"{one.layer}", f"{one.tiles} {where}",
         f"{100 * one.area:.1f}", f"{100 * one.mass:.0f}", f"{100 * one.found:.0f}"]
        for where, layers in found.items()
        for one in layers
    ]  # fmt: skip
    return markdown(head, lines)
