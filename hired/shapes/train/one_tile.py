"""Pictures of one tile: the first lesson of the language stage.

A picture of one tile is one partition of 144 tokens, as in LLaVA-1.5. Finding an object or a word
by its name is learned there in minutes; on whole anyres pictures it takes many times longer.
"""

from collections.abc import Iterator

import numpy as np
import torch
from transformers import LlavaNextForConditionalGeneration

from hired.shapes.documents import KINDS, Document
from hired.shapes.layouts import ASKED
from hired.shapes.pictures import Picture, render
from hired.shapes.scenes import SMALL, STREAMS, TILE, Scene, place
from hired.shapes.train.clip_init import FEATURE_BLOCK
from hired.shapes.train.seen import Seen
from hired.shapes.train.tile_targets import N, normalise
from hired.shapes.train.vision_stage import run

LESSON = 9
"""Part of the seed of these pictures, so that none of a stream shares it."""


def tile_scene(rng: np.random.Generator) -> Scene:
    """One tile with 1-7 small objects."""
    things = place(rng, (TILE, TILE), int(rng.integers(1, 8)), SMALL)
    return Scene(TILE, TILE, tuple(things), int(rng.integers(2**31)))


def tile_page(rng: np.random.Generator) -> Document:
    """One tile with a small document."""
    kinds = list(KINDS)
    while True:
        sheet = ASKED.sheet(rng, TILE, TILE, whole=False)
        page = ASKED.layouts[kinds[rng.integers(len(kinds))]](rng, sheet)
        if page is not None:
            return page


def tile_picture(seed: int, number: int, pages: bool) -> Picture:
    """Picture `number` of the first lesson; with `pages` every other one is a document."""
    rng = np.random.default_rng([STREAMS["train"], LESSON, seed, number])
    return tile_page(rng) if pages and number % 2 else tile_scene(rng)


@torch.no_grad()
def encode_tiles(
    model: LlavaNextForConditionalGeneration,
    seed: int,
    first: int,
    count: int,
    pages: bool = True,
    size: int = 16,
) -> Iterator[Seen]:
    """Tiles `first` to `first + count` of the training stream, through the tower."""
    for start in range(first, first + count, size):
        numbers = range(start, min(start + size, first + count))
        pictures = [tile_picture(seed, n, pages) for n in numbers]
        pixels = torch.from_numpy(normalise(np.stack([np.asarray(render(p)) for p in pictures])))
        states, _ = run(model.model.vision_tower, pixels.to(model.device), FEATURE_BLOCK + 1)
        order = torch.arange(N, dtype=torch.int32)
        for picture, tile in zip(pictures, states[-1][:, 1:].cpu().half(), strict=True):
            yield Seen(picture, tile.clone(), order)
