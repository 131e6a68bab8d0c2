"""Training batches of the vision stage by number: posters' tiles, and documents' beside them.

Batch number `step` depends on the seed and on `step` alone, so a training that goes on from a
checkpoint sees what it would have seen, however many processes draw.
"""

import math
from dataclasses import dataclass, fields

import numpy as np

from hired.shapes.scenes import STREAMS, TILE
from hired.shapes.train.document_tiles import TextTargets, document_tiles, no_text, scrap
from hired.shapes.train.tile_targets import (
    Backgrounds,
    Targets,
    crop_tile,
    normalise,
    overview_tile,
    target,
)

DRAWN = 77
"""Part of the seed of all tiles, so that no page or poster of a stream shares it."""


@dataclass(frozen=True)
class Drawn:
    """One tile: pixels (168, 168, 3) uint8, whether it is an overview, what it shows of both."""

    pixels: np.ndarray
    overview: bool
    shapes: Targets
    text: TextTargets


class Batches:
    """Batches of `size` tiles, `documents` of each from documents: `pixels` (B, 3, 168, 168),
    `overview` (B,) and the stacked fields of `Targets` and `TextTargets`. From batch number
    `harder` on documents are harder to read; from `even` on they are half of it.
    """

    def __init__(
        self,
        seed: int,
        size: int,
        documents: int = 0,
        harder: float = math.inf,
        even: float = math.inf,
    ) -> None:
        self.entropy = [STREAMS["train"], DRAWN, seed]
        self.size, self.documents = size, documents
        self.harder, self.even = harder, even
        self._grounds = Backgrounds([*self.entropy, 0])

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        """Batch number `step`."""
        rng = np.random.default_rng([*self.entropy, 1 + step])
        documents = min(self.documents, self.size // 2) if step >= self.even else self.documents
        tiles = [self._poster(rng) for _ in range(self.size - documents)]
        empty = target([], (0, 0, TILE, TILE))
        pages = document_tiles(rng, documents, harder=step >= self.harder)
        tiles += [Drawn(pixels, overview, empty, text) for pixels, text, overview in pages]
        batch = {
            "pixels": normalise(np.stack([tile.pixels for tile in tiles])),
            "overview": np.array([tile.overview for tile in tiles]),
        }
        for kind, owner in (("shapes", Targets), ("text", TextTargets)):
            for field in fields(owner):
                parts = [getattr(getattr(tile, kind), field.name) for tile in tiles]
                batch[field.name] = np.stack(parts)
        return batch

    def _poster(self, rng: np.random.Generator) -> Drawn:
        overview = bool(rng.random() >= 0.62)
        pixels, shapes = (overview_tile if overview else crop_tile)(rng, self._grounds)
        return Drawn(pixels, overview, shapes, no_text())


def held_out_scraps(seed: int, count: int) -> dict[str, np.ndarray]:
    """`count` dense scraps in fonts, sizes and on a ground that no training page has."""
    rng = np.random.default_rng([STREAMS["validation"], DRAWN, seed])
    tiles = [scrap(rng, held_out=True) for _ in range(count)]
    batch = {"pixels": normalise(np.stack([pixels for pixels, _ in tiles]))}
    for field in fields(TextTargets):
        batch[field.name] = np.stack([getattr(text, field.name) for _, text in tiles])
    return batch
