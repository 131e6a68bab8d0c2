"""Attention for training on a CPU, by plain matrix products.

The backward pass of PyTorch's fused kernel for CPUs takes longer than all else in a step of the
language stage; three products do the same in a quarter of the time.
"""

from typing import Any

import torch
from torch.nn import functional as F

SLICE = 160
"""Queries of a causal pass that are taken together: each slice leaves out the keys after it."""


class _Products(torch.autograd.Function):
    """softmax(query keyᵀ / sqrt(D) + mask) value, for (B, H, L, D) tensors of one dtype."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
                mask: torch.Tensor) -> torch.Tensor:  # fmt: skip
        """Output (B, H, L, D); `mask` is 0 or -inf and broadcasts to (B, H, L, keys)."""
        ctx.scale = query.shape[-1] ** -0.5
        weights = torch.matmul(query, key.transpose(2, 3)).mul_(ctx.scale).add_(mask).softmax(-1)
        out = torch.matmul(weights, value)
        ctx.save_for_backward(query, key, value, weights, out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of query, key and value."""
        query, key, value, weights, out = ctx.saved_tensors
        (gradient,) = gradients
        mean = (gradient * out).sum(-1, keepdim=True)
        scores = torch.matmul(gradient, value.transpose(2, 3)).sub_(mean).mul_(weights)
        scores.mul_(ctx.scale)
        return (
            torch.matmul(scores, key),
            torch.matmul(scores.transpose(2, 3), query),
            torch.matmul(weights.transpose(2, 3), gradient),
            None,
        )


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
           mask: torch.Tensor | None) -> torch.Tensor:  # fmt: skip
    """Attention output (B, L, E) of (B, H, L, D) tensors; causal where no mask is given.

    Products are in the dtype of `value`, which autocast leaves in half precision.
    """
    query, key = query.to(value.dtype), key.to(value.dtype)
    if query.device.type != "cpu":
        causal = mask is None
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)
    elif mask is None:
        out = torch.cat(
            [_slice(query, key, value, at) for at in range(0, query.shape[2], SLICE)], 2
        )
    else:
        out = _Products.apply(query, key, value, mask.to(value.dtype))
    return out.transpose(1, 2).flatten(2)


def _slice(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, at: int) -> torch.Tensor:
    """Output (B, H, SLICE, D) of the causal queries from `at` on."""
    some = query[:, :, at : at + SLICE]
    end = at + some.shape[2]
    ahead = value.new_full((some.shape[2], end), float("-inf")).triu_(at + 1)
    return _Products.apply(some, key[:, :, :end], value[:, :, :end], ahead)
