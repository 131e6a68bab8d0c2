"""The panel that says why an answer was lost or kept, and tries a larger budget, or the same
tokens at their original positions.

It works where the place of everything is known: on the embedded model's examples, whose maker wrote
it down.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hired.budget import show_budget
from hired.errors import HiredError
from hired.shapes.subject import Subject, subject_of
from hired.web import form
from hired.web.engine import Loaded
from hired.web.examples import Example
from hired.web.export import Record
from hired.web.handlers import Handlers
from hired.web.markup import fill
from hired.web.pane_state import PaneState, budget_of, budget_words, name_views
from hired.web.queues import LOOK, QUIET
from hired.web.render import matches
from hired.web.settings import Settings
from hired.web.uploads import read_image

Patches = NDArray[np.bool_]  # (T, N)


def why(
    loaded: Loaded,
    image: Image.Image,
    example: Example,
    question: str,
    views: Sequence[PaneState],
) -> str:
    """Tell what every pane that drops something kept of what was asked about, as HTML.

    Raises:
        SettingError: a layer or head does not exist in this model.
    """
    lanes = [view for view in name_views(views) if view.selector and view.method != "full"]
    asked = subject_of(example.picture, question) if example.picture else None
    grid = loaded.preview.fit(image)
    if asked is None or not lanes or asked.patches.shape != (grid.tiles, grid.patches):
        return ""
    known = example.known.get(question, "")
    lost = [v for v in lanes if known and v.phase == "done" and not matches(v.text, known)]
    said = [_lane(loaded, image, view, asked) for view in lanes]
    names = [view.lane for view in views]
    place = names.index(lost[0].lane) if lost else 0
    more = (
        _remedy(loaded, image, example, question, lost[0], place, asked.patches) if lost else None
    )
    title = "Why did it fail here?" if lost else "What was kept of it"
    return fill("why", "why", title=title, lines=said, remedy=more)


def _kept(loaded: Loaded, image: Image.Image, lane: Any, shown: Patches) -> Patches:
    return loaded.preview.select(image, lane).mask.numpy() & shown


def _lane(
    loaded: Loaded,
    image: Image.Image,
    view: PaneState,
    asked: Subject,
) -> str:
    shown = asked.patches
    kept = _kept(loaded, image, view.selector, shown)
    budget = budget_of(view.selector)
    told = budget is None or show_budget(budget) in view.title  # where lanes differ in it
    at = "" if told else f"At {budget_words(view.selector)} "
    return (
        f"{at}{view.title} kept {kept.sum()} of the {shown.sum()} patches that show {asked.words}: "
        f"{kept[0].sum()} of {shown[0].sum()} in the overview, "
        f"{kept[1:].sum()} of {shown[1:].sum()} in the crops."
    )


def _remedy(
    loaded: Loaded,
    image: Image.Image,
    example: Example,
    question: str,
    view: PaneState,
    place: int,
    shown: Patches,
) -> dict[str, Any] | None:
    """Find the budget from which on it is there again, the one to try, and its pane; and whether
    the tokens were packed, so that their original positions can be tried.
    """
    lane = view.selector
    if lane is None or budget_of(lane) is None:
        return None
    percents = range(1, 101)
    counts = [
        int(_kept(loaded, image, replace(lane, budget=p / 100), shown).sum()) for p in percents
    ]
    first = next((p for p, count in zip(percents, counts, strict=True) if count), None)
    whole = next((p for p, n in zip(percents, counts, strict=True) if n == shown.sum()), None)
    if first is None or whole is None:  # the release never keeps some, even at 100 %
        return None
    words = f"A first one stays from {first} %, all of them from {whole} %."
    target = whole
    same = replace(lane, budget=Settings().lanes[-1].budget) == Settings().lanes[-1]
    if same and question == example.question and example.survives:
        target = round(example.survives * 100)
        words = f"The answer survives from {show_budget(example.survives)} on. {words}"
    packed = lane.positions == "packed"
    return {"words": words, "lane": place, "percent": target, "packed": packed}


TRIES = """element.addEventListener('click', (event) => {
  const button = event.target.closest('.try');
  if (button) {
    const {percent, lane} = button.dataset;
    trigger('click', {percent: Number(percent ?? 0), lane: Number(lane)});
  }
});"""


def add_why_panel() -> gr.HTML:
    """Build the box, empty until a run is over."""
    return gr.HTML("", elem_id="why", js_on_load=TRIES)


def wire(handlers: Handlers, asked: Any, last: gr.State, box: gr.HTML) -> Any:
    """Fill the box after every run; gives its buttons' event, once the form has what they say."""
    last.change(partial(explain, handlers), [asked.image, last], box, **LOOK, **QUIET)
    panes = asked.form.parts["panes"]
    return box.click(take_try, panes, panes, queue=False, **QUIET)


def explain(handlers: Handlers, path: str | None, kept: Record | None) -> str:
    """Say why the last run went as it did; nothing where no place of anything is known."""
    if not path or not kept or not handlers.shows(path, kept) or not handlers.greeting.embedded:
        return ""
    try:
        example = handlers.greeting.shown(path)
        if example is None:
            return ""
        image, loaded = read_image(path), handlers.engine.get()
        return why(loaded, image, example, kept.question, kept.views)
    except HiredError:  # the panes say what went wrong
        return ""


def take_try(event: gr.EventData, panes: str) -> Any:
    """The budget that the button names, or for 0 the places, into the pane it is about."""
    percent, lane = getattr(event, "percent", None), getattr(event, "lane", None)
    if not isinstance(percent, int) or not 0 <= percent <= 100 or not isinstance(lane, int):
        return gr.skip()
    tried = {"budget": percent / 100} if percent else {"positions": "original"}
    try:
        return form.with_settings(panes, lane, **tried)
    except HiredError:  # that pane is gone
        return gr.skip()
