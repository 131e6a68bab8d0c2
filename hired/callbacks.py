"""A caller's own callbacks in `generate` see the prompt that the caller knows.

The model reads a shorter one, and code such as LLaVA's `KeywordsStoppingCriteria` counts from the
length of the prompt it was made with.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.generation.streamers import BaseStreamer


class Restored:
    """Sequences with the caller's prompt in the place of the shortened one.

    Attributes:
        prompt: (B, L), as the caller passed it.
        length: of the prompt that the model reads.
    """

    def __init__(self, prompt: Tensor, length: int) -> None:
        self.prompt = prompt
        self.length = length

    def __call__(self, sequences: Tensor) -> Tensor:
        """(B·n, length + new) -> (B·n, L + new); n sequences of a prompt follow each other."""
        times = len(sequences) // len(self.prompt)
        prompt = self.prompt.repeat_interleave(times, dim=0).to(sequences.device)
        return torch.cat([prompt, sequences[:, self.length :]], dim=1)

    def output(self, output: Any) -> Any:
        """Output of `generate`, sequences or a record that holds them, with that prompt."""
        if isinstance(output, Tensor):
            return self(output)
        output.sequences = self(output.sequences)
        return output


class _Criterion(StoppingCriteria):
    def __init__(self, inner: Callable[..., Any], restored: Restored) -> None:
        self.inner, self.restored = inner, restored

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:
        return self.inner(self.restored(input_ids), scores, **kwargs)


class _Processor(LogitsProcessor):
    def __init__(self, inner: Callable[..., Tensor], restored: Restored) -> None:
        self.inner, self.restored = inner, restored

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return self.inner(self.restored(input_ids), scores)


class _Streamer(BaseStreamer):
    def __init__(self, inner: Any, restored: Restored) -> None:
        self.inner = inner
        self.prompt: Tensor | None = restored.prompt

    def put(self, value: Tensor) -> None:
        """Hand on the caller's prompt first, then the tokens as they come."""
        self.inner.put(value if self.prompt is None else self.prompt.cpu())
        self.prompt = None

    def end(self) -> None:
        """Pass the end on."""
        self.inner.end()


def restore(options: dict[str, Any], restored: Restored) -> dict[str, Any]:
    """Options for `generate` whose callbacks see restored sequences."""
    options = dict(options)
    if criteria := options.get("stopping_criteria"):
        options["stopping_criteria"] = StoppingCriteriaList(
            _Criterion(one, restored) for one in criteria
        )
    if processors := options.get("logits_processor"):
        options["logits_processor"] = LogitsProcessorList(
            _Processor(one, restored) for one in processors
        )
    if (allowed := options.get("prefix_allowed_tokens_fn")) is not None:
        prompt, length = restored.prompt, restored.length
        options["prefix_allowed_tokens_fn"] = lambda batch, ids: allowed(
            batch, torch.cat([prompt[batch].to(ids.device), ids[length:]])
        )
    if (streamer := options.get("streamer")) is not None:
        options["streamer"] = _Streamer(streamer, restored)
    return options
