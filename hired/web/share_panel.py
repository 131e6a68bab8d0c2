"""The panel under the settings: link, export, import and history of runs.

The browser stores the last runs for all its tabs. A tab reads what is stored at the moment it
writes, so no tab undoes another's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from hired.errors import HiredError, InputError
from hired.web import examples, export, form, permalink, uploads
from hired.web.blocks import Parts, Values, listen, pick, plain_errors
from hired.web.card import draw_card
from hired.web.examples import Example
from hired.web.export import Record
from hired.web.handlers import Handlers
from hired.web.pane_state import Case
from hired.web.queues import FREE, LOOK, QUIET
from hired.web.settings import Settings
from hired.web.uploads import is_same, read_image, result_folder

HISTORY = 12  # runs kept in the browser
_STORE = """
  const key = 'hired-runs';
  const stored = () => {
    try {
      const found = JSON.parse(localStorage.getItem(key) ?? '[]');
      return Array.isArray(found) ? found.filter((kept) => kept?.run && kept.id) : [];
    } catch { return []; }  // not ours, or storage is forbidden
  };
  const listed = (kept) => kept.map(({id, run: {date, question, settings}}) => (
    {id, date, question, lanes: settings?.lanes, budget: settings?.budget}));
"""
LIST = f"() => {{{_STORE} return [listed(stored())]; }}"
PICK = f"(_, id) => {{{_STORE} return [stored().find((kept) => kept.id === id)?.run, id]; }}"
# Pictures may fill the storage before there are as many runs: the oldest go.
REMEMBER = f"""(run) => {{{_STORE}
  let runs = stored();
  if (run) runs.unshift({{id: `${{Date.now()}}-${{Math.random()}}`, run}});
  for (runs = runs.slice(0, {HISTORY}); runs.length; runs.pop()) {{
    try {{ localStorage.setItem(key, JSON.stringify(runs)); break; }} catch {{ }}
  }}
  return [listed(runs)];
}}"""


def titles(runs: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Entries of the history to choose from: (words for a run, its name in the browser)."""
    shown = []
    for kept in runs:
        when = str(kept.get("date", ""))[:16].replace("T", " ")
        words = str(kept.get("question", ""))[:60]
        lanes = kept.get("lanes")
        told = " | ".join(map(str, lanes)) if lanes else f"budget {kept.get('budget')}"
        shown.append((f"{when} · {words} · {told}", str(kept.get("id"))))
    return shown


def choices(runs: list[dict[str, Any]] | None) -> Any:
    """The list of `runs` as the browser told of them."""
    return gr.update(choices=titles(runs or []), value=None)


class Recall:
    """Brings back runs with all that belongs to them: picture, question, answer, settings."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers

    def show_stored(self, run: dict[str, Any] | None) -> Values:
        """Show a run of the browser's history again."""
        with plain_errors():
            if not run:
                raise InputError(
                    "This run is no longer in the history of this browser. Run it again."
                )
            found = export.from_json(run)
        return self.show_record(found)

    def import_record(self, path: str) -> Values:
        """Show an exported file again."""
        with plain_errors():
            found = export.from_json(Path(path).read_bytes()[: export.MAX_BYTES + 1])
        return self.show_record(found)

    def show_record(self, found: Record, path: str | None = None) -> Values:
        """Show a run of before again: panes, question, a stand-in for its picture, settings.

        `path` is the image that is there; it stays if it is the run's own.
        """
        image, foreign = found.image, bool(found.image.get("foreign"))
        example = self._example(found)
        stays = is_same(image, path)
        case = Case(found.known, foreign, found.about)
        own = example.image if example else None  # an update would lose its reader
        brought = {} if stays else {"brought": "" if example else uploads.show_picture(image)}
        asked = example is not None and example.question == found.question
        return {
            **self.handlers.draw(found.views, case),
            "path": path if stays else own,
            "question": found.question,
            "known": {found.question: found.known} if found.known else {},
            "note": examples.note(example) if example and asked else "",
            **brought,
            **self.handlers.fit_form(found.settings),
            **self.handlers.keep(found),
        }

    def _example(self, found: Record) -> Example | None:
        return self.handlers.greeting.named(found.image.get("example", ""))


