"""The share of each layer's CLS attention that lies on a poster's shapes or a document's text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from hired.bench.session import describe_session
from hired.bench.tables import markdown
from hired.comparison.preview import Preview
from hired.errors import at_least
from hired.shapes.documents import KINDS as PAGES
from hired.shapes.pictures import TESTED, content_patches, picture_for, render

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


def make_record(
    found: Mapping[str, Mapping[str, Sequence[Focus]]],
    posters: int,
    device: torch.device,
    command: str,
) -> dict[str, Any]:
    """Record what `posters` pictures of each split gave, with what it depends on."""
    rows = {
        split: {where: [asdict(one) for one in layers] for where, layers in parts.items()}
        for split, parts in found.items()
    }
    date = datetime.now(UTC).isoformat(timespec="seconds")
    session = describe_session(device, command)
    return {"kind": "attention", "date": date, **session, "posters": posters, "splits": rows}


def describe_focus(record: Mapping[str, Any]) -> str:
    """A record of `python -m hired eval attention` as Markdown: a table per split."""
    parts = ["### Where the CLS attention lies"]
    for split, found in record["splits"].items():
        rows = {where: [Focus(**one) for one in layers] for where, layers in found.items()}
        table = focus_table(rows, split)
        parts.append(f"{record['posters']} {TESTED[split]} of the validation stream:\n\n{table}")
    parts.append(
        f"Means over tiles, in %. Measured on {record['device_name']}, {record['date'][:10]}, "
        f"torch {record['versions']['torch']}.\n\n```bash\n{record['command']}\n```"
    )
    return "\n\n".join(parts)


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
