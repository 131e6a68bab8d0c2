"""The plan of `bench`: a sweep and the rounds it is cut into. Measures nothing."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from hired.bench.plan import BASELINE, METHODS, Entry, at_budgets
from hired.errors import SettingError, at_least
from hired.inputs import MAX_QUESTION, prompt_ids

QUESTION = "What is in this picture?"
FILLER = " and"
RATES = (0.4, 0.2, 0.1, 0.05)


@dataclass(frozen=True)
class Round:
    """One model, batch size and prompt length; the baseline and every lane once."""

    model: str
    quantization: str | None
    dtype: str
    batch: int
    prompt_tokens: int | None
    image_size: tuple[int, int]
    new_tokens: int
    entries: tuple[Entry, ...]
    repeat: int

    @property
    def key(self) -> str:
        """The same for the same round, in any session."""
        plain = json.dumps(asdict(self), sort_keys=True)
        return hashlib.blake2b(plain.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Sweep:
    """All that a call of `bench` measures.

    Attributes:
        models: names for `hired.models.load`.
        methods: each with settings, without budgets; the baseline is always run beside them.
        budgets: rates and counts.
        batches: prompts at once.
        prompt_tokens: lengths of the text of the prompt; None for an ordinary question.
        repeats: rounds whose median is reported.
        warm_up: runs before the first round of each kind, not recorded.
        new_tokens: generated per prompt.
        image_size: (height, width) of the noise that is looked at, pixels.
        quantization, dtype: of all models.
        protocol: "ours", or "paper" for the release's: 15 new tokens on 600 x 600.
    """

    models: tuple[str, ...] = ("shapes",)
    methods: tuple[Entry, ...] = tuple(Entry(name) for name in METHODS)
    budgets: tuple[float | int, ...] = RATES
    batches: tuple[int, ...] = (1,)
    prompt_tokens: tuple[int | None, ...] = (None,)
    repeats: int = 5
    warm_up: int = 1
    new_tokens: int = 16
    image_size: tuple[int, int] = (672, 672)
    quantization: str | None = None
    dtype: str = "auto"
    protocol: str = "ours"

    def __post_init__(self) -> None:
        """Check everything that can be checked without a model."""
        at_least(1, repeats=self.repeats, new_tokens=self.new_tokens)
        at_least(0, warm_up=self.warm_up)
        if any(number < 1 for number in (*self.batches, *self.image_size)):
            raise SettingError(
                f"Batches and sides of the image are at least 1; got {list(self.batches)} and "
                f"{list(self.image_size)}."
            )
        for entry in self.entries:
            entry.selector()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The baseline, then every method at every budget; each only once if it takes none."""
        found = [Entry(BASELINE), *at_budgets(self.methods, self.budgets)]
        # By their words: a count of 1 and a rate of 1.0 are equal.
        return tuple({repr(entry): entry for entry in found}.values())

    def rounds(self) -> Iterator[Round]:
        """Every round; those of one model, then of one batch size and prompt, together."""
        kinds = product(self.models, self.batches, self.prompt_tokens, range(self.repeats))
        for model, batch, tokens, repeat in kinds:
            yield Round(
                model,
                self.quantization,
                self.dtype,
                batch,
                tokens,
                self.image_size,
                self.new_tokens,
                self.entries,
                repeat,
            )


def paper_sweep(**changes: Any) -> Sweep:
    """The release's own protocol: 15 new tokens on 600 x 600, HiRED at 40 and 20 %, batch 1, 2, 4.

    Its tokens per second count processor, prefill and decoding together; the published numbers
    are in `hired.bench.speed_tables`.
    """
    protocol = {
        "methods": (Entry("hired"),),
        "budgets": (0.4, 0.2),
        "batches": (1, 2, 4),
        "new_tokens": 15,
        "image_size": (600, 600),
        "protocol": "paper",
    }
    return Sweep(**{**protocol, **changes})


def make_question(processor: Any, tokens: int | None) -> str:
    """A question that makes the text of the prompt at most `tokens` long, as close as it gets.

    Raises:
        SettingError: the chat template and the question alone are longer.
    """
    if tokens is None:
        return QUESTION

    def length(fillers: int) -> int:
        return len(prompt_ids(processor, QUESTION + FILLER * fillers, 0))

    low, high = 0, (MAX_QUESTION - len(QUESTION)) // len(FILLER)
    if length(low) > tokens:
        raise SettingError(
            f"The shortest prompt of this model has {length(low)} text tokens; got {tokens}."
        )
    while low < high:  # the largest number of fillers that fits
        middle = (low + high + 1) // 2
        low, high = (middle, high) if length(middle) <= tokens else (low, middle - 1)
    return QUESTION + FILLER * low
