"""Posters as the language stage reads them: frozen-tower features in stock packing order.

The tower never changes in this stage, so each poster goes through it once. What is kept per
poster is the features in the order in which LLaVA-NeXT packs them (overview, then the unpadded
crops row by row with a newline after each row). No token is ever left out.
"""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import LlavaNextForConditionalGeneration

from hired.shapes.scenes import Scene, render, scene_for
from hired.shapes.tiles import N
from hired.shapes.tower import FEATURE_BLOCK
from hired.shapes.vision_stage import run

EMPTY_EVERY = 60
"""One training poster in this many has no object at all."""
MIXTURE = ("alike", "sparse", "sparse", "large", "alike", "sparse", "dense", "alike")
"""Splits of consecutive training posters, over and over."""


@dataclass(frozen=True)
class Poster:
    """`features` (L, D) float16 in packing order; `newline` (L,) marks the newline places."""

    scene: Scene
    features: torch.Tensor
    newline: torch.Tensor


def training_scene(stream: str, seed: int, index: int) -> Scene:
    """Poster `index` of the mixture that the language stage reads."""
    scene = scene_for(stream, MIXTURE[index % len(MIXTURE)], seed, index)
    if index % EMPTY_EVERY == 0:
        scene = Scene(scene.width, scene.height, (), scene.seed)
    return scene


class Drawn(torch.utils.data.Dataset):
    """Scenes with their stock `pixel_values`, drawn in worker processes."""

    def __init__(self, processor: Any, stream: str, seed: int, first: int, count: int) -> None:
        self.images = processor.image_processor
        self.stream, self.seed, self.first, self.count = stream, seed, first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, item: int) -> tuple[Scene, torch.Tensor, torch.Tensor]:
        scene = training_scene(self.stream, self.seed, self.first + item)
        inputs = self.images(render(scene), return_tensors="pt")
        return scene, inputs["pixel_values"][0], inputs["image_sizes"]


def packing(model: LlavaNextForConditionalGeneration, tiles: int, sizes: torch.Tensor) -> list[int]:
    """For every visual token of the stock sequence the patch (of T * N) it shows; -1: newline."""
    places = torch.arange(tiles * N, dtype=torch.float64).view(tiles, N, 1)
    newline = torch.full((1,), -1.0, dtype=torch.float64)
    packed, _ = model.model.pack_image_features([places], sizes, "default", newline)
    return packed[0][:, 0].long().tolist()


def nice_worker(number: int) -> None:
    """Drawing gives way to the training in the main process."""
    os.nice(5)
    torch.set_num_threads(1)


@torch.no_grad()
def encode(
    model: LlavaNextForConditionalGeneration,
    processor: Any,
    stream: str,
    seed: int,
    first: int,
    count: int,
    workers: int = 1,
) -> Iterator[Poster]:
    """Posters `first` to `first + count` of a stream, each through the tower once."""
    drawn = Drawn(processor, stream, seed, first, count)
    loader = torch.utils.data.DataLoader(
        drawn,
        batch_size=None,
        num_workers=workers,
        worker_init_fn=nice_worker,
        prefetch_factor=16 if workers else None,
    )
    tower = model.model.vision_tower
    assert model.config.vision_feature_layer == -2  # the block before the last
    orders: dict[tuple, list[int]] = {}
    for scene, pixels, sizes in loader:
        features = run(tower, pixels, FEATURE_BLOCK + 1)[0][-1][:, 1:].flatten(0, 1)
        key = (scene.width, scene.height)
        if key not in orders:
            orders[key] = packing(model, len(pixels), sizes)
        order = torch.tensor(orders[key])
        newline = order < 0
        gathered = features[order.clamp(min=0)].masked_fill(newline[:, None], 0)
        yield Poster(scene, gathered.half(), newline)


def shuffled_batches(
    posters: list[Poster], size: int, entropy: list[int], first: int = 0
) -> Iterator[list[Poster]]:
    """Endless batches of posters of similar length from number `first` on, every poster once per
    round. The seed's `entropy` and a batch's number decide alone what is in it.
    """
    skipped, rounds = first, -(-len(posters) // size)
    for turn in itertools.count(skipped // rounds):
        rng = np.random.default_rng([*entropy, turn])
        order = rng.permutation(len(posters))
        # Sort within chunks, so that batches need little padding and rounds stay shuffled.
        chunk = size * 16
        batches = []
        for start in range(0, len(order), chunk):
            part = sorted(order[start : start + chunk], key=lambda i: len(posters[i].newline))
            batches += [part[i : i + size] for i in range(0, len(part), size)]
        assert len(batches) == rounds
        for number in rng.permutation(rounds)[max(0, skipped - turn * rounds) :]:
            yield [posters[i] for i in batches[number]]