COPY = """(query) => {
  const link = location.origin + location.pathname + (query ? '?' + query : '');
  history.replaceState(null, '', link);
  const kept = JSON.parse(sessionStorage.getItem('hired-form') ?? 'null');  // is of this link now
  if (kept) sessionStorage.setItem('hired-form', JSON.stringify({...kept, at: location.search}));
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
    downloads: Parts
    upload: gr.UploadButton
    copy: gr.Button
    link: gr.Textbox
    card: gr.DownloadButton

    @property
    def kept(self) -> Parts:
        """Components that `Handlers.keep` fills."""
        return {"last": self.last, **self.downloads}

    def remember(self, ended: Any) -> None:
        """Store a run that has ended in the browser."""
        told = ended.then(_as_data, self.last, self.told, queue=False, **QUIET)
        told.then(choices, self.told, self.past, js=REMEMBER, queue=False, **QUIET)

    def reopened(self, asked: Any, results: Parts) -> Parts:
        """Components that `Recall.show_record` fills."""
        return {**results, **asked.parts, **self.kept}

    def wire(self, demo: gr.Blocks, handlers: Handlers, asked: Any, results: Parts) -> None:
        """Wire link, import and history."""
        # When the page opens, and never again: it would race `keep` for what is stored.
        demo.load(choices, self.told, self.past, js=LIST, queue=False, **QUIET)
        reads, link = pick(asked.parts, "path", "question", *form.FIELDS), {"link": self.link}
        copied = listen(self.copy.click, partial(_query, handlers), reads, link, **FREE, **QUIET)
        copied.then(None, self.link, self.link, js=COPY, **QUIET)
        self.last.change(_carder(handlers), [asked.image, self.last], self.card, **LOOK, **QUIET)
        shown, recall = self.reopened(asked, results), Recall(handlers)
        listen(
            self.upload.upload, recall.import_record, {"path": self.upload}, shown, **FREE, **QUIET
        )
        # In the queue: gradio tells a browser of a changed state only there.
        # `input` comes when the list is left with nothing chosen, `select` from no keyboard.
        self.past.change(
            lambda name, count: count + bool(name),
            [self.past, self.picked],
            self.picked,
            **FREE,
            **QUIET,
        )
        listen(
            self.picked.change, lambda run, name: recall.show_stored(run),
            {"run": self.told, "name": self.past}, shown, js=PICK, **FREE, **QUIET,
        )  # fmt: skip


def add_share_panel() -> Shared:
    """Build the box."""
    with gr.Accordion("Share, export, history", open=False, elem_id="share"):
        with gr.Row():
            copy = gr.Button("Copy link to these settings", size="sm", elem_id="copy-link")
        link = gr.Textbox(label="Link", interactive=False, buttons=["copy"], elem_id="link")
        with gr.Row():
            downloads = {
                name: gr.DownloadButton(
                    name, size="sm", interactive=False, min_width=60, elem_id=f"save-{name.lower()}"
                )
                for name in export.FILES
            }
            card = gr.DownloadButton(
                "Card (PNG)", size="sm", interactive=False, min_width=60, elem_id="save-card"
            )
        upload = gr.UploadButton(
            "Import a JSON export", file_types=[".json"], size="sm", elem_id="import"
        )
        past = gr.Dropdown([], value=None, label="History of this browser", elem_id="history")
    told = gr.JSON(visible=False)
    return Shared(gr.State(None), told, past, gr.State(0), downloads, upload, copy, link, card)


def _as_data(kept: Record | None) -> dict[str, Any] | None:
    return export.as_dict(kept) if kept else None


def _query(handlers: Handlers, path: str | None, question: str, **fields: Any) -> Values:
    """Query of the link; its visitor sees the run at once where it can carry the picture."""
    with plain_errors():
        example = handlers.greeting.shown(path) if path else None
        settings = form.read(**fields)
    if path and not example:
        gr.Info("The link carries question and settings, but no uploaded image.")
    return {"link": _link_of(settings, question or "", path, example)}


def _link_of(settings: Settings, question: str, path: str | None, example: Example | None) -> str:
    """The query of a link to a run of `path`, which is `example` if that is one."""
    query = permalink.to_query(settings, question, example.key if example else "")
    more = f"image={permalink.OWN}" if path and not example else "run=1" if path else ""
    return "&".join(filter(None, [query, more]))


def _carder(handlers: Handlers) -> Callable[..., Any]:
    def make(
        request: gr.Request,  # gradio finds the request by its annotation
        path: str | None,
        kept: Record | None,
    ) -> Any:
        return _card(handlers, request, path, kept)

    return make


def _card(handlers: Handlers, request: gr.Request, path: str | None, kept: Record | None) -> Any:
    """The last run as one picture, where its image is still there."""
    nothing = gr.update(interactive=False)
    loaded = handlers.engine.get()
    if not path or not kept or not handlers.shows(path, kept):
        return nothing
    try:
        image = read_image(path)
        example = handlers.greeting.shown(path)
        query = _link_of(kept.settings, kept.question, path, example)
        address = request.headers.get("origin") or request.headers.get("referer") or ""
        link = f"{address.split('?')[0].rstrip('/')}/?{query}" if address else ""
        chosen = [view.selector for view in kept.views]
        selections = [loaded.preview.select(image, lane) for lane in chosen if lane is not None]
        if len(selections) < len(chosen):
            return nothing
        known = example.known.get(kept.question, "") if example else ""
        card = draw_card(kept, image, selections, known, link)
    except HiredError:  # the panes say what went wrong
        return nothing
    target = result_folder("card") / "hired-card.png"
    card.save(target, optimize=True)
    return gr.update(value=str(target), interactive=True)
