"""A run of before on the page again: from the history, or from a file."""

from pathlib import Path
from typing import Any

import gradio as gr

from hired.errors import InputError
from hired.web import keepsake, panes, record
from hired.web.handlers import Handlers
from hired.web.plain import plain_errors
from hired.web.record import Record
from hired.web.uploads import digest
from hired.web.views import Case


class Recall:
    """Brings back runs with all that belongs to them: picture, question, known answer, settings."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    def show_record(self, kept: dict[str, Any] | None, path: str | None = None) -> list[Any]:
        """A run of before: panes, what was asked, what stands for its picture, settings.

        `path` is the image that is there; it stays if it is the run's own.
        """
        with plain_errors():
            if not kept:
                raise InputError(
                    "This run is no longer in the history of this browser. Run it again."
                )
            found = record.from_json(record.dump(kept))
        image, foreign = found.image, bool(found.image.get("foreign"))
        example = self._example(found)
        stays = bool(path) and image.get("digest") == digest(path or "")
        case = Case(found.known, foreign, found.about)
        return [
            *self.handlers.draw(found.views, case),
            path
            if stays
            else example.image
            if example
            else None,  # an update would lose its reader
            found.question,
            {found.question: found.known} if found.known else {},
            panes.note(example) if example and example.question == found.question else "",
            gr.skip() if stays else "" if example else keepsake.show(image),
            *self.handlers.fit_form(found.settings),
            record.as_dict(found),
        ]

    def import_record(self, path: str) -> list[Any]:
        """An exported file, shown again."""
        with plain_errors():
            found = record.from_json(Path(path).read_bytes()[: record.MAX_BYTES + 1])
        return self.show_record(record.as_dict(found))

    def _example(self, found: Record) -> Any:
        key = found.image.get("example")
        return next((one for one in self.handlers.greeting.every if one.key == key), None)
