"""The Sweep tab: one prompt at many budgets, measured live. Layout and handlers."""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from hired.errors import HiredError, InputError
from hired.web import export, form, render, sweep_results, uploads
from hired.web.errors import plain_errors
from hired.web.handlers import Handlers
from hired.web.pictures import small
from hired.web.queues import FREE, GPU, LOOK, QUIET
from hired.web.share_panel import Recall
from hired.web.sweep import AXES, METHODS, Progress, plan, sweep
from hired.web.sweep_results import budget_of, grid, plot
from hired.web.uploads import read_image, upload_folder
from hired.web.wires import Values, listen

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


def add_sweep_tab(handlers: Handlers, asked: Any, tabs: gr.Tabs, tab: gr.Tab) -> None:
    """Build the tab around the image and question of the Compare tab."""
    gr.HTML(
        '<p class="lead">Where does the answer begin to change, and what does each step buy? The '
        "image, question and settings are those of the Compare tab, repeats too.</p>"
    )
    about = gr.HTML("", elem_id="sweep-asked")
    given = _fields()
    with gr.Row():
        start = gr.Button("Run the sweep", variant="primary", elem_id="sweep-run")
        stop = gr.Button(
            "Cancel", variant="stop", interactive=False, min_width=60, elem_id="sweep-stop"
        )
        saves = [
            gr.DownloadButton(
                name, interactive=False, min_width=60, elem_id=f"sweep-{name.lower()}"
            )
            for name in ("CSV", "JSON", "PNG")
        ]
    bar = gr.HTML(show_progress(None), elem_id="sweep-bar")
    cells = gr.HTML("", elem_id="sweep-grid", js_on_load=OPENS)
    picture = gr.Image(
        label="Plots", type="pil", interactive=False, elem_id="sweep-plot", visible=False,
        alt_text="Time to first token, KV cache, speed and agreement over visual tokens; "
        "the table below has the numbers", buttons=["download", "fullscreen"],
    )  # fmt: skip
    table = gr.Dataframe(
        headers=list(COLUMNS.values()), label="Every run", elem_id="sweep-table", wrap=True,
        interactive=False, visible=False,
    )  # fmt: skip
    shown = [bar, cells, picture, table, gr.State(None)]
    _wire(handlers, asked, given, [start, stop, *saves], shown)
    opened = [asked.image, asked.question, asked.known, shown[-1]]
    tab.select(partial(_open_tab, handlers), opened, [about, *shown], **LOOK, **QUIET)
    opens = {"path": asked.image, "kept": shown[-1]}
    listen(cells.click, _opener(handlers), opens, {"tabs": tabs, **asked.reopened}, **FREE, **QUIET)


def _fields() -> list[Any]:
    """Budgets, methods, and one more setting with its values."""
    with gr.Row():
        budgets = gr.Textbox(
            "5 % 10 % 20 % 40 % 60 % 100 %", label="Budgets, shares or counts",
            elem_id="sweep-budgets", min_width=240,
        )  # fmt: skip
        methods = gr.Dropdown(
            [choice for choice in form.method_choices() if choice[1] in METHODS[1:]],
            value=["hired", "random"], multiselect=True, label="Methods", elem_id="sweep-methods",
            min_width=240,
        )  # fmt: skip
        axis = gr.Dropdown(
            [name for name in AXES if name != "method"], value="none", label="One more setting",
            elem_id="sweep-axis", min_width=140,
        )  # fmt: skip
        values = gr.Textbox(
            "", label="Its values", placeholder="0.25 0.5 0.75", visible=False, min_width=140
        )
    axis.change(lambda name: gr.update(visible=name != "none"), axis, values, queue=False, **QUIET)
    cover = gr.Checkbox(
        False, label="Coverage: how much of what the stock answer looked at does each run keep? "
        "(one pass more)", elem_id="sweep-cover",
    )  # fmt: skip
    return [budgets, methods, axis, values, cover]


def _wire(
    handlers: Handlers, asked: Any, given: list[Any], buttons: list[Any], shown: list[Any]
) -> None:
    start, stop, *_ = buttons

    def begin(request: gr.Request) -> list[Any]:
        with plain_errors():
            handlers.engine.expect(_place(request))
        return [gr.update(interactive=False), gr.update(interactive=True)]

    def fail(request: gr.Request) -> list[Any]:
        handlers.engine.forget(_place(request))
        return [gr.update(interactive=True), gr.update(interactive=False)]

    def cancel(request: gr.Request) -> None:
        handlers.engine.stop(_place(request))

    begun = start.click(begin, None, [start, stop], trigger_mode="once", **FREE, **QUIET)
    run = begun.success(
        _runner(handlers),
        [asked.image, asked.question, asked.known, *given, *asked.form.all],
        shown, **GPU, **QUIET,
    )  # fmt: skip
    run.then(_files, shown[-1], buttons, queue=False, **QUIET)
    run.failure(fail, None, [start, stop], queue=False, **QUIET)
    stop.click(cancel, None, None, queue=False, **QUIET)


