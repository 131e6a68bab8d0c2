"""One comparison for the page and the API: settings in, views out, at a rate a browser can follow.

Knows no gradio and no HTML.
"""

from collections.abc import Iterator
from contextlib import closing
from time import perf_counter

from PIL import Image

from hired.compare import Lane, compare
from hired.web.engine import Loaded, Stops
from hired.web.settings import Settings
from hired.web.views import View, median, show

FRAME_S = 0.08  # a browser is told at most this often; tokens in between come together


def run(
    loaded: Loaded, image: Image.Image, question: str, settings: Settings, stops: Stops
) -> Iterator[list[View]]:
    """Views of all panes each time something visible happened; the last are final.

    Closing the iterator stops every lane and returns at once.

    Raises:
        InputError, SettingError, ModelError: before the first view.
    """
    past: list[list[View]] = [[] for _ in settings.methods]
    views: list[View] = []
    for _ in range(settings.repeats):
        for views in _once(loaded, image, question, settings, stops):
            yield views
        for seen, view in zip(past, views, strict=True):
            seen.append(view)
        if stops.everything.is_set() or any(view.phase == "failed" for view in views):
            break
    if settings.repeats > 1:
        yield [median(seen) for seen in past]


def _once(
    loaded: Loaded, image: Image.Image, question: str, settings: Settings, stops: Stops
) -> Iterator[list[View]]:
    lanes = [
        Lane(method, selector, stop)
        for method, selector, stop in zip(
            settings.methods, settings.selectors(), stops.lanes, strict=False
        )
    ]
    order = list(range(len(lanes)))
    if settings.swap:
        order.reverse()
    steps = compare(
        loaded.model,
        loaded.processor,
        image,
        question,
        [lanes[index] for index in order],
        max_new_tokens=settings.max_new_tokens,
        race=settings.race,
        stop=stops.everything,
    )
    views = [View(method, "waiting") for method in settings.methods]
    shown, phases = 0.0, [view.phase for view in views]
    with closing(steps):
        for step in steps:
            index = order[step.lane]
            views[index] = show(lanes[index].name, step)
            now = perf_counter()
            if views[index].phase != phases[index] or now - shown >= FRAME_S:
                shown, phases[index] = now, views[index].phase
                yield list(views)
    yield list(views)
