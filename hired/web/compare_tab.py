"""The Compare tab: left the question, right the answers. Layout and wiring, no logic."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import gradio as gr

from hired.comparison.evidence import ENOUGH
from hired.web import form, pictures, render, why_panel
from hired.web.blocks import Parts, listen, path_of, pick, take_as_sent
from hired.web.examples import Example
from hired.web.form import Form
from hired.web.form_changes import FormChanges, keep_form, note_run
from hired.web.gaze_panel import add_gaze_panel
from hired.web.handlers import NO_IMAGE, Handlers
from hired.web.markup import fill, script
from hired.web.model_panel import add_model_panel
from hired.web.pane_state import PaneState
from hired.web.queues import FREE, GPU, OPEN, QUIET, add_place
from hired.web.settings import MOST, Settings
from hired.web.share_panel import Shared, add_share_panel
from hired.web.verdict import verdict

REVEAL = """() => {  // a phone has the panes far below the button that fills them
  if (innerWidth >= 900) return;
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  document.querySelector('#panes')?.scrollIntoView({behavior: still ? 'instant' : 'smooth'});
}"""
Chips = list[tuple[Example, gr.Button]]


@dataclass(frozen=True, eq=False)
class Asked:
    """Left column: what other tabs need to know of it.

    Attributes:
        known: the right answer by the question it belongs to.
        brought: what stands in the picture's place where a run came without its file.
        methods: what the rows of the panes are made of.
        examples: a row for the embedded model and one for all others.
        another: draws a picture like the example that is shown.
        loaded: says which model was loaded; the picture and the notes follow it.
        reopened: what `Recall.show_record` fills, in both columns.
    """

    image: gr.Image
    question: gr.Textbox
    known: gr.State
    note: gr.HTML
    brought: gr.State
    form: Form
    methods: gr.HTML
    examples: list[gr.Row]
    another: gr.Button
    loaded: gr.HTML | None = None
    reopened: Parts = field(default_factory=dict)

    @property
    def example(self) -> Parts:
        """Components that a bundled example fills."""
        return {"path": self.image, "question": self.question, "known": self.known,
                "note": self.note, "brought": self.brought}  # fmt: skip

    @property
    def parts(self) -> Parts:
        """Components by the names that handlers have for them."""
        return {**self.example, **self.form.fields}

    @property
    def model(self) -> Parts:
        """Components that a model fills."""
        own, real = self.examples
        return {"methods": self.methods, **self.form.fields, "own": own, "real": real}


@dataclass(frozen=True, eq=False)
class Shown:
    """Right column.

    Attributes:
        results: what `Handlers.draw` fills.
        halts: the Stop of each side.
        keeps: the small pictures of the panes.
        stale: says so where the panes answer what is no longer asked.
        measure: runs the same again, as often as times need.
        why: what was kept of what was asked about.
    """

    readout: gr.HTML
    mode: gr.Radio
    picture: gr.HTML
    results: Parts
    halts: list[gr.Button]
    keeps: gr.HTML
    stale: gr.HTML
    measure: gr.Button
    why: gr.HTML

    @property
    def sight(self) -> Parts:
        """Components that `FormChanges.look` fills."""
        return {"picture": self.picture, "readout": self.readout, "small": self.keeps,
                "stale": self.stale}  # fmt: skip


def add_compare_tab(demo: gr.Blocks, handlers: Handlers, header: gr.HTML) -> Asked:
    """Build the tab; gives what was asked, for the other tabs."""
    with gr.Row(elem_id="compare"):
        with gr.Column(elem_id="ask", scale=1, min_width=300):
            asked, start, stop, chips = _ask(handlers)
            shared = add_share_panel()
            asked = replace(asked, loaded=add_model_panel(handlers, demo, asked, header))
        with gr.Column(elem_id="happens", scale=3, min_width=320):
            shown = _happens()
            add_gaze_panel(handlers, asked.image, shared)
    _wire_runs(demo, handlers, asked, shown, shared, [start, stop], chips)
    shared.wire(demo, handlers, asked, shown.results)
    return replace(asked, reopened=shared.reopened(asked, shown.results))


def _ask(handlers: Handlers) -> tuple[Asked, gr.Button, gr.Button, Chips]:
    parts: dict[str, Any] = {}
    image = gr.Image(
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard"],
        label="Image",
        height=176,
        buttons=["fullscreen"],
        elem_id="image",
    )
    take_as_sent(image, path_of)
    rows: list[gr.Row] = []
    chips: Chips = []
    for examples in (handlers.greeting.own, handlers.greeting.real):
        with gr.Row(elem_classes="examples", visible=not rows) as row:
            rows.append(row)
            for one in examples:
                chip = gr.Button(one.title, icon=one.image, size="sm", min_width=60)
                if chip.icon:
                    chip.keep_in_cache.add(chip.icon["path"])  # as gradio does with values
                chips.append((one, chip))
            if examples is handlers.greeting.own:
                another = gr.Button("Another one like this", size="sm", elem_id="another")
    question = gr.Textbox(
        label="Question",
        lines=1,
        max_lines=3,
        elem_id="question",
        placeholder="What do you want to know?",
    )
    note = gr.HTML("", elem_id="note")
    form.build_budget(parts)
    with gr.Row(elem_id="go"):
        start = gr.Button("Run", variant="primary", elem_id="run", scale=3, min_width=80)
        stop = gr.Button(
            "Stop", variant="stop", elem_id="stop", scale=1, min_width=70, interactive=False
        )
    with gr.Accordion("Settings of the run", open=False, elem_id="more"):
        form.build_settings(parts)
    methods = gr.HTML(
        "", elem_id="methods", elem_classes="hidden", js_on_load=script("by_hand", "lanes")
    )
    asked = Asked(image, question, gr.State({}), note, gr.State(""), Form(parts), methods, rows,
                  another)  # fmt: skip
    return asked, start, stop, chips


def _happens() -> Shown:
    views = [PaneState(text) for text in Settings().texts]
    views += [PaneState("")] * (MOST - len(views))
    gr.HTML(fill("page", "heading"), elem_id="heading")
    with gr.Column(elem_id="sight"):
        with gr.Row(elem_id="sightbar"):
            readout = gr.HTML("", elem_id="readout")
            mode = gr.Radio(
                list(pictures.MODES),
                value=pictures.KEPT,
                label="What the picture shows",
                show_label=False,
                container=False,
                elem_id="mode",
            )
        picture = gr.HTML(fill("pictures", "nothing", words=NO_IMAGE), elem_id="seen")
    stale = gr.HTML("", elem_id="stale")
    sides, halts = [], []
    with gr.Row(elem_id="panes"):
        for index in range(MOST):
            with gr.Column(elem_classes="side", min_width=280, elem_id=f"side-{index}"):
                gr.HTML(fill("page", "lane_row", index=index), elem_classes="lane-row")
                first = render.pane(views[index], index)
                sides.append(gr.HTML(first, elem_id=f"pane-{index}"))
                words = f"Stop pane {index + 1}"
                halts.append(gr.Button(words, size="sm", elem_classes="halt", visible=False))
    with gr.Column(elem_id="judged"):
        judged = gr.HTML(verdict(views[:2]), elem_id="verdict")
        words = f"Measure properly: {ENOUGH} alternating runs"
        measure = gr.Button(words, size="sm", elem_id="measure", visible=False)
    bars = gr.HTML(render.timeline(views[:2]), elem_id="timeline")
    why = why_panel.add_why_panel()
    live = gr.HTML("", elem_id="live")
    small = gr.HTML("", elem_id="keeps")
    panes = {f"pane_{index}": side for index, side in enumerate(sides)}
    results = {**panes, "verdict": judged, "timeline": bars, "live": live, "measure": measure}
    return Shown(readout, mode, picture, results, halts, small, stale, measure, why)


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of the tab, whatever event one follows.

    Attributes:
        every: the buttons, and the clock of the queue.
    """

    handlers: Handlers
    asked: Asked
    shown: Shown
    shared: Shared
    every: Parts

    @property
    def outputs(self) -> Parts:
        """Components that a run fills."""
        return {**self.shown.results, **self.shared.kept}

    def follow(self, event: Callable[..., Any], work: Callable[..., Any] | None = None) -> None:
        """Let a run follow an event: refused or begun at once, then in the queue, then ended."""
        handlers, asked = self.handlers, self.asked
        reads = pick(asked.parts, "path", "question", "known", *form.FIELDS)
        read, whole = pick(reads, "path", "question", *form.FIELDS), {**self.outputs, **self.every}
        begun = listen(event, handlers.begin, read, whole, **FREE, **QUIET)
        running = listen(begun.success, work or handlers.run, reads, self.outputs, **GPU, **QUIET)
        begun.success(None, None, None, js=REVEAL, **QUIET)
        ended = listen(running.then, handlers.end, {}, self.every, queue=False, **QUIET)
        fields, now = asked.form.fields, {"queue": False, **QUIET}
        listen(running.failure, handlers.fail, fields, whole, **now)
        unbegun = {"last": self.shared.last, **fields}
        listen(begun.failure, handlers.refuse, unbegun, self.shown.results, **now)
        note_run(begun, running)
        self.shared.remember(ended)


