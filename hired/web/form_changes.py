"""What a change of the form does to what is shown before anything runs again."""

from dataclasses import replace
from typing import Any

import gradio as gr
from PIL import Image

from hired.errors import HiredError
from hired.models.auto import real_model
from hired.web import form, panes, stale
from hired.web.examples import Example
from hired.web.handlers import Handlers, idle_views
from hired.web.plain import plain_errors
from hired.web.settings import Settings
from hired.web.turns import take_turns
from hired.web.uploads import read_image
from hired.web.wiring import LOOK, NOTE, QUIET


class FormChanges:
    """Handlers of the left column's changes around those of the page."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    def wire(self, asked: Any, shown: Any, last: gr.State) -> None:
        """One listener for each change of the form: what it does to the picture, to the small ones
        and to the answers of the last run comes at once.
        """
        gr.on(
            [asked.image.clear, asked.question.input],
            lambda: ({}, "", ""),
            None,
            [asked.known, asked.note, asked.brought],
            queue=False,
            **QUIET,
        )
        # Only what cannot be read changes the box: gradio makes an updated one anew, without ours.
        checked = asked.image.upload(_check, asked.image, None, queue=False, **QUIET)
        checked.failure(lambda: None, None, asked.image, queue=False, **QUIET)
        asked.image.upload(
            self.arrive,
            [asked.image, asked.question],
            [asked.known, asked.note, asked.brought, asked.question],
            queue=False,
            **QUIET,
        )
        asked.form.parts["reset"].click(
            lambda: self.handlers.fit_form(Settings()), None, asked.form.all, queue=False, **QUIET
        )
        self._wire_changes(asked, shown, last)

    def _wire_changes(self, asked: Any, shown: Any, last: gr.State) -> None:
        panes, tokens = asked.form.parts["panes"], asked.form.parts["max_new_tokens"]
        kept = [last, asked.brought, asked.image, asked.question, *asked.form.all]
        gr.on(
            [
                take_turns(
                    "look",
                    [asked.image.change, asked.brought.change, shown.mode.change, panes.change],
                )
            ],
            self.look,
            [shown.mode, *kept],
            self.seen(shown),
            trigger_mode="always_last",
            **LOOK,
            **QUIET,
        )
        panes.change(None, panes, None, js="(text) => window.hiredPanes?.(text)", **QUIET)
        gr.on(
            [take_turns("note", [last.change, asked.question.change, tokens.change])],
            self.compare_with_last,
            kept,
            shown.stale,
            trigger_mode="always_last",
            **NOTE,
            **QUIET,
        )

    def seen(self, shown: Any) -> list[Any]:
        """What `look` fills."""
        return [shown.picture, shown.readout, shown.keeps, shown.stale]

    def look(
        self, mode: str, kept: dict[str, Any] | None, brought: str, path: str | None,
        question: str, *values: Any,
    ) -> list[str]:  # fmt: skip
        """Picture, read-out, small pictures, and what the answers are of where that has changed."""
        stale_words = self.compare_with_last(kept, brought, path, question, *values)
        if brought and not path:  # what a run brought with it where its picture is not here
            return [brought, "", "", stale_words]
        return [*self.handlers.preview(path, mode, *values), stale_words]

    def choose(self, example: Example, *values: Any) -> list[Any]:
        """An example that was clicked, and panes that say nothing of the one before."""
        views = [replace(view, phase="queued") for view in idle_views(*values)]
        note = panes.note(example)
        shown = self.handlers.draw(views)
        return [example.image, example.question, example.known, note, "", *shown, None]

    def arrive(self, path: str | None, question: str) -> list[Any]:
        """After an upload: no known answer, no question of another picture, and a warning where the
        model knows nothing of such pictures. What cannot be read is said.
        """
        asked = {one.question for one in self.handlers.greeting.every}
        question = "" if question in asked else question
        try:
            image = read_image(path or "")
        except HiredError as error:
            told = f'<p class="note foreign" role="alert">{panes.esc(error)}</p>'
            return [{}, told, "", question]
        return [{}, self._warning(path or "", image), "", question]

    def _warning(self, path: str, image: Image.Image) -> str:
        if not self.handlers.greeting.foreign(path, image):
            return ""
        return (
            f'<p class="note foreign" role="status"><b>{panes.FOREIGN}</b> '
            f"{panes.esc(real_model())} <code>python app.py --model auto</code></p>"
        )

    def compare_with_last(
        self, kept: dict[str, Any] | None, brought: str, path: str | None, question: str,
        *values: Any,
    ) -> str:  # fmt: skip
        """What the panes are of, where the form asks something else by now."""
        try:
            settings = form.read(*values)
        except HiredError:  # a number half typed
            return ""
        return stale.notice(kept, path, question or "", settings, bool(brought))


def _check(path: str | None) -> None:
    with plain_errors():
        read_image(path or "")
