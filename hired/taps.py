"""Readings of one block of a CLIP tower: attention and keys, beside its own pass.

A tap computes the rows that are asked for from the block's own projections, so SDPA stays on, no
hook is installed, and several threads may look through the same tower at once.
"""

from typing import Any

import torch
from torch import Tensor

from hired.ambient import without_autocast

ROWS = 64  # queries whose rows of a map stand together: then they take as much as a head's keys


def cls_attention(block: Any, hidden: Tensor) -> Tensor:
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
    with without_autocast(keys):
        products = query.float() @ keys.float().transpose(-1, -2)  # (tiles, H, 1, 1 + N)
    return torch.softmax(products.squeeze(2) * attention.scale, dim=-1)[..., 1:]


def received_attention(block: Any, hidden: Tensor) -> Tensor:
    """Attention that each patch receives in one ViT block: the mean over all heads and queries.

    Softmax in float32, as in `cls_attention`; CLS is among the queries, its column is dropped. The
    map is never whole: `ROWS` queries at a time, so that memory grows with the tokens alone.

    Args:
        block: a stock CLIP encoder layer; only read.
        hidden: its input, (tiles, 1 + N, D).

    Returns:
        (tiles, N), float32.
    """
    attention = block.self_attn
    normed = block.layer_norm1(hidden)
    heads = (*normed.shape[:2], attention.num_heads, attention.head_dim)
    queries = attention.q_proj(normed).view(heads).transpose(1, 2)
    keys = attention.k_proj(normed).view(heads).permute(0, 2, 3, 1).float()
    received = keys.new_zeros(normed.shape[:2])
    with without_autocast(keys):
        for rows in queries.split(ROWS, dim=2):
            logits = (rows.float() @ keys) * attention.scale  # (tiles, H, ROWS, 1 + N)
            received += torch.softmax(logits, dim=-1).sum(dim=(1, 2))
    return received[:, 1:] / (attention.num_heads * normed.shape[1])


def patch_keys(block: Any, hidden: Tensor) -> Tensor:
    """Attention keys of the patches in one ViT block, heads side by side.

    Args:
        block: a stock CLIP encoder layer; only read.
        hidden: its input, (tiles, 1 + N, D).

    Returns:
        (tiles, N, D), in the tower's own precision.
    """
    return block.self_attn.k_proj(block.layer_norm1(hidden[:, 1:]))
