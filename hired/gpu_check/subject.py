"""The subject of a check: one loaded model, its pictures and lanes, and the findings."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from hired.clip import read_tower
from hired.comparison.lane import Lane, Prompt, run_lane
from hired.comparison.run import compare
from hired.comparison.stream import Step
from hired.encode import Vision
from hired.inputs import Inputs, prepare
from hired.selectors import Selector, build

QUESTION = "What is in this picture?"
NEW_TOKENS = 16
GREEDY: dict[str, Any] = {  # of `generate`: greedy, exactly so many
    "max_new_tokens": NEW_TOKENS,
    "min_new_tokens": NEW_TOKENS,
    "do_sample": False,
}
_ATEN = torch.ops.aten
READS = (_ATEN._local_scalar_dense.default, _ATEN.item.default, _ATEN.is_nonzero.default)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what should be so.
        passed: whether it is; None where it was not checked.
        detail: figures, or why it was not checked.
    """

    name: str
    passed: bool | None
    detail: str


@dataclass
class Subject:
    """A model in one precision.

    Attributes:
        model, processor: as loaded.
        about: `hired.models.load.describe` of it.
        device: where it is.
        repeats: runs to take medians of.
        checkpoint: a real model to ask, if one was named.
        rows: the table of budgets, once measured.
        pictures: of four shapes: a full grid, letterboxed, thin, and one that one tile holds.
        cpu_tower, seen_on_cpu: a float32 copy of the tower, and what it saw of each picture.
    """

    model: Any
    processor: Any
    about: dict[str, Any]
    device: torch.device
    repeats: int
    checkpoint: str | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    pictures: dict[str, Image.Image] = field(init=False)
    cpu_tower: Any = None
    seen_on_cpu: dict[str, Vision] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tile = self.about["tile"]
        self.pictures = {
            "square": noise(2 * tile, 2 * tile),
            "letterboxed": noise(tile, 3 * tile // 2),
            "thin": noise(tile // 4, 3 * tile),
            "small": noise(tile // 2, tile // 2),
        }

    @property
    def gpu(self) -> bool:
        """Tell whether times and the allocator can be judged."""
        return self.device.type == "cuda"

    def prepare(self, image: Image.Image) -> Inputs:
        """An image and the question, as the model takes them."""
        tower = read_tower(self.model)
        return prepare(self.processor, tower.fit, image, QUESTION, self.device)

    def ask(
        self, selector: Selector, tokens: int = NEW_TOKENS, stop_after: int | None = None
    ) -> dict[str, Any]:
        """One lane in this thread: the last of what it told of each kind, and `tokens`."""
        image = self.pictures["square"]
        kwargs = {"max_new_tokens": tokens, "min_new_tokens": tokens}
        told: dict[str, Any] = {"tokens": []}

        def tell(**news: Any) -> None:
            told.update(news)
            if "token" in news:
                told["tokens"].append(news["token"])

        prompt = Prompt(self.model, self.processor, image, QUESTION, kwargs)
        run_lane(prompt, selector, tell, lambda: len(told["tokens"]) == stop_after, False)
        return told

    def compare(self, lanes: list[Lane], **options: Any) -> list[Step]:
        """The last step of every lane."""
        options = {"max_new_tokens": NEW_TOKENS} | options
        last: dict[int, Step] = {}
        image = self.pictures["square"]
        for step in compare(self.model, self.processor, image, QUESTION, lanes, **options):
            last[step.lane] = step
        return [last[index] for index in range(len(lanes))]


class Reads(TorchDispatchMode):
    """Counts how often the host reads a number off the device, and waits for it.

    In inference mode the composite operations arrive here, else what they are made of.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Pass every operation on."""
        self.count += func in READS and args[0].device == self.device
        return func(*args, **(kwargs or {}))


def noise(height: int, width: int) -> Image.Image:
    """A picture in which no patch is like another."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def keep(budget: float) -> Selector:
    """The baseline at 100 %, else HiRED."""
    return build("full") if budget == 1.0 else build("hired", budget=budget)


def held_bytes(device: torch.device) -> int:
    """Bytes of all tensors there are: the allocator's count, on a CPU what Python can reach."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return torch.cuda.memory_allocated(device)
    if device.type == "mps":
        torch.mps.synchronize()
        return torch.mps.current_allocated_memory()
    storages = {storage.data_ptr(): storage.nbytes() for storage in _storages()}
    return sum(storages.values())


def _storages() -> Iterator[torch.UntypedStorage]:
    for one in gc.get_objects():
        if issubclass(type(one), torch.Tensor) and one.device.type == "cpu":
            yield one.untyped_storage()