def _runner(handlers: Handlers) -> Callable[..., Iterator[list[Any]]]:
    def run(
        request: gr.Request,  # gradio finds the request by its annotation
        path: str | None,
        question: str,
        known: dict[str, str],
        budgets: str,
        methods: list[str],
        axis: str,
        values: str,
        cover: bool,
        *settings: Any,
    ) -> Iterator[list[Any]]:
        engine = handlers.engine
        with engine.stopping(_place(request)) as stops, plain_errors():
            if not path:
                raise InputError("There is no image. Choose one in the Compare tab.")
            if not methods:
                raise InputError("Choose at least one method to sweep.")
            planned = plan(form.read(*settings), budgets, axis, values, methods)
            image, stop = read_image(path), stops.everything
            progress, told = Progress([], 0, None), None
            answer = known.get(question, "")
            limits, name = engine.limits, Path(path).name
            given = image, question, planned, stop, answer, limits, name, cover
            frames = sweep(engine.start(), *given)
            with closing(frames):
                for progress in frames:
                    yield _draw(progress, axis) if progress is not told else [gr.skip()] * 5
                    told = progress
            example = handlers.greeting.shown(path, image)
            size = uploads.keep_picture(path, image, example.key if example else "")
            facts = export.about(engine.get().info, engine.versions())
            kept = sweep_results.keep(question, answer, size, axis, planned, progress, facts)
            yield [*_draw(progress, axis, ended=True)[:-1], kept]

    return run


def _open_tab(
    handlers: Handlers,
    path: str | None,
    question: str,
    known: dict[str, str],
    kept: dict[str, Any] | None,
) -> list[Any]:
    """What would be asked; where nothing ran yet, a recorded sweep of the first example."""
    about, nothing = _asked(path, question, known), [gr.skip()] * 5
    found = sweep_results.recorded(handlers.engine.name) if kept is None else None
    if not found:
        return [about, *nothing]
    done = Progress(found["rows"], len(found["rows"]), 0.0)
    where, day = found["device_name"], str(found["date"])[:16].replace("T", " ")
    words = f"A recorded sweep of “{found['question']}”: {day}, {where}. Run your own above."
    return [about, f'<p class="readout">{render.esc(words)}</p>',
            *_draw(done, found["axis"])[1:-1], found]  # fmt: skip


def _asked(path: str | None, question: str, known: dict[str, str]) -> str:
    if not path:
        return '<p class="lead">There is no image yet. Choose one in the Compare tab.</p>'
    try:
        image = f'<img alt="The image of the Compare tab" src="{small(read_image(path))}">'
    except HiredError as error:
        image = f'<p class="fault">{render.esc(error)}</p>'
    answer = f"<br>Known answer: {render.esc(known[question])}" if question in known else ""
    return f'<div class="asked">{image}<p><b>{render.esc(question)}</b>{answer}</p></div>'


def _opener(handlers: Handlers) -> Callable[..., Values]:
    def open_run(event: gr.EventData, path: str | None, kept: dict[str, Any] | None) -> Values:
        """The run behind a cell of the grid, on the Compare tab."""
        with plain_errors():
            row = getattr(event, "row", None)
            if not kept or not isinstance(row, int) or not 0 <= row < len(kept["rows"]):
                raise InputError("That run is no longer here. Run the sweep again.")
            found = export.from_json(sweep_results.run_at(kept, row))
        shown = Recall(handlers).show_record(found, path)
        return {"tabs": gr.update(selected="compare"), **shown}

    return open_run


def _place(request: gr.Request) -> str:
    """Where a visitor's sweep is stopped; his comparison has a place of its own."""
    return f"{request.session_hash} sweep"


def _draw(progress: Progress, axis: str, ended: bool = False) -> list[Any]:
    rows = progress.rows
    several = len(rows) > 1
    return [
        show_progress(progress, ended),
        grid(rows, axis) if rows else gr.skip(),
        gr.update(value=plot(rows, axis), visible=True) if several else gr.skip(),
        gr.update(value=_table(rows), visible=True) if rows else gr.skip(),
        gr.skip(),
    ]


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


def show_progress(progress: Progress | None, ended: bool = False) -> str:
    """How far a sweep is, as a bar and in words."""
    done, total = (len(progress.rows), progress.total) if progress else (0, 0)
    words = "Nothing measured yet."
    if progress and ended:
        why = f". {progress.note}" if progress.note else ", then cancelled."
        words = f"{done} of {total} runs measured" + ("." if done == total else why)
        words += f" No coverage: {render.esc(progress.gap)}" if progress.gap else ""
    elif progress:
        left = f", about {progress.left_s:.0f} s left" if progress.left_s is not None else ""
        words = f"{done} of {total} runs measured{left} …"
    return (
        f'<div class="progress" role="progressbar" aria-label="Sweep" aria-valuemin="0" '
        f'aria-valuemax="{max(total, 1)}" aria-valuenow="{done}"><i style="width:'
        f'{100 * done / max(total, 1):.1f}%"></i></div><p class="readout">{words}</p>'
    )


def _files(kept: dict[str, Any] | None) -> list[Any]:
    buttons = [gr.update(interactive=True), gr.update(interactive=False)]
    rows = kept["rows"] if kept else []
    if not kept or not rows:
        return [*buttons, *[gr.update(interactive=False)] * 3]
    folder = Path(tempfile.mkdtemp(prefix="sweep-", dir=upload_folder()))
    (folder / "sweep.csv").write_text(export.rows_to_csv(rows), encoding="utf-8")
    (folder / "sweep.json").write_text(json.dumps(rows, indent=2), encoding="utf-8")
    plot(rows, kept["axis"]).save(folder / "sweep.png")
    names = ("sweep.csv", "sweep.json", "sweep.png")
    return [*buttons, *(gr.update(value=str(folder / name), interactive=True) for name in names)]
