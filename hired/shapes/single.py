"""Posters of one tile: the first lesson of the language stage.

A picture of one tile is one partition of 144 tokens, as in LLaVA-1.5. Finding an object by its
name is learned there in minutes; on whole anyres posters it takes many times longer.
"""

from collections.abc import Iterator

import numpy as np
import torch
from transformers import LlavaNextForConditionalGeneration

from hired.shapes.posters import Poster
from hired.shapes.scenes import SMALL, TILE, Scene, place, render
from hired.shapes.tiles import N, normalise
from hired.shapes.tower import FEATURE_BLOCK
from hired.shapes.vision_stage import run


def tile_scene(rng: np.random.Generator) -> Scene:
    """One tile with 1-7 small objects."""
    things = place(rng, (TILE, TILE), int(rng.integers(1, 8)), SMALL)
    return Scene(TILE, TILE, tuple(things), int(rng.integers(2**31)))


@torch.no_grad()
def encode_tiles(
    model: LlavaNextForConditionalGeneration, seed: int, first: int, count: int, size: int = 16
) -> Iterator[Poster]:
    """Tiles `first` to `first + count` of the training stream, through the tower."""
    for start in range(first, first + count, size):
        numbers = range(start, min(start + size, first + count))
        scenes = [tile_scene(np.random.default_rng([1, 9, seed, n])) for n in numbers]
        pixels = torch.from_numpy(normalise(np.stack([np.asarray(render(s)) for s in scenes])))
        features = run(model.model.vision_tower, pixels, FEATURE_BLOCK + 1)[0][-1][:, 1:].half()
        newline = torch.zeros(N, dtype=torch.bool)
        for scene, tile in zip(scenes, features, strict=True):
            yield Poster(scene, tile.clone(), newline)
