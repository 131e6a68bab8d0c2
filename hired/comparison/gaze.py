"""Attention of an answer's tokens on the sequence before them, from the stock model's own parts.

One pass over the prompt fills a KV cache; then the answer's tokens go through the layers one by
one, and their queries against the cached keys are the rows that eager attention would have, no
others. Knows the language model, nothing of images or methods.
"""

import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask

from hired.errors import InputError, ModelError
from hired.generate import CACHE, as_encoder_outputs, input_device
from hired.pack import Packed
from hired.stock import unwrap


def attention_rows(model: Any, packed: Packed, answer: Sequence[int], places: Tensor) -> Tensor:
    """Attention with which each token of an answer was written, mean over layers and heads.

    A token is written by the query of the token before it, so row 0 is the last of the prompt.
    One layer and one group of heads are in memory at a time, as float32.

    Args:
        model: a stock LLaVA model; only read, and called as it is, whatever attention it uses.
        packed: one prompt without padding.
        answer: token ids, one at least.
        places: (K,) positions in the prompt to keep the columns of.

    Returns:
        (A, K) float32 on the CPU; a row of all columns would sum to 1.

    Raises:
        InputError: no answer.
        ModelError: attention of a kind whose queries and keys cannot be read.
    """
    if not len(answer):
        raise InputError("There is no answer to explain: it has no tokens.")
    model = unwrap(model)
    device = input_device(model)
    ids = packed.input_ids.to(device)
    rows = torch.cat([ids[:, -1:], torch.tensor([list(answer[:-1])], device=device).long()], dim=1)
    with torch.inference_mode():
        # A plain cache: one made for a sliding window would drop keys that rows here still need.
        cache = DynamicCache()
        places_of = packed.extras(device).get("position_ids")
        start = ids.shape[1] - 1 if places_of is None else int(places_of[0, -1])
        model(
            input_ids=ids[:, :-1],
            mm_encoder_outputs=as_encoder_outputs(packed.features),
            **{CACHE: cache},
            **({} if places_of is None else {"position_ids": places_of[:, :-1]}),
            use_cache=True,
            logits_to_keep=1,
        )
        states = model.get_input_embeddings()(rows)
        return _mean_rows(_language(model), states, cache, start, places)


def _language(model: Any) -> Any:
    language = getattr(model.model, "language_model", None)
    if not all(hasattr(language, part) for part in ("layers", "rotary_emb")):
        raise ModelError(
            f"The language model {type(language).__name__} has no decoder layers with rotary "
            f"positions, so its attention cannot be read. Llama, Mistral and Qwen2 have."
        )
    return language


def _mean_rows(language: Any, states: Tensor, cache: Any, start: int, places: Tensor) -> Tensor:
    """Mean over layers of what `_layer_rows` gives, the tokens' states taken from layer to layer.

    By hand: the stock pass would have to be asked for all states, and leaves hooks for it.
    """
    past, count = cache.get_seq_length(), states.shape[1]
    rows = torch.arange(past, past + count, device=states.device)
    positions = rows[None] - past + start
    about = {"config": language.config, "inputs_embeds": states, "attention_mask": None}
    about |= {CACHE: cache, "position_ids": positions}
    masks = [create_causal_mask(**about), None]
    total = torch.zeros(count, len(places), dtype=torch.float32)
    for layer, kept in zip(language.layers, cache.layers, strict=True):
        turn = language.rotary_emb(states, position_ids=positions.to(states.device))
        before, windowed = states, bool(_window(layer.self_attn))
        if windowed and masks[1] is None:
            masks[1] = create_sliding_window_causal_mask(**about)
        states = layer(
            states,
            attention_mask=masks[windowed],
            position_ids=positions,
            position_embeddings=turn,
            use_cache=True,
            **{CACHE: cache},
        )
        total += _layer_rows(layer, before, kept.keys[0], turn, rows, places)
    return total / len(language.layers)


def _layer_rows(
    layer: Any,
    states: Tensor,
    keys: Tensor,
    turn: tuple[Tensor, Tensor],
    positions: Tensor,
    places: Tensor,
) -> Tensor:
    """Mean over the heads of one layer, (A, K) float32 on the CPU.

    Args:
        layer: a decoder layer.
        states: (1, A, E), what goes into it.
        keys: (H of the keys, L, d), turned.
        turn: cosine and sine of the rows' positions.
        positions: (A,) of the rows in the sequence, whatever they were turned by.
        places: (K,) the columns to keep.
    """
    attention = layer.self_attn
    rotate = getattr(sys.modules[type(attention).__module__], "apply_rotary_pos_emb", None)
    if rotate is None or not hasattr(attention, "q_proj"):
        raise ModelError(f"{type(attention).__name__} has no queries that could be read.")
    queries = attention.q_proj(layer.input_layernorm(states))
    queries = queries.view(*states.shape[:2], -1, attention.head_dim)
    queries = getattr(attention, "q_norm", torch.nn.Identity())(queries).transpose(1, 2)
    queries = rotate(queries, queries, *turn)[0][0].to(keys.device)  # (H, A, d)
    behind = positions[:, None].to(keys.device) - torch.arange(keys.shape[1], device=keys.device)
    hidden = behind < 0
    if window := _window(attention):
        hidden |= behind >= window
    total = torch.zeros(len(positions), len(places), device=keys.device)
    places = places.to(keys.device)
    for group, key in zip(queries.chunk(len(keys)), keys, strict=True):
        logits = (group.float() @ key.float().T) * attention.scaling
        total += logits.masked_fill_(hidden, -torch.inf).softmax(-1)[..., places].sum(0)
    return total.cpu() / len(queries)


def _window(attention: Any) -> int | None:
    """Number of tokens that a layer sees back, itself included; None for all."""
    if hasattr(attention, "sliding_window"):  # Qwen2 decides by layer
        return attention.sliding_window
    return getattr(attention.config, "sliding_window", None)
