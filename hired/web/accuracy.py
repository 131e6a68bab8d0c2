"""Accuracy over budget in the Benchmarks tab: what `python -m hired eval` recorded, as a plot.

Every point is a method at a budget on one kind of poster; pointed at, it tells its 95 % interval,
and methods are switched on and off. The table below has the same numbers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import gradio as gr

from hired.bench.accuracy_summary import Score, summarise
from hired.bench.accuracy_tables import FIRST, accuracy_table, is_ablation
from hired.bench.figures import COLOURS
from hired.bench.plan import BASELINE
from hired.bench.results import read_lines, rounds_in
from hired.bench.tables import describe_sessions
from hired.errors import HiredError
from hired.shapes.pictures import TESTED
from hired.web.queues import LOOK, QUIET

TOKENS, RIGHT, METHOD, INTERVAL = "visual tokens", "right answers, %", "method", "95 % interval"
KINDS = {TOKENS: "quantitative", RIGHT: "quantitative", METHOD: "nominal", INTERVAL: "nominal"}
EMPTY = (
    "### Accuracy over budget\nNothing is recorded yet. `python -m hired eval` measures it; its "
    "record appears here."
)


@dataclass(frozen=True)
class Accuracy:
    """One kind of poster of one record: its title, where it was measured, and the scores."""

    title: str
    about: str
    scores: Sequence[Score]

    @property
    def methods(self) -> list[str]:
        """What was measured, as it was asked for."""
        return list(dict.fromkeys(score.what for score in self.scores))


def add_accuracy(tab: gr.Tab, folder: Path) -> None:
    """Plot, switches and table of the richest record, read anew whenever the tab is opened."""
    about = gr.Markdown(EMPTY, elem_id="accuracy")
    choice = gr.Dropdown([], label="Posters", visible=False, elem_id="accuracy-choice")
    methods = gr.CheckboxGroup([], label="Methods", visible=False, elem_id="accuracy-methods")
    plot = gr.LinePlot(
        x=TOKENS, y=RIGHT, color=METHOD, tooltip=[METHOD, TOKENS, RIGHT, INTERVAL],
        label="Right answers over visual tokens per image", visible=False,
        elem_id="accuracy-plot",
    )  # fmt: skip
    table = gr.Markdown("", elem_id="accuracy-table")
    shown = [about, methods, plot, table]
    tab.select(partial(open_accuracy, folder), None, [choice, *shown], **LOOK, **QUIET)
    choice.input(partial(show_accuracy, folder), choice, shown, **LOOK, **QUIET)
    methods.input(partial(switch, folder), [choice, methods], plot, **LOOK, **QUIET)


def read_accuracy(folder: Path) -> list[Accuracy]:
    """Every record of `hired eval` in a folder by kind of picture, most lanes first."""
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        try:
            lines = read_lines(path, "eval")
        except HiredError:
            continue
        scores = [one for one in summarise(rounds_in(lines)) if not is_ablation(one.what)]
        for split in dict.fromkeys(one.split for one in scores):
            mine = [one for one in scores if one.split == split]
            title = f"{TESTED[split]}, {max(one.posters for one in mine)} · {lines[0]['date'][:10]}"
            found.append(Accuracy(title, describe_sessions(lines), mine))
    return sorted(found, key=lambda one: -len(one.scores))


def open_accuracy(folder: Path) -> list[Any]:
    """Choices, and the first record."""
    found = read_accuracy(folder)
    choices = [(one.title, index) for index, one in enumerate(found)]
    choice = gr.update(choices=choices, value=0 if found else None, visible=len(found) > 1)
    return [choice, *show_accuracy(folder, 0)]


def show_accuracy(folder: Path, index: int | None) -> list[Any]:
    """Facts, switches, plot and table of one record."""
    found = read_accuracy(folder)
    if index is None or not 0 <= index < len(found):
        return [EMPTY, gr.update(visible=False), gr.update(visible=False), ""]
    one = found[index]
    switches = gr.update(choices=one.methods, value=one.methods, visible=True)
    plot = gr.update(value=points(one.scores), color_map=colours(one.methods), visible=True)
    return [f"### Accuracy over budget\n{one.about}", switches, plot, accuracy_table(one.scores)]


def switch(folder: Path, index: int | None, methods: Iterable[str]) -> Any:
    """The plot with some methods alone."""
    found = read_accuracy(folder)
    if index is None or not 0 <= index < len(found):
        return gr.update(visible=False)
    wanted = set(methods)
    return gr.update(value=points([one for one in found[index].scores if one.what in wanted]))


def colours(methods: Iterable[str]) -> dict[str, str]:
    """Method -> its colour, as in the recorded figures; the same when others are switched off."""
    others = sorted((one for one in methods if one != BASELINE), key=lambda one: one != FIRST)
    return {BASELINE: "#777777", **dict(zip(others, cycle(COLOURS), strict=False))}


def points(scores: Sequence[Score]) -> dict[str, Any]:
    """A row per score, as the plot takes them; keeping everything is a level line."""
    fewest = min((one.visual_tokens for one in scores), default=0)
    rows: list[list[Any]] = []
    for one in scores:
        low, high = (round(100 * bound, 1) for bound in one.interval)
        ends = [fewest, one.visual_tokens] if one.what == BASELINE else [one.visual_tokens]
        about = [round(100 * one.accuracy, 1), one.what, f"{low} to {high}"]
        rows += [[round(end), *about] for end in ends]
    return {"columns": list(KINDS), "data": rows, "datatypes": KINDS, "mark": "line"}
