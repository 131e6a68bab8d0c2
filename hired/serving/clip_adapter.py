"""vLLM's CLIP blocks seen as stock ones, so that the library's own tower pass runs on them.

vLLM fuses query, key and value into one projection and splits the heads among the GPUs of a
tensor-parallel group. These views undo both for the CLS row; weights are only read.
"""

from typing import Any

from torch import Tensor
from vllm.distributed import tensor_model_parallel_all_gather

from hired.clip import Tower, inspect_tower


def read_vllm_tower(model: Any) -> Tower:
    """The vision side of vLLM's LLaVA-NeXT or LLaVA-1.5.

    Raises:
        ModelError: a tower without CLS token, or a feature selection that keeps CLS.
    """
    tower = model.vision_tower
    layers = getattr(getattr(tower, "vision_model", tower).encoder, "layers", ())
    return inspect_tower(model.config, tower, [Block(layer) for layer in layers])


class Block:
    """One vLLM encoder layer with the parts of a stock one."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self.layer_norm1 = layer.layer_norm1
        self.self_attn = Attention(layer.self_attn)

    def __call__(self, hidden: Tensor, _: None = None) -> Tensor:
        """The layer itself, (tiles, 1 + N, D) -> (tiles, 1 + N, D)."""
        return self._layer(hidden)


class Attention:
    """Query and key projections of one attention, over all heads of all GPUs.

    Attributes:
        num_heads: H, of the whole model.
        head_dim: width of a head.
        scale: of the logits.
    """

    def __init__(self, attention: Any) -> None:
        self._attention = attention
        self.num_heads: int = attention.num_heads
        self.head_dim: int = attention.head_dim
        self.scale: float = attention.scale

    def q_proj(self, hidden: Tensor) -> Tensor:
        """(tiles, n, D) -> (tiles, n, H·head_dim)."""
        return self._project(hidden, 0)

    def k_proj(self, hidden: Tensor) -> Tensor:
        """(tiles, n, D) -> (tiles, n, H·head_dim)."""
        return self._project(hidden, 1)

    def _project(self, hidden: Tensor, part: int) -> Tensor:
        # The whole fused projection: its weights may be quantised or repacked and can't be sliced.
        qkv, _ = self._attention.qkv_proj(hidden)
        mine = qkv.chunk(3, dim=-1)[part]
        if self._attention.tp_size == 1:
            return mine
        return tensor_model_parallel_all_gather(mine.contiguous(), dim=-1)
