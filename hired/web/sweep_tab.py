"""The Sweep tab: one prompt at many budgets, measured live. Layout and handlers."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from hired.errors import HiredError, InputError
from hired.selectors import every_setting, usual_value
from hired.web import export, form, sweep_results, uploads
from hired.web.blocks import Parts, Values, listen, pick, plain_errors
from hired.web.handlers import Handlers
from hired.web.markup import fill
from hired.web.pictures import small
from hired.web.queues import FREE, LOOK, QUIET
from hired.web.share_panel import Recall
from hired.web.sweep import Progress, axes, plan, sweep, swept
from hired.web.sweep_plots import add_sweep_plots, draw_sweep
from hired.web.sweep_results import budget_of, grid, plot
from hired.web.tab_run import TabRun, changes, show_progress
from hired.web.uploads import read_image, result_folder

COLUMNS = {
    "method": "method",
    "budget": "budget",
    "visual_tokens": "visual tokens",
    "ttft_s": "first token, s",
    "tokens_per_s": "tokens/s",
    "kv_cache_bytes": "KV cache, MB",
    "coverage": "of what stock looked at, %",
    "agrees": "as stock",
    "correct": "correct",
    "text": "answer",
}
OPENS = """element.addEventListener('click', (event) => {
  const cell = event.target.closest('[data-row]');
  if (cell) trigger('click', {row: Number(cell.dataset.row)});
});"""


LEAD = (
    "Where does the answer begin to change, and what does each step buy? The image, question and "
    "settings are those of the Compare tab, repeats too."
)


def add_sweep_tab(handlers: Handlers, asked: Any, tabs: gr.Tabs, tab: gr.Tab) -> None:
    """Build the tab around the image and question of the Compare tab."""
    gr.HTML(fill("page", "lead", words=LEAD))
    about = gr.HTML("", elem_id="sweep-asked")
    given = _fields()
    with gr.Row():
        start = gr.Button("Run the sweep", variant="primary", elem_id="sweep-run")
        stop = gr.Button(
            "Cancel", variant="stop", interactive=False, min_width=60, elem_id="sweep-stop"
        )
        saves = {
            name: gr.DownloadButton(
                name.upper(), interactive=False, min_width=60, elem_id=f"sweep-{name}"
            )
            for name in ("csv", "json", "png")
        }
    shown = _results()
    kept = pick(shown, "kept")
    sweeps = SweepRuns(handlers)
    reads = {**pick(asked.parts, "path", "question", "known", *form.FIELDS), **given}
    ended = sweeps.wire(start, stop, sweeps.run, reads, shown)
    listen(ended.then, _files, kept, saves, queue=False, **QUIET)
    opened = {**pick(asked.parts, "path", "question", "known"), **kept}
    there = listen(tab.select, sweeps.open, opened, {"about": about, **shown}, **LOOK, **QUIET)
    listen(there.then, _files, kept, saves, queue=False, **QUIET)
    listen(
        shown["cells"].click, sweeps.open_run, {**pick(asked.parts, "path"), **kept},
        {"tabs": tabs, **asked.reopened}, **FREE, **QUIET,
    )  # fmt: skip


def _fields() -> Parts:
    """Build the fields for budgets, methods, and one more setting with its values."""
    known = every_setting()
    with gr.Row():
        budgets = gr.Textbox(
            "5 % 10 % 20 % 40 % 60 % 100 %", label="Budgets, shares or counts",
            elem_id="sweep-budgets", min_width=240,
        )  # fmt: skip
        methods = gr.Dropdown(
            [choice for choice in form.method_choices() if choice[1] in swept()[1:]],
            value=["hired", "random"], multiselect=True, label="Methods", elem_id="sweep-methods",
            min_width=240,
        )  # fmt: skip
        axis = gr.Dropdown(
            ["none", *((known[name].label, name) for name in axes()[2:])], label="One more setting",
            value="none", elem_id="sweep-axis", min_width=140,
        )  # fmt: skip
        values = gr.Textbox("", label="Its values", visible=False, min_width=140)
    listen(axis.change, _ask_values, {"axis": axis}, {"values": values}, queue=False, **QUIET)
    cover = gr.Checkbox(
        False, label="Coverage: how much of what the stock answer looked at does each run keep? "
        "(one pass more)", elem_id="sweep-cover",
    )  # fmt: skip
    return {"budgets": budgets, "methods": methods, "axis": axis, "values": values, "cover": cover}


def _ask_values(axis: str) -> Values:
    """The box for the values of a setting, with what they may be."""
    if axis == "none":
        return {"values": gr.update(visible=False)}
    one = every_setting()[axis]
    usual, words = one.write(usual_value(axis)), f"{one.help}: {one.allowed}"
    return {"values": gr.update(visible=True, placeholder=usual, info=words)}


def _results() -> dict[str, Any]:
    """Build the bar, the results, and the state that keeps them as data."""
    bar = gr.HTML(show_progress(None), elem_id="sweep-bar")
    cells = gr.HTML("", elem_id="sweep-grid", js_on_load=OPENS)
    plots = add_sweep_plots()
    table = gr.Dataframe(
        headers=list(COLUMNS.values()), label="Every run", elem_id="sweep-table", wrap=True,
        interactive=False, visible=False,
    )  # fmt: skip
    return {"bar": bar, "cells": cells, **plots, "table": table, "kept": gr.State(None)}


class SweepRuns(TabRun):
    """Handlers of the tab."""

    def __init__(self, handlers: Handlers) -> None:
        super().__init__(handlers.engine, "sweep")
        self.handlers = handlers

    def run(
        self,
        request: gr.Request,
        path: str | None,
        question: str,
        known: dict[str, str],
        budgets: str,
        methods: list[str],
        axis: str,
        values: str,
        cover: bool,
        **fields: Any,
    ) -> Iterator[Values]:
        """Stream one sweep; the last frame carries it as data."""
        path = path or ""
        with self.running(request, path) as (image, stops):
            if not methods:
                raise InputError("Choose at least one method to sweep.")
            planned = plan(form.read(**fields), budgets, axis, values, methods)
            progress, answer = Progress([], 0, None), known.get(question, "")
            frames = sweep(
                self.engine.start(), image, question, planned, stops.everything, answer,
                self.engine.limits, Path(path).name, cover,
            )  # fmt: skip
            for progress, news in changes(frames):
                drawn = _draw(progress, axis) if news else {}
                yield drawn if progress.rows else {**drawn, "kept": None}  # not those of before
            example = self.handlers.greeting.shown(path, image)
            size = uploads.keep_picture(path, image, example.key if example else "")
            facts = export.about(self.engine.get().info, self.engine.versions())
            kept = sweep_results.keep(question, answer, size, axis, planned, progress, facts)
            yield {**_draw(progress, axis, ended=True), "kept": kept}

    def open(
        self, request: gr.Request, path: str | None, question: str, known: dict[str, str],
        kept: dict[str, Any] | None,
    ) -> Values:  # fmt: skip
        """Show what would be asked, and the recorded sweep of the first example until one ran."""
        about = {"about": _asked(path, question, known)}
        if kept is not None or self.busy(request):
            return about
        found = sweep_results.recorded(self.engine.name)
        if found is None:
            return about
        done = Progress(found["rows"], len(found["rows"]), 0.0)
        where, day = found["device_name"], str(found["date"])[:16].replace("T", " ")
        words = f"A recorded sweep of “{found['question']}”: {day}, {where}. Run your own above."
        bar = fill("sweep", "told", words=words)
        return {**about, **_draw(done, found["axis"]), "bar": bar, "kept": found}

    def open_run(
        self, request: gr.Request, event: gr.EventData, path: str | None,
        kept: dict[str, Any] | None,
    ) -> Values:  # fmt: skip
        """Open the run behind a cell of the grid on the Compare tab."""
        with plain_errors():
            if self.busy(request):
                raise InputError("The sweep is still being measured. Open its runs after its end.")
            row = getattr(event, "row", None)
            if not kept or not isinstance(row, int) or not 0 <= row < len(kept["rows"]):
                raise InputError("That run is no longer here. Run the sweep again.")
            found = export.from_json(sweep_results.run_at(kept, row))
        shown = Recall(self.handlers).show_record(found, path)
        return {"tabs": gr.update(selected="compare"), **shown}


def _asked(path: str | None, question: str, known: dict[str, str]) -> str:
    if not path:
        return fill("page", "lead", words="There is no image yet. Choose one in the Compare tab.")
    source = fault = ""
    try:
        source = small(read_image(path))
    except HiredError as error:
        fault = str(error)
    asked = {"question": question, "known": known.get(question, "")}
    return fill("sweep", "asked", source=source, fault=fault, **asked)


def _draw(progress: Progress, axis: str, ended: bool = False) -> Values:
    rows = progress.rows
    table = gr.update(value=_table(rows), visible=True) if rows else gr.update(visible=False)
    drawn = {"bar": show_progress(progress, ended), "cells": grid(rows, axis), "table": table}
    return drawn | draw_sweep(rows, axis)


def _table(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Heads and cells; coverage only where it was asked for."""
    names = [name for name in COLUMNS if name != "coverage" or "coverage" in rows[0]]
    return {
        "headers": [COLUMNS[name] for name in names],
        "data": [_cells(row, names) for row in rows],
    }


