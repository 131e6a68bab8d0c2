"""Export, import, link and history of runs: the box under the settings."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from hired.errors import HiredError
from hired.web import form, history, record, share
from hired.web.card import draw_card
from hired.web.examples import Example
from hired.web.handlers import Handlers, plain_errors
from hired.web.plain import upload_folder
from hired.web.recall import Recall
from hired.web.settings import Settings
from hired.web.uploads import read_image
from hired.web.wiring import FREE, LOOK, QUIET

COPY = """(query) => {
  const link = location.origin + location.pathname + (query ? '?' + query : '');
  history.replaceState(null, '', link);
  if (navigator.clipboard) navigator.clipboard.writeText(link).catch(() => {});
  return link;
}"""


@dataclass(frozen=True, eq=False)
class Shared:
    """The components of the box, and the last run.

    Attributes:
        told: carries runs between the browser's history and the server; never seen.
        picked: how often a run was chosen from the history.
    """

    last: gr.State
    told: gr.JSON
    past: gr.Dropdown
    picked: gr.State
    downloads: list[gr.DownloadButton]
    upload: gr.UploadButton
    copy: gr.Button
    link: gr.Textbox
    card: gr.DownloadButton

    def keep(self, handlers: Handlers, ended: Any) -> None:
        """After a run: make its files and remember it."""
        made = ended.then(handlers.files, self.last, self.downloads, queue=False, **QUIET)
        told = made.then(lambda kept: kept, self.last, self.told, queue=False, **QUIET)
        told.then(history.choices, self.told, self.past, js=history.REMEMBER, queue=False, **QUIET)

    def reopened(self, asked: Any, results: list[Any]) -> list[Any]:
        """What `Recall.show_record` fills."""
        return [*results, *asked.example, *asked.form.all, self.last]

    def wire(self, handlers: Handlers, asked: Any, results: list[Any]) -> None:
        """Link, import and history."""
        gr.on(None, history.choices, self.told, self.past, js=history.LIST, queue=False, **QUIET)
        self.copy.click(
            partial(_query, handlers),
            [asked.image, asked.question, *asked.form.all],
            self.link,
            **FREE,
            **QUIET,
        ).then(None, self.link, self.link, js=COPY, **QUIET)
        self.last.change(_carder(handlers), [asked.image, self.last], self.card, **LOOK, **QUIET)
        shown, recall = self.reopened(asked, results), Recall(handlers)
        imported = self.upload.upload(recall.import_record, self.upload, shown, **FREE, **QUIET)
        # In the queue: gradio tells a browser of a changed state only there.
        # `input` comes when the list is left with nothing chosen, `select` from no keyboard.
        self.past.change(
            lambda name, count: count + bool(name),
            [self.past, self.picked],
            self.picked,
            **FREE,
            **QUIET,
        )
        chosen = self.picked.change(
            lambda kept, _: recall.show_record(kept),
            [self.told, self.past],
            shown,
            js=history.PICK,
            **FREE,
            **QUIET,
        )
        for event in (imported, chosen):
            event.success(handlers.files, self.last, self.downloads, queue=False, **QUIET)


def add_share_box() -> Shared:
    """Build the box."""
    with gr.Accordion("Share, export, history", open=False, elem_id="share"):
        with gr.Row():
            copy = gr.Button("Copy link to these settings", size="sm", elem_id="copy-link")
        link = gr.Textbox(label="Link", interactive=False, buttons=["copy"], elem_id="link")
        with gr.Row():
            downloads = [
                gr.DownloadButton(
                    name, size="sm", interactive=False, min_width=60, elem_id=f"save-{name.lower()}"
                )
                for name in ("JSON", "CSV", "Markdown")
            ]
            card = gr.DownloadButton(
                "Card (PNG)", size="sm", interactive=False, min_width=60, elem_id="save-card"
            )
        upload = gr.UploadButton(
            "Import a JSON export", file_types=[".json"], size="sm", elem_id="import"
        )
        past = gr.Dropdown([], value=None, label="History of this browser", elem_id="history")
    told = gr.JSON(visible=False)
    return Shared(gr.State(None), told, past, gr.State(0), downloads, upload, copy, link, card)


def _query(handlers: Handlers, path: str | None, question: str, *values: Any) -> str:
    """The link's query; whoever opens it sees the run at once where it can carry the picture."""
    with plain_errors():
        example = handlers.greeting.shown(path) if path else None
        settings = form.read(*values)
    if path and not example:
        gr.Info("The link carries question and settings, but no uploaded image.")
    return _link_of(settings, question or "", path, example)


def _link_of(settings: Settings, question: str, path: str | None, example: Example | None) -> str:
    """The query of a link to a run of `path`, which is `example` if that is one."""
    query = share.to_query(settings, question, example.key if example else "")
    more = f"image={share.OWN}" if path and not example else "run=1" if path else ""
    return "&".join(filter(None, [query, more]))


def _carder(handlers: Handlers) -> Callable[..., Any]:
    def make(
        request: gr.Request,  # gradio finds the request by its annotation
        path: str | None,
        kept: dict[str, Any] | None,
    ) -> Any:
        return _card(handlers, request, path, kept)

    return make


def _card(
    handlers: Handlers, request: gr.Request, path: str | None, kept: dict[str, Any] | None
) -> Any:
    """The last run as one picture, where its image is still there."""
    nothing = gr.update(interactive=False)
    loaded = handlers.engine.get()
    if not path or not kept or loaded.servers is not None:
        return nothing
    try:
        found, image = record.from_json(record.dump(kept)), read_image(path)
        shown = {"name": Path(path).name, "height": image.height, "width": image.width}
        if {key: found.image.get(key) for key in shown} != shown:
            return nothing
        example = handlers.greeting.shown(path)
        query = _link_of(found.settings, found.question, path, example)
        address = request.headers.get("origin") or request.headers.get("referer") or ""
        link = f"{address.split('?')[0].rstrip('/')}/?{query}" if address else ""
        chosen = [view.selector for view in found.views]
        selections = [loaded.preview.select(image, lane) for lane in chosen if lane is not None]
        if len(selections) < len(chosen):
            return nothing
        known = example.known.get(found.question, "") if example else ""
        card = draw_card(found, image, selections, known, link)
    except HiredError:  # the panes say what went wrong
        return nothing
    target = Path(tempfile.mkdtemp(prefix="card-", dir=upload_folder())) / "hired-card.png"
    card.save(target, optimize=True)
    return gr.update(value=str(target), interactive=True)
