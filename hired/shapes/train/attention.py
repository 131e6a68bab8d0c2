"""Attention for training on a CPU, by plain matrix products.

The backward pass of PyTorch's fused kernel for CPUs takes longer than all else in a step of the
language stage; three products do the same in a quarter of the time.
"""

from typing import Any

import torch
from torch.nn import functional as F

SLICE = 160
"""Queries that are taken together: each slice leaves out the keys after it."""


class _Products(torch.autograd.Function):
    """softmax(query keyᵀ + mask) value, for (B, H, L, D) tensors of one dtype."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
                mask: torch.Tensor) -> torch.Tensor:  # fmt: skip
        """Output (B, H, L, D); `mask`, of 0 and -inf, is that of the last keys and broadcasts to
        (B, H, L, its keys).
        """
        scores = torch.matmul(query, key.transpose(2, 3))
        scores[..., -mask.shape[-1] :].add_(mask)
        weights = scores.softmax(-1)
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
        return (
            torch.matmul(scores, key),
            torch.matmul(scores.transpose(2, 3), query),
            torch.matmul(weights.transpose(2, 3), gradient),
            None,
        )


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
           mask: torch.Tensor | None) -> torch.Tensor:  # fmt: skip
    """Attention output (B, L, E) of the (B, H, L, D) queries of the last places to all keys up to
    their own, but for those that a `mask` (B, 1, L, keys) of 0 and -inf leaves out.

    Products are in the dtype of `value`, which autocast leaves in half precision.
    """
    query, key = query.to(value.dtype), key.to(value.dtype)
    if query.device.type != "cpu":
        causal = mask is None
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)
    else:
        # Heads lie apart, or every slice would copy them together for each of its products.
        parts = (query * query.shape[-1] ** -0.5, key, value)
        query, key, value = (part.contiguous() for part in parts)
        out = _slices(query, key, value, mask)
    return out.transpose(1, 2).flatten(2)


def _slices(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
            mask: torch.Tensor | None) -> torch.Tensor:  # fmt: skip
    """Output (B, H, L, D) of queries of length 1 / sqrt(D)."""
    found, before = [], key.shape[2] - query.shape[2]
    for at in range(0, query.shape[2], SLICE):
        some = query[:, :, at : at + SLICE]
        count = some.shape[2]
        end = before + at + count
        if mask is None:
            hidden = value.new_full((count, count), float("-inf")).triu_(1)
        else:
            hidden = mask[:, :, at : at + count, :end].to(value.dtype)
        found.append(_Products.apply(some, key[:, :, :end], value[:, :, :end], hidden))
    return torch.cat(found, 2)
