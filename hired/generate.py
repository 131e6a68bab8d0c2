"""Packed -> tokens, each stamped the moment the model emits it; stop within one token.

Knows `model.generate`, nothing of images or methods.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer
from transformers.modeling_outputs import BaseModelOutputWithPooling

from hired.pack import Packed


@dataclass
class Answer:
    """What one generation left.

    Attributes:
        tokens: ids in order, an end token included.
        stamps: `perf_counter()` at each token, seconds.
        kv_cache_bytes: bytes of keys and values when it ended, exact.
    """

    tokens: list[int] = field(default_factory=list)
    stamps: list[float] = field(default_factory=list)
    kv_cache_bytes: int = 0


class TokenStamper(BaseStreamer):
    """Stamps every token and hands it on; `put` is the only Python work per token."""

    def __init__(self, answer: Answer, emit: Callable[[int, float], None]) -> None:
        self.answer = answer
        self.emit = emit
        self.prompt_seen = False

    def put(self, value: Tensor) -> None:
        """Called by `generate`: once with the prompt, then with each new token."""
        stamp = perf_counter()
        if not self.prompt_seen:
            self.prompt_seen = True
            return
        token = int(value.reshape(-1)[0])
        self.answer.tokens.append(token)
        self.answer.stamps.append(stamp)
        self.emit(token, stamp)

    def end(self) -> None:
        """Nothing to flush: tokens are handed on one by one."""


class StopWhen(StoppingCriteria):
    """Ends generation at the first token after `stopped()` turns true."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self.stopped = stopped

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """(B,) bool, the form `generate` asks for."""
        return torch.full(
            (len(input_ids),), self.stopped(), dtype=torch.bool, device=input_ids.device
        )


def generate(
    model: Any,
    packed: Packed,
    emit: Callable[[int, float], None],
    stopped: Callable[[], bool],
    **generate_kwargs: Any,
) -> Answer:
    """Generate for a batch of one; `emit(token, stamp)` is called from this thread.

    Args:
        model: a stock LLaVA model; only read.
        packed: one prompt.
        emit: gets every token with its `perf_counter()` stamp.
        stopped: asked after every token; true ends the generation there.
        generate_kwargs: for `model.generate`; greedy unless they say otherwise.
    """
    answer = Answer()
    output = model.generate(
        input_ids=packed.input_ids,
        attention_mask=packed.attention_mask,
        mm_encoder_outputs=as_encoder_outputs(packed.features),
        streamer=TokenStamper(answer, emit),
        stopping_criteria=StoppingCriteriaList([StopWhen(stopped)]),
        return_dict_in_generate=True,
        **{"do_sample": False, "num_beams": 1, **generate_kwargs},
    )
    answer.kv_cache_bytes = cache_bytes(output.past_key_values)
    return answer


def as_encoder_outputs(features: list[Tensor]) -> dict[str, BaseModelOutputWithPooling]:
    """Visual features in the form `generate(mm_encoder_outputs=...)` takes them."""
    return {"image": BaseModelOutputWithPooling(pooler_output=features)}


def cache_bytes(cache: Any) -> int:
    """Bytes of keys and values over all layers of a KV cache."""
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
