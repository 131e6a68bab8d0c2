"""The box that says why an answer failed, and its button that tries a larger budget."""

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from hired.errors import HiredError
from hired.web import form, record
from hired.web.handlers import Handlers
from hired.web.uploads import read_image
from hired.web.why import why
from hired.web.wiring import LOOK, QUIET

TRIES = """element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-percent]');
  if (button) {
    const {percent, lane} = button.dataset;
    trigger('click', {percent: Number(percent), lane: Number(lane)});
  }
});"""


def add_why_box() -> gr.HTML:
    """The box, empty until a run is over."""
    return gr.HTML("", elem_id="why", js_on_load=TRIES)


def wire(handlers: Handlers, asked: Any, last: gr.State, box: gr.HTML) -> Any:
    """Fill the box after every run; gives the event of its button, once the form has its budget."""
    last.change(partial(explain, handlers), [asked.image, last], box, **LOOK, **QUIET)
    panes = asked.form.parts["panes"]
    return box.click(take_percent, panes, panes, queue=False, **QUIET)


def explain(handlers: Handlers, path: str | None, kept: dict[str, Any] | None) -> str:
    """Why the last run went as it did; nothing where no place of an object is known."""
    if not path or not kept or not handlers.greeting.embedded:
        return ""
    try:
        example = handlers.greeting.shown(path)
        found = record.from_json(record.dump(kept))
        if example is None or found.image["name"] != Path(path).name:
            return ""
        image, loaded = read_image(path), handlers.engine.get()
        return why(loaded, image, example, found.question, found.views)
    except HiredError:  # the panes say what went wrong
        return ""


def take_percent(event: gr.EventData, panes: str) -> Any:
    """The budget that the button names, into the pane it is about."""
    percent, lane = getattr(event, "percent", None), getattr(event, "lane", None)
    if not isinstance(percent, int) or not 1 <= percent <= 100 or not isinstance(lane, int):
        return gr.skip()
    try:
        return form.with_budget(panes, lane, percent / 100)
    except HiredError:  # that pane is gone
        return gr.skip()
