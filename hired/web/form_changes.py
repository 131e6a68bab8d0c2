"""Changes of the form: the picture and the notes that follow them, and the form after a reload.

The last run is compared with the form, so a change taken back makes its answers fresh again.
Gradio sends a request for every change, and two within milliseconds may be answered in either
order; `take_turns` asks once for what follows them. It also reloads the page when a connection was
cut, and the server stops a run whose visitor is gone: so the browser keeps the form of each tab.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr
from PIL import Image

from hired.errors import HiredError, InputError
from hired.models.auto import real_model
from hired.web import examples, form, render, stale
from hired.web.blocks import Parts, Values, listen, pick, plain_errors
from hired.web.examples import Example
from hired.web.export import Record
from hired.web.handlers import Handlers, idle_views
from hired.web.markup import fill
from hired.web.queues import LOOK, NOTE, OPEN, QUIET
from hired.web.settings import Settings
from hired.web.uploads import read_image

SPACING_MS = 60  # the least time from one turn to the next
# All changes that wait for the same moment are one turn: they give the same number.
TAKE = """() => new Promise((tell) => {
  const next = window.hiredTurns ??= {}, now = Date.now(), turn = Math.max(now, next.NAME ?? 0);
  next.NAME = turn === now ? now + SPACING : turn;
  setTimeout(() => {
    next.NAME = Math.max(next.NAME, turn + SPACING);
    tell(turn);
  }, turn - now);
})"""


def take_turns(name: str, changes: Sequence[Any]) -> Any:
    """The event of a turn: after any of `changes`, at once where the last turn is over.

    Args:
        name: a word that no other turns of the page have.
    """
    turn = gr.Number(0, visible="hidden", elem_id=f"turn-{name}", label=name)
    take = TAKE.replace("NAME", name).replace("SPACING", str(SPACING_MS))
    gr.on(list(changes), None, None, turn, js=take, queue=False, show_progress="hidden")
    return turn.change


class FormChanges:
    """Handlers of the left column's changes around those of the page."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    def wire(self, asked: Any, shown: Any, last: gr.State) -> None:
        """Wire one listener for each change of the form.

        Its effect on the picture, the small pictures and the notes above the answers comes at once.
        """
        quiet = {"queue": False, **QUIET}
        told = pick(asked.parts, "known", "note", "brought")
        listen(
            partial(gr.on, [asked.image.clear, asked.question.input]),
            lambda: {"known": {}, "note": "", "brought": ""}, {}, told, **quiet,
        )  # fmt: skip
        known = pick(asked.parts, "known", "note")
        listen(  # pasted or put there by a program: only what is typed is `input`
            asked.question.change, _forget_another_s, {**pick(asked.parts, "question"), **known},
            known, **quiet,
        )  # fmt: skip
        # Only what cannot be read changes the box: gradio makes an updated one anew, without ours.
        checked = asked.image.upload(_check, asked.image, None, **quiet)
        checked.failure(lambda: None, None, asked.image, **quiet)
        question = pick(asked.parts, "question")
        read = {**pick(asked.parts, "path"), **question}
        listen(asked.image.upload, self.arrive, read, {**told, **question}, **quiet)
        reset = asked.form.parts["reset"].click
        listen(reset, lambda: self.handlers.fit_form(Settings()), {}, asked.form.fields, **quiet)
        self._wire_changes(asked, shown, last)

    def _wire_changes(self, asked: Any, shown: Any, last: gr.State) -> None:
        panes, tokens = asked.form.parts["panes"], asked.form.parts["max_new_tokens"]
        looks = [asked.image.change, asked.brought.change, shown.mode.change, panes.change]
        looks.append(asked.loaded.change)
        notes = [last.change, asked.question.change, tokens.change]
        newest = {"trigger_mode": "always_last", **QUIET}
        self.listen(take_turns("look", looks), asked, shown, last, **newest)
        panes.change(None, panes, None, js="(text) => window.hiredPanes?.(text)", **QUIET)
        listen(
            take_turns("note", notes), self.compare_with_last, _compared(asked, last),
            {"stale": shown.stale}, **NOTE, **newest,
        )  # fmt: skip

    def listen(
        self, event: Callable[..., Any], asked: Any, shown: Any, last: gr.State, **options: Any
    ) -> Any:
        """Let `look` answer an event."""
        reads = {"mode": shown.mode, **_compared(asked, last)}
        writes = {**shown.sight, "another": asked.another}
        return listen(event, self.look, reads, writes, **LOOK, **options)

    def look(
        self, mode: str, last: Record | None, brought: str, path: str | None,
        question: str, **fields: Any,
    ) -> Values:  # fmt: skip
        """Draw picture, read-out and small pictures; say where the answers are of another form, and
        offer another one like the picture where it is an example.
        """
        told = self.compare_with_last(last, brought, path, question, **fields)
        told |= self._offer_another(path)
        if brought and not path:  # what a run brought with it where its picture is not here
            return {"picture": brought, "readout": "", "small": "", **told}
        return {**self.handlers.preview(path, mode, **fields), **told}

    def _offer_another(self, path: str | None) -> Values:
        try:
            offered = self.handlers.greeting.another(path) is not None
        except HiredError:  # the picture's place says what went wrong
            offered = False
        return {"another": gr.update(visible=offered)}

    def draw_another(self, path: str | None, **fields: Any) -> Values:
        """Draw a picture like the one that is shown, and take it as an example that was clicked."""
        with plain_errors():
            greeting = self.handlers.greeting
            drawn = greeting.named(greeting.another(path) or "")
            if drawn is None:
                raise InputError("There is no example here to draw another one like it.")
        return self.choose(drawn, **fields)

    def choose(self, example: Example, **fields: Any) -> Values:
        """Fill the form with an example that was clicked, and empty the panes."""
        views = [replace(view, phase="queued") for view in idle_views(**fields)]
        return {
            "path": example.image,
            "question": example.question,
            "known": example.known,
            "note": examples.note(example),
            "brought": "",
            **self.handlers.draw(views),
            **self.handlers.keep(None),
        }

    def arrive(self, path: str | None, question: str) -> Values:
        """Answer an upload: no known answer, and no question that belongs to another picture.

        A picture that cannot be read, or that the model knows nothing of, brings a note.
        """
        question = "" if self.handlers.greeting.asks(question) else question
        try:
            note = self._warning(path or "", read_image(path or ""))
        except HiredError as error:
            note = fill("page", "unread", words=error)
        return {"known": {}, "note": note, "brought": "", "question": question}

    def _warning(self, path: str, image: Image.Image) -> str:
        if not self.handlers.greeting.foreign(path, image):
            return ""
        return fill("page", "foreign", words=render.FOREIGN, remedy=real_model())

    def compare_with_last(
        self, last: Record | None, brought: str, path: str | None, question: str,
        **fields: Any,
    ) -> Values:  # fmt: skip
        """Tell of which form the answers are, where the form has changed since."""
        try:
            settings = form.read(**fields)
        except HiredError:  # a number half typed; the picture's place says what is wrong
            return {"stale": stale.dim(last, "a change that cannot be read") if last else ""}
        form_now = path, question or "", settings, bool(brought)
        return {"stale": stale.notice(last, *form_now, self.handlers.engine.model)}


