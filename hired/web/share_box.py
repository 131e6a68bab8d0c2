"""Export, import, link and history of runs: the box under the settings."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from hired.web import form, share
from hired.web.handlers import Handlers, plain_errors, titles
from hired.web.recall import Recall
from hired.web.wiring import FREE, QUIET

COPY = """(query) => {
  const link = location.origin + location.pathname + (query ? '?' + query : '');
  history.replaceState(null, '', link);
  if (navigator.clipboard) navigator.clipboard.writeText(link).catch(() => {});
  return link;
}"""


@dataclass(frozen=True, eq=False)
class Shared:
    """The components of the box, and the last run."""

    last: gr.State
    history: gr.BrowserState
    past: gr.Dropdown
    downloads: list[gr.DownloadButton]
    upload: gr.UploadButton
    copy: gr.Button
    link: gr.Textbox

    def keep(self, handlers: Handlers, ended: Any) -> None:
        """After a run: make its files and remember it."""
        ended.then(handlers.files, self.last, self.downloads, queue=False, **QUIET).then(
            handlers.remember, [self.last, self.history], [self.history, self.past],
            queue=False, **QUIET,
        )  # fmt: skip

    def reopened(self, asked: Any, results: list[Any]) -> list[Any]:
        """What `Recall.show_record` fills."""
        return [*results, *asked.example, *asked.form.all, self.last]

    def wire(self, handlers: Handlers, asked: Any, results: list[Any]) -> None:
        """Link, import and history."""
        self.copy.click(
            partial(_query, handlers),
            [asked.image, asked.question, *asked.form.all],
            self.link,
            **FREE,
            **QUIET,
        ).then(None, self.link, self.link, js=COPY, **QUIET)
        shown, recall = self.reopened(asked, results), Recall(handlers)
        imported = self.upload.upload(recall.import_record, self.upload, shown, **FREE, **QUIET)
        chosen = self.past.input(
            lambda history, index: recall.show_record(
                history[index] if index is not None and index < len(history) else None
            ),
            [self.history, self.past],
            shown,
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
        upload = gr.UploadButton(
            "Import a JSON export", file_types=[".json"], size="sm", elem_id="import"
        )
        past = gr.Dropdown([], value=None, label="History of this browser", elem_id="history")
    history = gr.BrowserState([], storage_key="hired-history", secret="hired")
    made = Shared(gr.State(None), history, past, downloads, upload, copy, link)
    gr.on(
        None,
        lambda kept: gr.update(choices=titles(kept or []), value=None),
        history,
        past,
        queue=False,
        **QUIET,
    )
    return made


def _query(handlers: Handlers, path: str | None, question: str, *values: Any) -> str:
    """The link's query; whoever opens it sees the run at once where it can carry the picture."""
    with plain_errors():
        example = handlers.greeting.shown(path) if path else None
        query = share.to_query(form.read(*values), question or "", example.key if example else "")
    if path and not example:
        gr.Info("The link carries question and settings, but no uploaded image.")
        return "&".join(filter(None, [query, f"image={share.OWN}"]))
    return "&".join(filter(None, [query, "run=1" if path else ""]))
