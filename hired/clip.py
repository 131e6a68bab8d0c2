"""The vision side of a stock LLaVA model, found and checked; only read, never written.

The only module that knows how a CLIP tower is built; `taps` knows the inside of its blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hired.errors import InputError, ModelError, SettingError
from hired.stock import unwrap
from hired.tiles import TileGrid


@dataclass(frozen=True)
class Tower:
    """A read-only view of the vision side of a stock LLaVA model."""

    embeddings: Any  # these three: stock CLIP modules, or what has the same parts
    norm: Any
    blocks: Sequence[Any]
    feature_layers: tuple[int, ...]  # indices into hidden_states: 0 = embeddings, i = block i - 1
    tile: int
    patch: int
    pinpoints: tuple[tuple[int, int], ...] | None  # None: one partition, as in LLaVA-1.5

    @property
    def depth(self) -> int:
        """Blocks that have to run: those up to the last feature layer."""
        return max(self.feature_layers)

    @property
    def feature_tap(self) -> int:
        """The layer whose output is the feature fed to the projector."""
        return self.depth - 1

    @property
    def dtype(self) -> torch.dtype:
        """The precision that pixels enter in."""
        return self.embeddings.patch_embedding.weight.dtype

    @property
    def heads(self) -> int:
        """Attention heads of a block, H."""
        return int(self.blocks[0].self_attn.num_heads)

    @property
    def last_tap(self) -> int:
        """The deepest layer that can be tapped: attention needs only a block's input."""
        return min(self.depth, len(self.blocks) - 1)

    def fit(self, image_size: Sequence[int]) -> TileGrid:
        """The grid of an image of (height, width) pixels under this model."""
        if self.pinpoints is None:
            return TileGrid.single(image_size, self.tile, self.patch)
        return TileGrid.fit(image_size, self.pinpoints, self.tile, self.patch)

    def check_layer(self, name: str, layer: int | None) -> None:
        """Raise SettingError unless `layer` is None or can be tapped."""
        if layer is not None and not 0 <= layer <= self.last_tap:
            raise SettingError(
                f"{name} must be a layer of this vision tower that runs, 0 to {self.last_tap}; "
                f"got {layer}."
            )


def read_tower(model: Any, feature_layer: int | Sequence[int] | None = None) -> Tower:
    """Find the vision tower of a stock `LlavaNext-` or `LlavaForConditionalGeneration`.

    Args:
        model: the model.
        feature_layer: its `vision_feature_layer`, if not the one of its config.

    Raises:
        ModelError: another model or none, one without its weights, a tower without CLS token, or a
            feature selection that keeps CLS or taps nothing.
        SettingError: there is no such `feature_layer`, or the projector was made for more or fewer.
    """
    model = unwrap(model)
    kind = getattr(getattr(model, "config", None), "model_type", None)
    if kind not in ("llava_next", "llava"):
        raise ModelError(
            f"HiRED reads LLaVA-NeXT and LLaVA-1.5 models (model_type llava_next or llava); "
            f"got {type(model).__name__ if kind is None else kind!r}."
        )
    body = getattr(model, "model", None)
    if body is None or not hasattr(body, "vision_tower") or not hasattr(model, "generate"):
        raise ModelError(
            f"HiRED needs the whole stock model, such as LlavaNextForConditionalGeneration, with "
            f"its language model's head; got {type(model).__name__}."
        )
    _check_weights(model)
    return inspect_tower(model.config, body.vision_tower, feature_layer=feature_layer)


def _check_weights(model: Any) -> None:
    """Raise ModelError for weights on the meta device that no hook fetches when needed."""
    empty = [name for name, weight in model.named_parameters() if weight.is_meta]
    if empty and not any(hasattr(module, "_hf_hook") for module in model.modules()):
        raise ModelError(
            f"{len(empty)} weights of this model ({empty[0]}, …) are on the meta device and hold "
            f"no values. Load them with from_pretrained, or let accelerate dispatch the model."
        )


def inspect_tower(
    config: Any,
    tower: Any,
    blocks: Sequence[Any] | None = None,
    feature_layer: int | Sequence[int] | None = None,
) -> Tower:
    """A vision tower under a LLaVA config, checked.

    Args:
        config: of the whole model.
        tower: a stock CLIP vision model, or another's with the same parts.
        blocks: its blocks if they are not stock ones; those after the feature layer may be absent.
        feature_layer: see `read_tower`.

    Raises:
        ModelError, SettingError: see `read_tower`.
    """
    tower = getattr(tower, "vision_model", tower)  # transformers moved the blocks up in 5.x
    _check_cls(config, tower)
    vision = config.vision_config
    layers = _feature_layers(config, feature_layer)
    pinpoints = None
    if config.model_type == "llava_next":
        pinpoints = tuple((height, width) for height, width in config.image_grid_pinpoints)
    return Tower(
        tower.embeddings,
        tower.pre_layrnorm,
        tower.encoder.layers if blocks is None else blocks,
        layers,
        vision.image_size,
        vision.patch_size,
        pinpoints,
    )


