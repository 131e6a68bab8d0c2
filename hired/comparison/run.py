"""Two or more lanes over one prompt on shared weights, as one stream of steps.

The demo's engine. The image is prepared once, and its seconds count in every lane; each lane pays
for its own vision pass, so that its time to first token is honest.
"""

import threading
import weakref
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from PIL import Image

from hired.clip import read_tower
from hired.comparison.lane import (
    BESIDE,
    Lane,
    Preparation,
    Prompt,
    check_generation,
    check_lanes,
    run_lane,
)
from hired.comparison.stream import Step, follow
from hired.errors import SettingError, at_least
from hired.generate import input_device
from hired.images import open_image
from hired.inputs import check_image_token, check_question, render
from hired.selectors import Selector, build
from hired.settings import NEW_TOKENS
from hired.stock import unwrap

SMALL_BYTES = 100e6  # of weights: then a stock prefill on a CPU takes a moment
_warm: "weakref.WeakKeyDictionary[Any, set[Hashable]]" = weakref.WeakKeyDictionary()
_device = threading.Lock()  # one comparison at a time: a leftover prefill must not spoil the next


def compare(
    model: Any,
    processor: Any,
    image: Any,
    question: str,
    lanes: Sequence[Lane],
    *,
    max_new_tokens: int = NEW_TOKENS,
    race: bool = False,
    stop: threading.Event | None = None,
    warm_up: bool = True,
    **generate_kwargs: Any,
) -> Generator[Step]:
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
        warm_up: run short generations before what would else be measured cold.
        generate_kwargs: for `model.generate`; greedy unless they say otherwise.

    Returns:
        Steps. Every lane ends with "done", "stopped" or "failed", whatever the others do. Closing
        the iterator stops all lanes and returns at once.

    Raises:
        InputError, ModelError: the image, question, model or processor cannot be used.
        SettingError: no lanes, a setting that cannot work, race mode on MPS.
    """
    check_asked(lanes, max_new_tokens)
    kwargs = {"max_new_tokens": max_new_tokens, **generate_kwargs}
    model = _check(model, processor, lanes, race, kwargs)
    prompt = Prompt(model, processor, open_image(image), check_question(question), kwargs)
    return follow(
        lanes,
        partial(run_lane, prompt),
        partial(processor.tokenizer.decode, skip_special_tokens=True),
        race=race,
        stop=stop,
        warm_up=partial(_warm_up, prompt, lanes) if warm_up else None,
        turn=_device,
    )


def check_asked(lanes: Sequence[object], max_new_tokens: int) -> None:
    """Raise SettingError without lanes, or for a bad `max_new_tokens`."""
    if not lanes:
        raise SettingError("A comparison needs at least one lane; got none.")
    if isinstance(max_new_tokens, bool) or not isinstance(max_new_tokens, int):
        raise SettingError(f"max_new_tokens is a whole number; got {max_new_tokens!r}.")
    at_least(1, max_new_tokens=max_new_tokens)


def _check(
    model: Any, processor: Any, lanes: Sequence[Lane], race: bool, options: dict[str, Any]
) -> Any:
    """Return the stock model; raise for what would fail in every lane, before anything runs."""
    check_lanes(read_tower(model), lanes)
    model = unwrap(model)
    check_generation(model, options)
    check_image_token(processor, model.config)
    render(processor)
    if race and input_device(model).type == "mps":
        raise SettingError(
            "Race mode runs lanes in threads beside each other, which can end the process on MPS. "
            "Run them one after the other, or load the model on the CPU."
        )
    return model


@contextmanager
def device_turn(patience_s: float | None) -> Iterator[None]:
    """Work beside no comparison, so that it spoils no measurement, or after `patience_s` anyway:
    then the lanes that it meets are marked as contended.
    """
    taken = _device.acquire(timeout=-1 if patience_s is None else patience_s)
    try:
        with nullcontext() if taken else BESIDE.one():
            yield
    finally:
        if taken:
            _device.release()


def _warm_up(prompt: Prompt, lanes: Sequence[Lane], stopped: Callable[[], bool]) -> None:
    """Run short answers that are not shown: first calls load kernels and grow pools."""
    done = _warm.setdefault(prompt.model, set())
    for key, asked, selector in plan_warm_up(prompt, lanes, input_device(prompt.model)):
        if key in done:
            continue
        told: dict[str, Any] = {}
        run_lane(asked, selector, told.update, stopped, False)
        if stopped():
            return
        if told["phase"] == "done":  # else the next run would be measured cold
            done.add(key)


def plan_warm_up(
    prompt: Prompt, lanes: Sequence[Lane], device: torch.device
) -> list[tuple[Hashable, Prompt, Selector]]:
    """The runs before the first measurement, each with the key it is done once under.

    On an accelerator every lane as it is, once per selector and shape: kernels are chosen, loaded
    and tuned by shape. On a CPU stock and a few tokens, once per model; a large model, whose stock
    prefill would take far longer than what it warms, reads a few tokens of one tile.
    """
    kwargs = {**prompt.generate_kwargs, "max_new_tokens": 2}
    kwargs.pop("min_new_tokens", None)
    short = replace(prompt, generate_kwargs=kwargs, prepared=Preparation())
    tower = read_tower(prompt.model)
    if device.type != "cpu":
        grid = tower.fit((prompt.image.height, prompt.image.width))
        return [((repr(lane.selector), grid), short, lane.selector) for lane in lanes]
    if sum(weight.nbytes for weight in prompt.model.parameters()) <= SMALL_BYTES:
        return [("full", short, build("full")), ("few", short, build("hired", budget=8))]
    tile = Image.new("RGB", (tower.tile, tower.tile))
    tiny = Prompt(prompt.model, prompt.processor, tile, "?", kwargs)
    return [("few", tiny, build("hired", budget=8, alpha=1.0))]