def _wire_runs(
    demo: gr.Blocks,
    handlers: Handlers,
    asked: Asked,
    shown: Shown,
    shared: Shared,
    buttons: list[gr.Button],
    chips: Chips,
) -> None:
    start, stop = buttons
    every = {
        "start": start,
        "stop": stop,
        **{f"halt_{index}": halt for index, halt in enumerate(shown.halts)},
        **{f"example_{index}": chip for index, (_, chip) in enumerate(chips)},
        "another": asked.another,
        "clock": add_place(demo, handlers.engine, stop),
    }
    runs, changes = Runs(handlers, asked, shown, shared, every), FormChanges(handlers)
    changes.wire(asked, shown, shared.last)
    runs.follow(partial(gr.on, [start.click, asked.question.submit], trigger_mode="once"))
    runs.follow(shown.measure.click, handlers.measure)
    runs.follow(why_panel.wire(handlers, asked, shared.last, shown.why).then)
    filled, reads = {**asked.example, **runs.outputs}, asked.form.fields
    choices: list[Any] = [(chip, partial(changes.choose, one), reads) for one, chip in chips]
    choices.append((asked.another, changes.draw_another, pick(asked.parts, "path", *form.FIELDS)))
    for button, choose, reads in choices:
        # In the queue: only there a changed state is told, which the boxes of the last run follow.
        chosen = listen(button.click, choose, reads, filled, **FREE, **QUIET)
        # Looked at before it runs, so that the preview doesn't disturb what is measured.
        runs.follow(changes.listen(chosen.then, asked, shown, shared.last, **QUIET).then)
    stop.click(handlers.stop, None, None, queue=False, **QUIET)
    for index, halt in enumerate(shown.halts):
        halt.click(_stopper(handlers, index), None, None, queue=False, **QUIET)
    _wire_opening(demo, runs)


def _wire_opening(demo: gr.Blocks, runs: Runs) -> None:
    """Fill the page when a visitor comes, and answer the first example where nobody has yet."""
    handlers, asked, outputs = runs.handlers, runs.asked, runs.outputs
    wanted = gr.State(False)  # whether to answer the first example for this visitor
    fresh = {**asked.model, **asked.example, **outputs, "mode": runs.shown.mode, "wanted": wanted}
    opened = listen(demo.load, handlers.open, {}, fresh, **OPEN, **QUIET)
    keep_form(handlers, asked, opened)
    listen(wanted.change, handlers.first, {}, outputs, **GPU, **QUIET)


def _stopper(handlers: Handlers, lane: int) -> Callable[[gr.Request], None]:
    def stop(request: gr.Request) -> None:  # gradio finds the request by its annotation
        handlers.stop_lane(lane, request)

    return stop
