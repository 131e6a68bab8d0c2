"""Runs of a comparison for the page and the API: settings in, views out, at a rate that a browser
can follow; and on request, after a run, what the stock answer looked at.

Knows no gradio and no HTML.
"""

import logging
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from time import perf_counter

from PIL import Image

from hired.comparison.explain import Explanation, explain
from hired.comparison.lane import Lane
from hired.errors import SettingError
from hired.models.hardware import run_aside
from hired.phases import DECODE
from hired.selectors import Selector
from hired.web import zerogpu
from hired.web.engine import Loaded
from hired.web.limits import Limits
from hired.web.pane_state import PaneState, median, show
from hired.web.settings import Settings
from hired.web.visitors import Stops

log = logging.getLogger(__name__)
FRAME_S = 0.08  # a browser is told at most this often; tokens in between come together
TICK_S = 0.5  # and this often where only the clock went on
SHARE = 0.05  # of the time at most goes into telling it: a slow machine tells it less often


def run(
    loaded: Loaded,
    image: Image.Image,
    question: str,
    settings: Settings,
    stops: Stops,
    limits: Limits | None = None,
) -> Generator[list[PaneState]]:
    """Views of all panes each time something visible happened; the last are final.

    Closing the iterator stops every lane and returns at once; so does the limit of its time,
    with what was said until then.

    Raises:
        InputError, SettingError, ModelError: before the first view.
    """
    limits = limits or Limits()
    limits.check_image(image)
    limits.check_asked(question, settings.max_new_tokens)
    begin, views = perf_counter(), []
    try:
        for views in _repeat(loaded, image, question, settings, stops):
            if perf_counter() - begin > limits.seconds:
                stops.everything.set()
                views = [
                    replace(view, error=limits.too_late) if view.phase == "stopped" else view
                    for view in views
                ]
            yield views
    finally:
        _log(views, perf_counter() - begin)


def _repeat(
    loaded: Loaded, image: Image.Image, question: str, settings: Settings, stops: Stops
) -> Generator[list[PaneState]]:
    past: list[list[PaneState]] = [[] for _ in settings.lanes]
    views: list[PaneState] = []
    for turn in range(settings.repeats):
        for views in _once(loaded, image, question, settings, stops, turn):
            yield [replace(v, turn=turn + 1, turns=settings.repeats) for v in views]
        for seen, view in zip(past, views, strict=True):
            seen.append(view)
        if stops.everything.is_set() or any(view.phase == "failed" for view in views):
            break
    if settings.repeats > 1:
        yield [median(seen) for seen in past]


def order_of(settings: Settings, turn: int) -> list[int]:
    """Order in which the panes run in one repeat.

    The first one is often slower, so another begins in every turn.
    """
    order = list(range(len(settings.lanes)))
    if settings.swap:
        order.reverse()
    turn %= len(order)
    return order[turn:] + order[:turn]


def _once(
    loaded: Loaded,
    image: Image.Image,
    question: str,
    settings: Settings,
    stops: Stops,
    turn: int = 0,
) -> Generator[list[PaneState]]:
    lanes = [
        Lane(selector.text, selector, stop)
        for selector, stop in zip(settings.lanes, stops.lanes, strict=False)
    ]
    order = order_of(settings, turn)
    steps = loaded.compare(
        image,
        question,
        [lanes[index] for index in order],
        max_new_tokens=settings.max_new_tokens,
        race=settings.race,
        stop=stops.everything,
    )
    views = [PaneState(text, "waiting") for text in settings.texts]
    pace, told = Pace(), list(views)
    with closing(steps):
        for step in steps:
            index = order[step.lane]
            views[index] = show(lanes[index].name, step)
            if pace.due(told, views):
                told, begin = list(views), perf_counter()
                yield told
                pace.took(perf_counter() - begin)
    yield list(views)


class Pace:
    """Rate of the frames that a browser is told.

    A frame is due at once for a first word, for another phase where the last frame could be seen,
    else so that frames cost little. A small model prepares, looks, selects and reads in less time
    than a frame is shown.
    """

    def __init__(self) -> None:
        self.last = self.cost = 0.0

    def took(self, seconds: float) -> None:
        """Note how long the consumer of a frame was busy with it."""
        self.last, self.cost = perf_counter(), seconds

    def due(self, told: list[PaneState], views: list[PaneState]) -> bool:
        """Tell whether what changed since the frame `told` is worth another one now."""
        pairs = list(zip(told, views, strict=True))
        changed = [new.phase for old, new in pairs if old.phase != new.phase]
        if DECODE.name in changed:
            return True
        if changed:
            wait = FRAME_S
        else:
            news = any(old.text != new.text for old, new in pairs)
            wait = max(FRAME_S if news else TICK_S, self.cost / SHARE)
        return perf_counter() - self.last >= wait


def _log(views: list[PaneState], seconds: float) -> None:
    """Log how a comparison ended, and nothing of what was asked or answered."""
    lanes = [
        {"method": view.method, "phase": view.phase, "new_tokens": view.new_tokens}
        for view in views
    ]
    log.info("comparison", extra={"facts": {"seconds": round(seconds, 3), "lanes": lanes}})


def check_here(loaded: Loaded) -> None:
    """Raise SettingError where the model is not on this machine."""
    if loaded.servers is not None or zerogpu.BORROWED:
        raise SettingError(
            "What an answer looked at is read off the model itself, and that is not on this "
            "machine. Ask without coverage, or run this page where the model is."
        )


def look_back(
    loaded: Loaded,
    image: Image.Image,
    question: str,
    lanes: Sequence[Selector],
    max_new_tokens: int,
    reader: Selector | str = "full",
) -> Explanation:
    """`hired.explain` on the page's model, off the server's threads.

    Raises:
        SettingError: see `check_here`.
        ModelError, InputError: see `hired.explain`.
    """
    check_here(loaded)
    given = loaded.model, loaded.processor, image, question, lanes
    work = partial(
        explain, *given, reader=reader, max_new_tokens=max_new_tokens, eye=loaded.preview
    )
    return run_aside(work)


def cover(views: Sequence[PaneState], found: Explanation) -> list[PaneState]:
    """Add to the panes what their lanes keep, word by word; others stay as they are."""
    return [
        replace(view, coverage=found.shares(view.lane)) if view.lane in found.kept else view
        for view in views
    ]
