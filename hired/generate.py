"""Packed -> tokens, each stamped the moment the model emits it; stop within one token.

Knows `model.generate`, nothing of images or methods.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList
from transformers.modeling_outputs import BaseModelOutputWithPast, BaseModelOutputWithPooling

from hired.pack import Packed

# The KV cache as argument and as field of an output: renamed in transformers 5.24.
CACHE = next(
    field.name
    for field in fields(BaseModelOutputWithPast)
    if field.name in ("cache", "past_key_values")
)


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


class TokenStamper(StoppingCriteria):
    """Stamps every token when the device has it, hands it on, and ends at `stopped()`.

    A criterion, not a streamer: it is asked right after a token is chosen, while a streamer may be
    told a step later. Reading the token waits for the device.
    """

    def __init__(
        self,
        answer: Answer,
        emit: Callable[[int, float], None],
        stopped: Callable[[], bool],
    ) -> None:
        self.answer = answer
        self.emit = emit
        self.stopped = stopped

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """(B,) bool, the form `generate` asks for."""
        token = int(input_ids[0, -1])
        stamp = perf_counter()
        self.answer.tokens.append(token)
        self.answer.stamps.append(stamp)
        self.emit(token, stamp)
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
    device = input_device(model)
    output = model.generate(
        input_ids=packed.input_ids.to(device),
        attention_mask=packed.attention_mask.to(device),
        mm_encoder_outputs=as_encoder_outputs(packed.features),
        stopping_criteria=StoppingCriteriaList([TokenStamper(answer, emit, stopped)]),
        return_dict_in_generate=True,
        **{"do_sample": False, "num_beams": 1, **generate_kwargs},
    )
    # Where the end is noticed a step late, as on MPS, one token too many was chosen.
    count = output.sequences.shape[1] - packed.input_ids.shape[1]
    del answer.tokens[count:], answer.stamps[count:]
    answer.kv_cache_bytes = cache_bytes(output[CACHE])
    return answer


def input_device(model: Any) -> torch.device:
    """Where a model takes its tokens."""
    return model.get_input_embeddings().weight.device


def as_encoder_outputs(features: list[Tensor]) -> dict[str, BaseModelOutputWithPooling]:
    """Visual features in the form `generate(mm_encoder_outputs=...)` takes them."""
    return {"image": BaseModelOutputWithPooling(pooler_output=features)}


def cache_bytes(cache: Any) -> int:
    """Bytes of keys and values over all layers of a KV cache."""
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
