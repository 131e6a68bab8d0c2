"""The form over a reload: kept by the browser for its tab, put back when the page comes again.

Gradio reloads the page when a connection was cut; the server stops a run whose visitor is gone.
"""

from collections.abc import Callable
from typing import Any

import gradio as gr

from hired.web import panes
from hired.web.handlers import Handlers
from hired.web.wiring import OPEN, QUIET

LOST = (
    "The connection was cut while your question was answered, so that answer is lost. Image, "
    "question and settings are as they were: press Run."
)
KEEP = """(...values) => {
  sessionStorage.setItem('hired-form', JSON.stringify({at: location.search, values}));
}"""
# `hiredKept` is what page.js found there before this page began to write.
BACK = """(...inputs) => {
  const kept = window.hiredKept, again = window.hiredAgain;
  if (!again || !kept || kept.at !== location.search) return inputs;
  if (kept.values.length + 1 !== inputs.length) return inputs;  // of a form of before
  return [kept.ran, ...kept.values];
}"""
BEGUN = "() => { sessionStorage.setItem('hired-running', '1'); }"
ENDED = "() => { sessionStorage.removeItem('hired-running'); }"
STANDS = """() => requestAnimationFrame(() => {
  document.documentElement.classList.add('ready');
  const asked = new URLSearchParams(location.search).get('run') === '1';
  if (asked && !window.hiredAgain) document.querySelector('#run')?.click();
})"""


def keep_form(handlers: Handlers, asked: Any, opened: Any) -> None:
    """Keep what is asked at every change; put it back after `opened`, then show the page."""
    kept = [asked.image, asked.question, *asked.form.all]
    ran = gr.Checkbox(visible=False)
    changes = [asked.image.change, asked.question.change]
    changes += [part.change for part in asked.form.all]
    gr.on(changes, None, kept, None, js=KEEP, **QUIET)
    back = opened.then(
        restorer(handlers),
        [ran, *kept],
        [*asked.example, *asked.form.all],
        js=BACK,
        **OPEN,
        **QUIET,
    )
    back.then(None, None, None, js=STANDS, **QUIET)


def note_run(begun: Any, ended: Any) -> None:
    """Remember in the browser that a run is under way, until it has ended."""
    begun.success(None, None, None, js=BEGUN, **QUIET)
    ended.then(None, None, None, js=ENDED, **QUIET)


def restorer(handlers: Handlers) -> Callable[..., Any]:
    """The handler that puts a form back: what the browser kept, else what there is."""

    # No `gr.skip`: gradio would make the image anew, without what compare_tab changed in it.
    def restore(ran: bool | None, path: str | None, question: str, *values: Any) -> list[Any]:
        if ran:
            gr.Warning(LOST)
        example = handlers.greeting.shown(path) if path else None
        known = example.known if example and example.question == question else {}
        return [path, question, known, panes.note(example) if known else "", "", *values]

    return restore
