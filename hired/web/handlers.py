"""What happens on a click: thin functions between gradio and `runs`, errors as plain sentences."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import gradio as gr

from hired.errors import HiredError, InputError
from hired.web import form, panes, pictures
from hired.web.engine import Engine, read_image
from hired.web.runs import run
from hired.web.settings import Settings
from hired.web.views import View

PANES = 3
NO_IMAGE = (
    '<div class="nothing"><p>Upload, paste or choose an image to see which tokens stay.</p></div>'
)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Errors meant for the user as a sentence on the page, without a trace in the log."""
    try:
        yield
    except HiredError as error:
        raise gr.Error(panes.esc(error), title="That did not work", print_exception=False) from None


class Handlers:
    """The page's handlers around one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def preview(self, path: str | None, mode: str, *values: Any) -> tuple[str, str]:
        """Picture and read-out of the current image and settings; errors stand in their place."""
        if not path:
            return NO_IMAGE, ""
        try:
            settings = form.read(*values)
            image, loaded = read_image(path), self.engine.get()
            selection = pictures.select(loaded, image, settings)
            picture = pictures.preview(loaded, image, settings, mode)
            return picture, pictures.readout(selection, settings.budget)
        except HiredError as error:
            return f'<div class="nothing"><p class="fault">{panes.esc(error)}</p></div>', ""

    def begin(self, request: gr.Request, *values: Any) -> list[Any]:
        """Before the queue: panes say so, Run gives way to Stop."""
        self.engine.expect(request.session_hash)
        with plain_errors():
            settings = form.read(*values)
        views = [View(method, "queued") for method in settings.methods]
        return [*self.draw(views), *self.buttons(running=True)]

    def run(
        self, request: gr.Request, path: str | None, question: str, *values: Any
    ) -> Iterator[list[Any]]:
        """Stream one comparison."""
        with plain_errors():
            if not path:
                raise InputError("There is no image yet. Upload one or choose an example.")
            settings, image, loaded = form.read(*values), read_image(path), self.engine.get()
            with (
                self.engine.stopping(request.session_hash) as stops,
                closing(run(loaded, image, question, settings, stops)) as frames,
            ):
                for views in frames:
                    yield self.draw(views)

    def end(self) -> list[Any]:
        """After a run, whatever became of it."""
        return self.buttons(running=False)

    def stop(self, request: gr.Request) -> None:
        """Both lanes, within one token; what was said stays."""
        self.engine.stop(request.session_hash)

    def stop_lane(self, lane: int, request: gr.Request) -> None:
        """One lane."""
        self.engine.stop(request.session_hash, lane)

    def draw(self, views: list[View]) -> list[Any]:
        """Values of the panes, the verdict, the timeline and the live region."""
        shown = [panes.pane(view, index) for index, view in enumerate(views)]
        third = gr.update(value=shown[2], visible=True) if len(shown) > 2 else gr.skip()
        if len(shown) < 3:
            third = gr.update(value="", visible=False)
        return [
            shown[0],
            shown[1] if len(shown) > 1 else "",
            third,
            panes.verdict(views),
            panes.timeline(views),
            panes.announcement(views),
        ]

    def buttons(self, running: bool) -> list[Any]:
        """Run and Stop."""
        return [gr.update(interactive=not running), gr.update(interactive=running)]

    def idle(self, settings: Settings | None = None) -> list[Any]:
        """Panes before the first run."""
        return self.draw([View(method) for method in (settings or Settings()).methods])
