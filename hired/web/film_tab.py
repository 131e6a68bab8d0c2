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
from hired.web.engine import Loaded
from hired.web.handlers import Handlers
from hired.web.pictures import data_uri, lay_out, shown_lane
from hired.web.queues import LOOK, QUIET
from hired.web.render import count_words, esc
from hired.web.settings import Settings, from_mapping
from hired.web.sweep import Progress, plan, sweep
from hired.web.sweep_results import MARKS, WORDS, Row, outcome
from hired.web.tab_run import TabRun, changes, show_progress
from hired.web.uploads import read_image
from hired.web.wires import Parts, Values, listen, pick

LADDER = (100, 90, 80, 70, 60, 50, 45, 40, 35, 30, 25, 20, 16, 13, 10, 7, 5, 3, 2, 1)
"""Percent kept, the film's frames from first to last."""


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
    ticks = "".join(
        f'<li class="{frame["mark"]}{" broken" if index == broken else ""}" '
        f'title="{esc(frame["at"])}">{MARKS[frame["mark"]]}</li>'
        for index, frame in enumerate(frames)
    )
    return (
        f'<figure class="film" data-film="{esc_json(data)}">'
        f'<div class="frame" style="aspect-ratio:{width}/{height}">'
        f'<img alt="The image as the model sees it" src="{data_uri(draw_plain(layout))}">'
        f'<canvas width="{width}" height="{height}" aria-hidden="true"></canvas></div>'
        f'<p class="now" role="status">{esc(frames[0]["words"])}</p>'
        f'<input type="range" min="0" max="{len(frames) - 1}" value="0" step="1" '
        f'aria-label="Budget, from everything to almost nothing" '
        f'aria-valuetext="{esc(frames[0]["at"])}">'
        f'<ol class="ticks" aria-hidden="true">{ticks}</ol>'
        f"<figcaption>{esc(_told(frames, broken))}</figcaption></figure>"
    )


def esc_json(data: Any) -> str:
    """Plain data as an attribute's value; braces are inert in gradio's templates too."""
    return esc(json.dumps(data))


def _frame(row: Row, mask: str) -> dict[str, str]:
    mark, tokens = outcome(row), row["visual_tokens"]
    at = show_budget(row["budget"]) if not isinstance(row["budget"], str) else row["budget"]
    count = "" if tokens is None else f", {count_words(tokens)}"
    said = row["error"] or row["text"] or "no answer"
    return {"mask": mask, "mark": mark, "at": at,
            "words": f"{MARKS[mark]} {at}{count}: {said} ({WORDS[mark]})"}  # fmt: skip


def _told(frames: Sequence[dict[str, str]], broken: int | None) -> str:
    if broken is None:
        return f"The answer holds down to {frames[-1]['at']}."
    if broken == 0:
        return f"The answer is lost already at {frames[0]['at']}."
    return f"It breaks at {frames[broken]['at']}; at {frames[broken - 1]['at']} it still holds."


SCRUB = """
const still = matchMedia('(prefers-reduced-motion: reduce)');
let seen = null, levels = [], film = null;
const paint = () => {
  const figure = element.querySelector('.film');
  if (!figure) return;
  if (figure !== seen) { seen = figure; film = JSON.parse(figure.dataset.film); levels = []; }
  const slider = figure.querySelector('input'), frame = film.frames[Number(slider.value)];
  slider.setAttribute('aria-valuetext', frame.at);
  figure.querySelector('.now').textContent = frame.words;
  figure.querySelectorAll('.ticks li').forEach((tick, index) =>
    tick.classList.toggle('here', index === Number(slider.value)));
  const pen = figure.querySelector('canvas').getContext('2d'), side = film.side;
  const step = () => {
    if (figure !== seen || frame !== film.frames[Number(slider.value)]) return;
    let moving = false;
    pen.clearRect(0, 0, film.size[0], film.size[1]);
    for (let patch = 0; patch < frame.mask.length; patch++) {
      const goal = frame.mask[patch] === '1' ? 0 : 0.86, old = levels[patch] ?? goal;
      const next = still.matches || Math.abs(goal - old) < 0.03 ? goal : old + (goal - old) * 0.25;
      levels[patch] = next;
      moving ||= next !== goal;
      if (!next) continue;
      const [left, top, wide, high] = film.boxes[Math.floor(patch / (side * side))];
      const at = patch % (side * side), w = wide / side, h = high / side;
      pen.fillStyle = `rgba(26, 29, 41, ${next})`;
      pen.fillRect(left + (at % side) * w, top + Math.floor(at / side) * h, w + 0.5, h + 0.5);
    }
    if (moving) requestAnimationFrame(step);
  };
  step();
};
element.addEventListener('input', paint);
watch('value', paint);
paint();
"""


def add_film_tab(handlers: Handlers, asked: Any, tab: gr.Tab) -> None:
    """Build the tab around the image and question of the Compare tab."""
    gr.HTML(
        '<p class="lead">Scrub from everything to almost nothing: patches fade, and somewhere the '
        "answer breaks. The image, question and method are those of the Compare tab.</p>"
    )
    with gr.Row():
        start = gr.Button("Make the film", variant="primary", elem_id="film-run", min_width=120)
        stop = gr.Button(
            "Stop", variant="stop", interactive=False, elem_id="film-stop", min_width=80
        )
    shown: Parts = {
        "bar": gr.HTML("", elem_id="film-bar"),
        "film": gr.HTML("", elem_id="film", js_on_load=SCRUB),
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
                yield {"bar": show_progress(progress)} if news else {}
            drawn = draw_film(loaded, image, planned, progress.rows)
            yield {"bar": show_progress(progress, ended=True), "film": drawn}

    def open(self, film: str | None) -> Values:
        """Where nothing was made yet, the recorded film of the first example."""
        engine, example = self.engine, self.greeting.example()
        found = None if film else sweep_results.recorded(engine.name, "film")
        if not found or not example or example.question != found["question"]:
            return {}
        try:
            planned = [from_mapping(settings) for settings in found["planned"]]
            drawn = draw_film(engine.get(), read_image(example.image), planned, found["rows"])
        except HiredError:
            return {}
        day = str(found["date"])[:16].replace("T", " ")
        words = f"A recorded film of “{found['question']}”: {day}, {found['device_name']}."
        return {"bar": f'<p class="readout">{esc(words)} Make your own above.</p>', "film": drawn}