def _compared(asked: Any, last: gr.State) -> Parts:
    """Components that are compared with the last run."""
    return {"last": last, **pick(asked.parts, "brought", "path", "question", *form.FIELDS)}


def _forget_another_s(question: str | None, known: dict[str, str], note: str) -> Values:
    """Drop a known answer, and the note that tells it, where another question is asked."""
    alien = bool(known) and question not in known
    return {"known": {} if alien else known, "note": "" if alien else note}


def _check(path: str | None) -> None:
    with plain_errors():
        read_image(path or "")


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
    kept = pick(asked.parts, "path", "question", *form.FIELDS)
    ran = gr.Checkbox(visible=False)
    changes = [asked.image.change, asked.question.change]
    changes += [part.change for part in asked.form.all]
    gr.on(changes, None, list(kept.values()), None, js=KEEP, **QUIET)
    back = listen(
        opened.then, restorer(handlers), {"ran": ran, **kept}, asked.parts, js=BACK, **OPEN, **QUIET
    )
    back.then(None, None, None, js=STANDS, **QUIET)


def note_run(begun: Any, running: Any) -> None:
    """Remember in the browser that a run is under way, until it has ended or was refused."""
    begun.success(None, None, None, js=BEGUN, **QUIET)
    for ended in (running.then, running.failure):  # `then` does not follow a failure
        ended(None, None, None, js=ENDED, **QUIET)


def restorer(handlers: Handlers) -> Callable[..., Values]:
    """Make the handler that puts a form back: what the browser kept, else what there is."""

    # No `gr.skip`: gradio would make the image anew, without what compare_tab changed in it.
    def restore(ran: bool | None, path: str | None, question: str, **fields: Any) -> Values:
        if ran:
            gr.Warning(LOST)
        example = handlers.greeting.shown(path) if path else None
        own = example if example and example.question == question else None
        known, note = (own.known, examples.note(own)) if own and own.known else ({}, "")
        return {"path": path, "question": question, "known": known, "note": note, "brought": "",
                **fields}  # fmt: skip

    return restore
