"""The Film tab: one image and question down a ladder of budgets, to scrub through.

The ladder is measured once, by a sweep on request; a frame is a mask and an answer.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr
from PIL import Image

from hired.budget import show_budget
from hired.comparison.overlay import draw_plain
from hired.errors import HiredError, InputError
from hired.web import form, sweep_results
from hired.web.blocks import Parts, Values, listen, pick
from hired.web.engine import Loaded
from hired.web.handlers import Handlers
from hired.web.markup import fill, script
from hired.web.pictures import data_uri, lay_out, shown_lane
from hired.web.queues import LOOK, QUIET
from hired.web.render import count_words
from hired.web.settings import Settings, from_mapping
from hired.web.sweep import Progress, plan, sweep
from hired.web.sweep_results import MARKS, WORDS, Row, outcome
from hired.web.tab_run import TabRun, changes, show_progress
from hired.web.uploads import read_image

LADDER = (100, 90, 80, 70, 60, 50, 45, 40, 35, 30, 25, 20, 16, 13, 10, 7, 5, 3, 2, 1)
"""Percent kept, the film's frames from first to last."""
LEAD = (
    "Scrub from everything to almost nothing: patches fade, and somewhere the answer breaks. The "
    "image, question and method are those of the Compare tab."
)


def plan_film(settings: Settings) -> list[Settings]:
    """The ladder of the first method that drops something, one run a frame."""
    lane = settings.lanes[shown_lane(settings)]
    budgets = " ".join(f"{percent}%" for percent in LADDER)
    lanes = (Settings().lanes[0], lane)
    return plan(replace(settings, lanes=lanes, repeats=1), budgets, "none", "")


def breaking_point(rows: Sequence[Row]) -> int | None:
    """The first row, from the largest budget down, whose answer is lost; None if none is.

    `rows` are without the baseline. Lost is wrong, or where nobody knows, other than stock's.
    """
    lost = (index for index, row in enumerate(rows) if outcome(row) in ("wrong", "differs"))
    return next(lost, None)


def draw_film(
    loaded: Loaded, image: Image.Image, planned: Sequence[Settings], rows: Sequence[Row]
) -> str:
    """The film as HTML; `rows` are those of a sweep, the baseline first.

    Raises:
        SettingError: a layer or head does not exist in this model.
    """
    frames, layout = [], None
    for settings, row in zip(planned, rows[1:], strict=False):
        kept = loaded.preview.select(image, settings.lanes[-1])
        layout = lay_out(image, kept.grid)
        mask = "".join("1" if bit else "0" for bit in kept.mask.flatten().tolist())
        frames.append(_frame(row, mask))
    if layout is None:
        return ""
    width, height = layout.size
    data = {"frames": frames, "boxes": layout.boxes, "side": layout.grid.side, "size": layout.size}
    broken = breaking_point(rows[1:])
    return fill(
        "sweep",
        "film",
        data=json.dumps(data),
        width=width,
        height=height,
        source=data_uri(draw_plain(layout)),
        ticks=[(one["mark"], MARKS[one["mark"]], one["at"]) for one in frames],
        broken=broken,
        words=frames[0]["words"],
        at=frames[0]["at"],
        told=_told(frames, broken),
    )


def _frame(row: Row, mask: str) -> dict[str, str]:
    mark, tokens = outcome(row), row["visual_tokens"]
    at = show_budget(row["budget"]) if not isinstance(row["budget"], str) else row["budget"]
    count = "" if tokens is None else f", {count_words(tokens)}"
    said = row["error"] or row["text"] or "no answer"
    return {"mask": mask, "mark": mark, "at": at,
            "words": f"{MARKS[mark]} {at}{count}: {said} ({WORDS[mark]})"}  # fmt: skip


def _told(frames: Sequence[dict[str, str]], broken: int | None) -> str:
    held = [one["at"] for one in frames[:broken] if one["mark"] in ("right", "same")]
    if broken is None:
        return f"The answer holds down to {held[-1]}." if held else "There is no answer to judge."
    if not held:
        return f"The answer is lost already at {frames[broken]['at']}."
    return f"It breaks at {frames[broken]['at']}; at {held[-1]} it still holds."


def add_film_tab(handlers: Handlers, asked: Any, tab: gr.Tab) -> None:
    """Build the tab around the image and question of the Compare tab."""
    gr.HTML(fill("page", "lead", words=LEAD))
    with gr.Row():
        start = gr.Button("Make the film", variant="primary", elem_id="film-run", min_width=120)
        stop = gr.Button(
            "Stop", variant="stop", interactive=False, elem_id="film-stop", min_width=80
        )
    shown: Parts = {
        "bar": gr.HTML("", elem_id="film-bar"),
        "film": gr.HTML("", elem_id="film", js_on_load=script("film")),
    }
    films = FilmRuns(handlers)
    reads = pick(asked.parts, "path", "question", "known", *form.FIELDS)
    films.wire(start, stop, films.run, reads, shown)
    listen(tab.select, films.open, pick(shown, "film"), shown, **LOOK, **QUIET)


class FilmRuns(TabRun):
    """Handlers of the tab."""

    def __init__(self, handlers: Handlers) -> None:
        super().__init__(handlers.engine, "film")
        self.greeting = handlers.greeting

    def run(
        self, request: gr.Request, path: str | None, question: str, known: dict[str, str],
        **fields: Any,
    ) -> Iterator[Values]:  # fmt: skip
        """Measure the ladder, then show the film."""
        with self.running(request, path) as (image, stops):
            planned, loaded = plan_film(form.read(**fields)), self.engine.start()
            if loaded.servers is not None:
                raise InputError("A film needs the model in this process; servers show no patches.")
            progress, answer = Progress([], 0, None), known.get(question, "")
            asked = (image, question, planned, stops.everything, answer, self.engine.limits)
            for progress, news in changes(sweep(loaded, *asked)):
                yield {"bar": show_progress(progress), "film": ""} if news else {}
            drawn = draw_film(loaded, image, planned, progress.rows)
            yield {"bar": show_progress(progress, ended=True), "film": drawn}

    def open(self, request: gr.Request, film: str | None) -> Values:
        """Show the recorded film of the first example where none was made yet."""
        engine, example = self.engine, self.greeting.example()
        made = bool(film) or self.busy(request)
        found = None if made else sweep_results.recorded(engine.name, "film")
        if not found or not example or example.question != found["question"]:
            return {}
        try:
            planned = [from_mapping(settings) for settings in found["planned"]]
            drawn = draw_film(engine.get(), read_image(example.image), planned, found["rows"])
        except HiredError:
            return {}
        day = str(found["date"])[:16].replace("T", " ")
        where = found["device_name"]
        words = f"A recorded film of “{found['question']}”: {day}, {where}. Make your own above."
        return {"bar": fill("sweep", "told", words=words), "film": drawn}
