"""The Film tab: a ladder of budgets computed once on request, then scrubbed in the browser."""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import gradio as gr

from hired.errors import HiredError, InputError
from hired.web import form, panes, sweep_record
from hired.web.film import draw_film, plan_film
from hired.web.handlers import Handlers
from hired.web.plain import plain_errors
from hired.web.settings import from_mapping
from hired.web.sweep import Progress, sweep
from hired.web.sweep_tab import show_progress
from hired.web.uploads import read_image
from hired.web.wiring import FREE, GPU, LOOK, QUIET

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
    bar = gr.HTML("", elem_id="film-bar")
    film = gr.HTML("", elem_id="film", js_on_load=SCRUB)
    buttons, shown = [start, stop], [bar, film]

    def begin(request: gr.Request) -> list[Any]:
        with plain_errors():
            handlers.engine.expect(_place(request))
        return [gr.update(interactive=False), gr.update(interactive=True)]

    def end(request: gr.Request) -> list[Any]:
        handlers.engine.forget(_place(request))
        return [gr.update(interactive=True), gr.update(interactive=False)]

    def halt(request: gr.Request) -> None:
        handlers.engine.stop(_place(request))

    begun = start.click(begin, None, buttons, trigger_mode="once", **FREE, **QUIET)
    given = [asked.image, asked.question, asked.known, *asked.form.all]
    run = begun.success(_runner(handlers), given, shown, **GPU, **QUIET)
    run.then(end, None, buttons, queue=False, **QUIET)
    stop.click(halt, None, None, queue=False, **QUIET)
    tab.select(partial(_open_tab, handlers), film, shown, **LOOK, **QUIET)


def _runner(handlers: Handlers) -> Callable[..., Iterator[list[Any]]]:
    def run(
        request: gr.Request,  # gradio finds the request by its annotation
        path: str | None,
        question: str,
        known: dict[str, str],
        *settings: Any,
    ) -> Iterator[list[Any]]:
        engine = handlers.engine
        with engine.stopping(_place(request)) as stops, plain_errors():
            if not path:
                raise InputError("There is no image. Choose one in the Compare tab.")
            image, planned, loaded = (
                read_image(path),
                plan_film(form.read(*settings)),
                engine.start(),
            )
            if loaded.servers is not None:
                raise InputError("A film needs the model in this process; servers show no patches.")
            answer, progress, told = known.get(question, ""), Progress([], 0, None), None
            asked = (image, question, planned, stops.everything, answer, engine.limits)
            with closing(sweep(loaded, *asked)) as frames:
                for progress in frames:
                    yield [
                        show_progress(progress) if progress is not told else gr.skip(),
                        gr.skip(),
                    ]
                    told = progress
            drawn = draw_film(loaded, image, planned, progress.rows)
            yield [show_progress(progress, ended=True), drawn]

    return run


def _open_tab(handlers: Handlers, film: str | None) -> list[Any]:
    """Where nothing was made yet, the recorded film of the first example."""
    engine, example = handlers.engine, handlers.greeting.example()
    found = None if film else sweep_record.recorded(engine.name, "film")
    if not found or not example or example.question != found["question"]:
        return [gr.skip(), gr.skip()]
    try:
        planned = [from_mapping(settings) for settings in found["planned"]]
        drawn = draw_film(engine.get(), read_image(example.image), planned, found["rows"])
    except HiredError:
        return [gr.skip(), gr.skip()]
    day = str(found["date"])[:16].replace("T", " ")
    words = f"A recorded film of “{found['question']}”: {day}, {found['device_name']}."
    return [f'<p class="readout">{panes.esc(words)} Make your own above.</p>', drawn]


def _place(request: gr.Request) -> str:
    """Where a visitor's film is stopped."""
    return f"{request.session_hash} film"
