"""The patches that would be kept, before any answer: one cached tower pass per image.

Knows how to look and to select, nothing of language models. The CLS row of every layer is tapped,
so that moving a slider costs a sort instead of a pass; whole maps only once a method asks for them.
"""

import hashlib
import threading
import weakref
from collections import OrderedDict
from dataclasses import asdict
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from hired.ambient import on_cpu
from hired.clip import read_tower
from hired.encode import Vision
from hired.generate import input_device
from hired.inputs import grid_for, prepare
from hired.selectors import Selection, Selector
from hired.selectors.hired import merge_heads
from hired.tiles import TileGrid
from hired.wrapper import look_everywhere


class Preview:
    """The last few images one model has looked at; safe to use from several threads.

    Attributes:
        tower: the vision side of the model; only read.
        device: where it looks.
        layers: ViT layers whose CLS attention can be shown.
        heads: H.
    """

    def __init__(self, model: Any, processor: Any, capacity: int = 6) -> None:
        self.tower = read_tower(model)
        self.layers = self.tower.last_tap + 1
        self.heads = self.tower.heads
        self.feature_tap = self.tower.feature_tap
        self._processor = processor
        self.device = input_device(model)
        self._capacity = capacity
        self._seen: OrderedDict[str, Vision] = OrderedDict()
        self._keys: dict[int, tuple[weakref.ref[Image.Image], str]] = {}
        self._lock = threading.Lock()

    def fit(self, image: Image.Image) -> TileGrid:
        """The grid of an image, as every stage will see it; reads no pixel."""
        return grid_for(self._processor, self.tower.fit, image)

    def knows(self, image: Image.Image, *received: int) -> bool:
        """Tell whether a look at this RGB image would cost nothing."""
        seen = self._seen.get(self._key(image))
        return seen is not None and seen.received.keys() >= set(received)

    def look(self, image: Image.Image, *received: int) -> Vision:
        """The tower's pass over an RGB image with every layer tapped; cached.

        Args:
            image: the picture.
            received: layers whose received attention is wanted too. An image that was looked at
                without them is looked at once more.
        """
        key = self._key(image)
        with self._lock:  # also keeps two threads from doing the same pass
            known = self._seen[key].received.keys() if key in self._seen else set()
            if key not in self._seen or not known >= set(received):
                self._seen[key] = self.encode(image, *sorted(known | set(received)))
                while len(self._seen) > self._capacity:
                    self._seen.popitem(last=False)
            self._seen.move_to_end(key)
            return self._seen[key]

    @on_cpu
    def select(self, image: Image.Image, selector: Selector) -> Selection:
        """The selection that `selector` makes of an RGB image.

        Raises:
            SettingError: a layer or head does not exist in this model.
        """
        selector.check_model(self.layers, self.heads)
        return selector.select(self.look(image, *selector.taps(self.feature_tap).received))

    def attention(self, image: Image.Image, layer: int, heads: str | int = "sum") -> Tensor:
        """CLS attention of one layer, (T, N) float32 on the CPU.

        Raises:
            SettingError: a layer or head does not exist in this model.
        """
        self.tower.check_layer("layer", layer)
        return merge_heads(self.look(image).cls[layer], heads).float().cpu()

    def encode(self, image: Image.Image, *received: int) -> Vision:
        """One pass of the tower over an RGB image, not cached; see `look`."""
        with torch.inference_mode():
            inputs = prepare(self._processor, self.tower.fit, image, "?", self.device)
            pixels = inputs.pixel_values, inputs.image_sizes
            return look_everywhere(self.tower, *pixels, grid=inputs.grid, received=received)[0]

    def _key(self, image: Image.Image) -> str:
        """The digest of an image's pixels, taken once while it lives if PIL keeps them as they are.

        By identity, as images have no hash: a 50-megapixel one takes half a second to read.
        """
        known, key = self._keys.get(id(image), (None, ""))
        if known is None or known() is not image or not image.readonly:
            key = _digest(image)
            if image.readonly:
                keys, place = self._keys, id(image)
                keys[place] = (weakref.ref(image, lambda _: keys.pop(place, None)), key)
        return key


def _digest(image: Image.Image) -> str:
    return f"{image.size}{hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest()}"


def to_arrays(vision: Vision) -> dict[str, Any]:
    """A vision as plain values and float32 arrays, for another process."""
    return {
        "grid": asdict(vision.grid),
        "features": vision.features.float().cpu().numpy(),  # (T, N, D)
        "cls": {layer: rows.float().cpu().numpy() for layer, rows in vision.cls.items()},
        "feature_tap": vision.feature_tap,
        "received": {layer: rows.cpu().numpy() for layer, rows in vision.received.items()},
        "keys": None if vision.keys is None else vision.keys.float().cpu().numpy(),
    }


def from_arrays(arrays: dict[str, Any]) -> Vision:
    """The inverse of `to_arrays`, on the CPU."""
    keys = arrays["keys"]
    return Vision(
        TileGrid(**arrays["grid"]),
        torch.from_numpy(arrays["features"]),
        {layer: torch.from_numpy(rows) for layer, rows in arrays["cls"].items()},
        arrays["feature_tap"],
        keys=None if keys is None else torch.from_numpy(keys),
        received={layer: torch.from_numpy(rows) for layer, rows in arrays["received"].items()},
    )
