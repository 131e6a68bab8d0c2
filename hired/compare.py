"""Two or more lanes over one prompt on shared weights, as one stream of steps.

The demo's engine. Each lane pays for its own preprocessing and vision pass, so that its time to
first token is honest.
"""

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from hired.errors import SettingError
from hired.images import open_image
from hired.inputs import check_question
from hired.lane import Lane, Prompt, check_lanes, run_lane
from hired.selectors import build
from hired.stream import Step, follow
from hired.tower import read_tower

_warm: "weakref.WeakSet[Any]" = weakref.WeakSet()
_device = threading.Lock()  # one comparison at a time: a leftover prefill must not spoil the next


def compare(
    model: Any,
    processor: Any,
    image: Any,
    question: str,
    lanes: Sequence[Lane],
    *,
    max_new_tokens: int = 64,
    race: bool = False,
    stop: threading.Event | None = None,
    warm_up: bool = True,
    **generate_kwargs: Any,
) -> Iterator[Step]:
    """Answer one question in every lane.

    Args:
        model: a stock LLaVA model, shared by the lanes; only read.
        processor: its processor.
        image: a PIL image, a path or the bytes of a file.
        question: text of the user; special tokens in it are text.
        lanes: one or more; the baseline first by convention.
        max_new_tokens: per lane.
        race: run all lanes at once; their times are then marked as contended.
        stop: ends every lane within one token, keeping what was generated.
        warm_up: run two short generations before the first lane this model ever measures.
        generate_kwargs: for `model.generate`; greedy unless they say otherwise.

    Returns:
        An iterator of steps. Every lane ends with "done", "stopped" or "failed"; an error in one
        leaves the others running. Closing the iterator stops all lanes and returns at once.

    Raises:
        InputError: the image or the question cannot be used.
        ModelError: the model cannot be read.
        SettingError: no lanes, a bad `max_new_tokens`, no such layer or head, beams or no cache.
    """
    check_asked(lanes, max_new_tokens)
    kwargs = {"max_new_tokens": max_new_tokens, **generate_kwargs}
    check_lanes(read_tower(model), lanes, kwargs)
    prompt = Prompt(model, processor, open_image(image), check_question(question), kwargs)
    return follow(
        lanes,
        partial(run_lane, prompt),
        partial(processor.tokenizer.decode, skip_special_tokens=True),
        race=race,
        stop=stop,
        warm_up=partial(_warm_up, prompt) if warm_up else None,
        turn=_device,
    )


def check_asked(lanes: Sequence[Lane], max_new_tokens: int) -> None:
    """Raise SettingError without lanes, or for a bad `max_new_tokens`."""
    if not lanes:
        raise SettingError("A comparison needs at least one lane; got none.")
    if isinstance(max_new_tokens, bool) or not isinstance(max_new_tokens, int):
        raise SettingError(f"max_new_tokens is a whole number; got {max_new_tokens!r}.")
    if max_new_tokens < 1:
        raise SettingError(f"max_new_tokens is at least 1; got {max_new_tokens}.")


@contextmanager
def device_turn(patience_s: float) -> Iterator[None]:
    """Work beside no comparison, so that it spoils no measurement, or after `patience_s` anyway."""
    taken = _device.acquire(timeout=patience_s)
    try:
        yield
    finally:
        if taken:
            _device.release()


def _warm_up(prompt: Prompt, stopped: Callable[[], bool]) -> None:
    """Short answers nobody sees, once per model: first calls load kernels and grow pools.

    Stock too: the first long prefill would else be paid by the baseline, which runs first.
    """
    if prompt.model in _warm:
        return
    prompt = replace(prompt, generate_kwargs={**prompt.generate_kwargs, "max_new_tokens": 2})
    for selector in (build("full"), build("hired", budget=8)):
        run_lane(prompt, selector, _ignore, stopped, False)
    if not stopped():
        _warm.add(prompt.model)


def _ignore(**_: Any) -> None:
    """For the warm-up, which tells nobody."""
