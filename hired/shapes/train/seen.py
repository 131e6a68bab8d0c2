"""Pictures as the language stage reads them: frozen-tower features in stock packing order.

The tower never changes in this stage, so each picture goes through it once. What is kept of it
is the features in the order in which LLaVA-NeXT packs them (overview, then the unpadded
crops row by row with a newline after each row). No token is ever left out.
"""

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlavaNextForConditionalGeneration

from hired.shapes.pictures import Picture, picture_for, render
from hired.shapes.scenes import Scene
from hired.shapes.train.clip_init import FEATURE_BLOCK
from hired.shapes.train.tile_targets import N
from hired.shapes.train.vision_stage import run

EMPTY_EVERY = 60
"""One training picture in this many is a poster with no object at all."""
SHARD = 250
"""Pictures whose features lie in one file."""
WORLD = Path(__file__).parents[1]
"""The code that draws pictures and asks about them."""


@dataclass(frozen=True)
class Seen:
    """`features` (L, D) float16 in packing order; `order` (L,) int32 has the patch (of T * N) that
    each shows, overview first, -1 at the newline places.
    """

    picture: Picture
    features: torch.Tensor
    order: torch.Tensor

    @property
    def newline(self) -> torch.Tensor:
        """The newline places (L,)."""
        return self.order < 0


def training_picture(mixture: Sequence[str], stream: str, seed: int, index: int) -> Picture:
    """Picture `index` of a mixture of splits as the language stage reads it."""
    if index % EMPTY_EVERY == 0:
        scene = picture_for(stream, "sparse", seed, index)
        return Scene(scene.width, scene.height, (), scene.seed)
    return picture_for(stream, mixture[index % len(mixture)], seed, index)


class Drawn(torch.utils.data.Dataset):
    """Pictures with their stock `pixel_values`, drawn in worker processes."""

    def __init__(
        self, processor: Any, mixture: Sequence[str], stream: str, seed: int, numbers: range
    ) -> None:
        self.images = processor.image_processor
        self.mixture, self.stream, self.seed, self.numbers = mixture, stream, seed, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, item: int) -> tuple[Picture, torch.Tensor, torch.Tensor]:
        picture = training_picture(self.mixture, self.stream, self.seed, self.numbers[item])
        inputs = self.images(render(picture), return_tensors="pt")
        return picture, inputs["pixel_values"][0], inputs["image_sizes"]


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
    mixture: Sequence[str],
    stream: str,
    seed: int,
    numbers: range,
    workers: int = 1,
) -> Iterator[Seen]:
    """Pictures of these numbers of a stream, each through the tower once."""
    drawn = Drawn(processor, mixture, stream, seed, numbers)
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
    for picture, pixels, sizes in loader:
        states, _ = run(tower, pixels.to(model.device), FEATURE_BLOCK + 1)
        features = states[-1][:, 1:].flatten(0, 1).cpu()
        key = (picture.width, picture.height)
        if key not in orders:
            orders[key] = packing(model, len(pixels), sizes)
        order = torch.tensor(orders[key], dtype=torch.int32)
        gathered = features[order.clamp(min=0)].masked_fill((order < 0)[:, None], 0)
        yield Seen(picture, gathered.half(), order)


def encode_once(
    model: LlavaNextForConditionalGeneration,
    processor: Any,
    mixture: Sequence[str],
    seed: int,
    numbers: range,
    folder: Path,
    log: Callable[[str], None] = lambda line: None,
    workers: int = 1,
) -> list[Seen]:
    """The training pictures of these numbers; what `folder` holds already is read from there.

    A file holds `SHARD` pictures and is named after mixture, tower and the code that draws, so that
    a training which was interrupted while the tower looked at pictures goes on where it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.blake2b(repr(mixture).encode(), digest_size=6)
    for path in sorted(WORLD.glob("*.py")):
        digest.update(path.read_bytes())  # another world's pictures are other ones
    for _, value in sorted(model.model.vision_tower.state_dict().items()):
        digest.update(value.cpu().numpy().tobytes())
    seen: list[Seen] = []
    for first in range(numbers.start, numbers.stop, SHARD):
        part = range(first, min(first + SHARD, numbers.stop))
        path = folder / f"{digest.hexdigest()}-{seed}-{part.start}-{part.stop}.pt"
        if path.exists():
            kept = torch.load(path, weights_only=True)
            pictures = (training_picture(mixture, "train", seed, number) for number in part)
            seen += [Seen(p, *held) for p, held in zip(pictures, kept, strict=True)]
            continue
        fresh = list(encode(model, processor, mixture, "train", seed, part, workers))
        spare = path.with_suffix(".tmp")
        torch.save([(one.features, one.order) for one in fresh], spare)
        spare.replace(path)
        seen += fresh
        log(f"{part.stop} of {numbers.stop} pictures read")
    return seen


def shuffled_batches(
    seen: list[Seen], size: int, entropy: list[int], first: int = 0
) -> Iterator[list[Seen]]:
    """Endless batches of pictures of similar length from number `first` on, every picture once per
    round. The seed's `entropy` and a batch's number decide alone what is in it.
    """
    skipped, rounds = first, -(-len(seen) // size)
    for turn in itertools.count(skipped // rounds):
        rng = np.random.default_rng([*entropy, turn])
        order = rng.permutation(len(seen))
        # Sort within chunks, so that batches need little padding and rounds stay shuffled.
        chunk = size * 16
        batches = []
        for start in range(0, len(order), chunk):
            part = sorted(order[start : start + chunk], key=lambda i: len(seen[i].order))
            batches += [part[i : i + size] for i in range(0, len(part), size)]
        assert len(batches) == rounds
        for number in rng.permutation(rounds)[max(0, skipped - turn * rounds) :]:
            yield [seen[i] for i in batches[number]]