def _check_cls(config: Any, tower: Any) -> None:
    """Raise ModelError unless the tower has a CLS token that stays out of the features."""
    if not hasattr(getattr(tower, "embeddings", None), "class_embedding"):
        raise ModelError(
            f"HiRED ranks patches by the attention of the CLS token, and the vision tower "
            f"{type(tower).__name__} has none. Use a model with a CLIP tower."
        )
    if config.vision_feature_select_strategy != "default":
        raise ModelError(
            f"vision_feature_select_strategy must be 'default' (patches only); this model has "
            f"{config.vision_feature_select_strategy!r}, which feeds CLS to the language model."
        )


def _feature_layers(config: Any, chosen: int | Sequence[int] | None) -> tuple[int, ...]:
    """Indices into hidden_states, none negative, of `chosen` or of the config's own layers."""
    own, last = config.vision_feature_layer, config.vision_config.num_hidden_layers
    own = [own] if isinstance(own, int) else list(own)
    asked = own if chosen is None else [chosen] if isinstance(chosen, int) else chosen
    kind = ModelError if chosen is None else SettingError
    good = isinstance(asked, list | tuple) and all(type(layer) is int for layer in asked)
    if not good or not all(-last - 1 <= layer <= last for layer in asked):
        raise kind(
            f"vision_feature_layer is one of this tower's layers, {-last - 1} to {last}, or a list "
            f"of them; got {asked!r}."
        )
    if len(asked) != len(own):
        raise kind(
            f"The projector of this model takes the features of {len(own)} layer(s), so "
            f"vision_feature_layer names as many; got {asked!r}."
        )
    layers = tuple(layer % (last + 1) for layer in asked)
    if max(layers) == 0:
        raise kind("vision_feature_layer points at the embeddings: no block has attention.")
    return layers


def split_tiles(tower: Tower, pixel_values: Any, image_sizes: Any = None) -> list[Tensor]:
    """The tiles of each image, (T, 3, S, S) each, without the padding of a batch.

    Args:
        pixel_values: (images, T, 3, S, S), or (tiles, 3, S, S) one image after the other, or a
            list of (T, 3, S, S), padded or not; for a one-partition model (images, 3, S, S) or a
            list.
        image_sizes: (images, 2) as (height, width); not needed for a one-partition model.

    Raises:
        InputError: these are no tiles of this model, or they do not fit the sizes.
    """
    tiles = join_tiles(tower, pixel_values)
    if tower.pinpoints is None:
        if image_sizes is not None:
            raise InputError("A LLaVA-1.5 model takes no image_sizes: leave them out.")
        return list(tiles[:, None])
    if image_sizes is None:
        raise InputError("image_sizes is missing. Pass all that the processor returned.")
    image_sizes = _check_sizes(image_sizes)
    counts = [tower.fit(size).tiles for size in image_sizes]
    images: Sequence[Tensor] = ()
    if tiles.dim() == 5:
        images = list(tiles)
    elif isinstance(pixel_values, list | tuple) and all(
        getattr(part, "ndim", 0) == 4 for part in pixel_values
    ):
        images = tiles.split([len(part) for part in pixel_values])
    elif len(tiles) == sum(counts):
        images = tiles.split(counts)
    pairs = list(zip(images, counts, strict=False))
    if len(images) != len(counts) or any(len(image) < count for image, count in pairs):
        raise InputError(
            f"pixel_values of shape {tuple(tiles.shape)} do not hold the {sum(counts)} "
            f"tiles that image_sizes {[list(map(int, s)) for s in image_sizes]} ask for. Pass "
            f"both as the processor returned them."
        )
    return [image[:count] for image, count in pairs]


def _check_sizes(image_sizes: Any) -> list[tuple[int, int]]:
    try:
        return [(int(height), int(width)) for height, width in image_sizes]
    except (TypeError, ValueError) as error:
        raise InputError(
            f"image_sizes are (height, width) in pixels of each image, (images, 2); got "
            f"{image_sizes!r}. Pass them as the processor returned them."
        ) from error


def join_tiles(tower: Tower, pixel_values: Any) -> Tensor:
    """The tiles as one tensor, (…, 3, S, S); those of a list one image after the other.

    Raises:
        InputError: these are no tiles of this model.
    """
    parts = pixel_values if isinstance(pixel_values, list | tuple) else [pixel_values]
    try:
        parts = [torch.as_tensor(part) for part in parts]
    except (TypeError, ValueError, RuntimeError):
        parts = []
    shape = (3, tower.tile, tower.tile)
    deepest = 4 if tower.pinpoints is None else 5
    if (
        not parts
        or any(part.shape[-3:] != shape or not part.numel() for part in parts)
        or any(part.dim() > deepest or part.is_complex() for part in parts)
    ):
        got = [tuple(part.shape) for part in parts] or type(pixel_values).__name__
        raise InputError(
            f"pixel_values are tiles of this model, (…, 3, {tower.tile}, {tower.tile}); got "
            f"{got}. Use the model's own processor."
        )
    if not isinstance(pixel_values, list | tuple) and parts[0].dim() > 3:
        return parts[0]
    return torch.cat([part.reshape(-1, *shape) for part in parts])
