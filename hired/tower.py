"""The vision side of a stock LLaVA model, found and checked; only read, never written.

The only module that knows how a CLIP tower is built. A tap computes the CLS row alone from a
block's own projections, so SDPA stays on, no hook is installed, and several threads may look
through the same tower at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hired.errors import InputError, ModelError, SettingError
from hired.tiles import TileGrid


@dataclass(frozen=True)
class Tower:
    """A read-only view of the vision side of a stock LLaVA model."""

    embeddings: nn.Module
    norm: nn.Module
    blocks: Sequence[nn.Module]
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


def read_tower(model: Any) -> Tower:
    """Find the vision tower of a stock `LlavaNext-` or `LlavaForConditionalGeneration`.

    Raises:
        ModelError: another model, a tower without CLS token, or a feature selection that keeps
            CLS or taps nothing.
    """
    config = model.config
    if config.model_type not in ("llava_next", "llava"):
        raise ModelError(
            f"HiRED reads LLaVA-NeXT and LLaVA-1.5 models (model_type llava_next or llava); "
            f"got {config.model_type!r}."
        )
    return inspect_tower(config, model.model.vision_tower)


def inspect_tower(config: Any, tower: Any, blocks: Sequence[nn.Module] | None = None) -> Tower:
    """A vision tower under a LLaVA config, checked.

    Args:
        config: of the whole model.
        tower: a stock CLIP vision model, or another's with the same parts.
        blocks: its blocks if they are not stock ones; those after the feature layer may be absent.

    Raises:
        ModelError: see `read_tower`.
    """
    tower = getattr(tower, "vision_model", tower)  # transformers moved the blocks up in 5.x
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
    vision = config.vision_config
    chosen = config.vision_feature_layer
    chosen = [chosen] if isinstance(chosen, int) else list(chosen)
    layers = tuple(layer % (vision.num_hidden_layers + 1) for layer in chosen)
    if max(layers) == 0:
        raise ModelError("vision_feature_layer points at the embeddings: no block has attention.")
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


def split_tiles(tower: Tower, pixel_values: Tensor, image_sizes: Any = None) -> list[Tensor]:
    """The tiles of each image, (T, 3, S, S) each, without the padding of a batch.

    Args:
        pixel_values: (images, T, 3, S, S), or (tiles, 3, S, S) one image after the other.
        image_sizes: (images, 2) as (height, width); not needed for a one-partition model.

    Raises:
        InputError: the pixels do not fit the sizes.
    """
    if tower.pinpoints is None:
        return list(pixel_values.reshape(-1, 1, *pixel_values.shape[-3:]))
    if image_sizes is None:
        raise InputError("image_sizes is missing. Pass all that the processor returned.")
    counts = [tower.fit(size).tiles for size in image_sizes]
    if pixel_values.dim() == 5 and len(pixel_values) == len(counts):
        enough = max(counts, default=0) <= pixel_values.shape[1]
        tiles = [pixels[:count] for pixels, count in zip(pixel_values, counts, strict=True)]
    else:
        enough = pixel_values.dim() == 4 and len(pixel_values) == sum(counts)
        tiles = list(pixel_values.split(counts)) if enough else []
    if not enough:
        raise InputError(
            f"pixel_values of shape {tuple(pixel_values.shape)} do not hold the {sum(counts)} "
            f"tiles that image_sizes {[list(map(int, s)) for s in image_sizes]} ask for. Pass "
            f"both as the processor returned them."
        )
    return tiles


def cls_attention(block: nn.Module, hidden: Tensor) -> Tensor:
    """Attention of the CLS query to the patches in one ViT block (HiRED, Eq. 2).

    q·k and softmax in float32 over CLS and patches, whatever the tower computes in; the CLS column
    is dropped and the rest is not renormalised. One row instead of the (1 + N)² map.

    Args:
        block: a stock CLIP encoder layer; only read.
        hidden: its input, (tiles, 1 + N, D).

    Returns:
        (tiles, H, N), float32.
    """
    attention = block.self_attn
    normed = block.layer_norm1(hidden)
    heads = (*normed.shape[:1], -1, attention.num_heads, attention.head_dim)
    first = normed[:, :1].contiguous()  # the 8-bit CUDA kernels of bitsandbytes ignore strides
    query = attention.q_proj(first).view(heads).transpose(1, 2)
    keys = attention.k_proj(normed).view(heads).transpose(1, 2)
    logits = (
        query.float() @ keys.float().transpose(-1, -2)
    ) * attention.scale  # (tiles, H, 1, 1 + N)
    return torch.softmax(logits.squeeze(2), dim=-1)[..., 1:]


def patch_keys(block: nn.Module, hidden: Tensor) -> Tensor:
    """Attention keys of the patches in one ViT block, heads side by side.

    Args:
        block: a stock CLIP encoder layer; only read.
        hidden: its input, (tiles, 1 + N, D).

    Returns:
        (tiles, N, D), in the tower's own precision.
    """
    return block.self_attn.k_proj(block.layer_norm1(hidden[:, 1:]))
