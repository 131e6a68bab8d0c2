"""Packed -> tokens, each stamped the moment the model emits it; stop within one token.

Knows `model.generate`, nothing of images or methods.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.modeling_outputs import BaseModelOutputWithPast, BaseModelOutputWithPooling

from hired.arguments import greedy
from hired.errors import NotFinite
from hired.pack import Packed
from hired.stock import device_of

# The KV cache as argument and as field of an output: renamed in transformers 5.24.
CACHE = next(
    field.name
    for field in fields(BaseModelOutputWithPast)
    if field.name in ("cache", "past_key_values")
)


@dataclass
class Answer:
    """The result of one generation.

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
        logits: "LogitsWatch",
    ) -> None:
        self.answer = answer
        self.emit = emit
        self.stopped = stopped
        self.logits = logits

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """(B,) bool, the form `generate` asks for."""
        token = int(input_ids[0, -1])
        stamp = perf_counter()
        self.logits.check()
        self.answer.tokens.append(token)
        self.answer.stamps.append(stamp)
        self.emit(token, stamp)
        return torch.full(
            (len(input_ids),), self.stopped(), dtype=torch.bool, device=input_ids.device
        )


class LogitsWatch(LogitsProcessor):
    """Notes when features or logits are NaN or infinity, without a wait for the device.

    Stock code takes the first of them for the best token, or dies on a CUDA assertion when it
    samples. Minus infinity is how tokens are forbidden, and left alone.
    """

    def __init__(self, model: Any, packed: Packed) -> None:
        self.model = model
        self.packed = packed
        self._bad: Tensor | None = None  # on the device
        self._copy: Tensor | None = None  # on the host, filled when the step's token is there

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(B, V) as they came, rows that hold no number as zeros."""
        rows = ~(scores.amax(dim=-1, keepdim=True) < torch.inf)  # NaN is not smaller either
        bad = rows.any()
        if self._copy is None:
            self._copy = torch.zeros((), dtype=torch.bool, device="cpu", pin_memory=scores.is_cuda)
        if self._bad is not None:
            bad = bad | self._bad.to(bad.device)  # a drafting model may be elsewhere
        elif self.packed.finite is not None:
            bad = bad | ~self.packed.finite.to(bad.device)
        self._bad = bad
        self._copy.copy_(bad, non_blocking=True)
        return scores.masked_fill(rows, 0.0)

    def check(self) -> None:
        """Raise NotFinite once a feature or a row of logits held no number.

        To be called after a read of that step's token: it came behind this copy.
        """
        if self._copy is None or not self._copy:
            return
        if self.packed.finite is not None and not self.packed.finite:
            raise NotFinite("The visual features hold NaN or infinity.")
        raise NotFinite.at(_first_overflow(self.model, self.packed), self.model.dtype)


def _first_overflow(model: Any, packed: Packed) -> str:
    """The first layer of the language model whose output is not finite, in words."""
    device = input_device(model)
    with torch.inference_mode():
        output = model(
            input_ids=packed.input_ids.to(device),
            attention_mask=packed.attention_mask.to(device),
            mm_encoder_outputs=as_encoder_outputs(packed.features),
            **packed.extras(device),
            output_hidden_states=True,
            use_cache=False,
            logits_to_keep=1,
        )
    for index, hidden in enumerate(output.hidden_states):
        if not hidden[packed.attention_mask.bool().to(hidden.device)].isfinite().all():
            return f"Layer {index - 1} of the language model" if index else "The token embedding"
    if not output.logits.isfinite().all():
        return "The head of the language model"
    return "The language model, after some tokens of its answer,"


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

    Raises:
        NotFinite: a feature or a logit is NaN or infinite.
    """
    answer, logits = Answer(), LogitsWatch(model, packed)
    kwargs = greedy(generate_kwargs | {"return_dict_in_generate": True})
    criteria = [TokenStamper(answer, emit, stopped, logits)]
    criteria += kwargs.pop("stopping_criteria", None) or ()
    processors = [logits, *(kwargs.pop("logits_processor", None) or ())]
    device = input_device(model)
    output = model.generate(
        input_ids=packed.input_ids.to(device),
        attention_mask=packed.attention_mask.to(device),
        mm_encoder_outputs=as_encoder_outputs(packed.features),
        **packed.extras(device),
        stopping_criteria=StoppingCriteriaList(criteria),
        logits_processor=LogitsProcessorList(processors),
        **kwargs,
    )
    # Where the end is noticed a step late, as on MPS, one token too many was chosen.
    count = output.sequences.shape[1] - packed.input_ids.shape[1]
    del answer.tokens[count:], answer.stamps[count:]
    answer.kv_cache_bytes = cache_bytes(output[CACHE])
    return answer


def input_device(model: Any) -> torch.device:
    """The device that a model takes its tokens on."""
    return device_of(model.get_input_embeddings()) or torch.device("cpu")


def devices_of(model: Any) -> tuple[torch.device, ...]:
    """Every device that holds some of a model, the one that takes its tokens first.

    Several where it is split; `meta` among them where parts are offloaded.
    """
    first = input_device(model)
    return (first, *sorted({w.device for w in model.parameters()} - {first}, key=str))


def as_encoder_outputs(features: list[Tensor]) -> dict[str, BaseModelOutputWithPooling]:
    """Visual features in the form `generate(mm_encoder_outputs=...)` takes them; {} without."""
    images: Any = features  # one tensor per image, as the stock `get_image_features` gives them
    return {"image": BaseModelOutputWithPooling(pooler_output=images)} if features else {}


def cache_bytes(cache: Any) -> int:
    """Bytes of keys and values over all layers of a KV cache."""
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