def _cells(row: dict[str, Any], names: Sequence[str]) -> list[Any]:
    shown = dict(row)
    kv_bytes = row["kv_cache_bytes"]
    shown["budget"] = budget_of(row)
    shown["kv_cache_bytes"] = None if kv_bytes is None else round(kv_bytes / 1e6, 3)
    shown["text"] = row["error"] or row["text"]
    for name in ("ttft_s", "tokens_per_s"):
        shown[name] = None if row[name] is None else round(row[name], 3)
    for name in ("agrees", "correct"):
        shown[name] = {True: "yes", False: "no", None: "–"}[row[name]]
    share = row.get("coverage")
    shown["coverage"] = None if share is None else round(100 * share, 1)
    return [shown[name] for name in names]


def _files(kept: dict[str, Any] | None) -> Values:
    """The last sweep as files to download."""
    if not kept or not kept["rows"]:
        return {kind: gr.update(interactive=False) for kind in ("csv", "json", "png")}
    rows, folder = kept["rows"], result_folder("sweep")
    files = {kind: folder / f"sweep.{kind}" for kind in ("csv", "json", "png")}
    files["csv"].write_text(export.rows_to_csv(rows), encoding="utf-8")
    files["json"].write_text(json.dumps(rows, indent=2), encoding="utf-8")
    plot(rows, kept["axis"]).save(files["png"])
    return {kind: gr.update(value=str(file), interactive=True) for kind, file in files.items()}
