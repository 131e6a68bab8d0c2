"""Accuracy over budget in the Benchmarks tab: what `python -m hired eval` recorded, as a plot.

Every point is a method at a budget on one kind of picture; pointed at, it tells its 95 % interval.
The table below has the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from hired.bench.accuracy_summary import Score, summarise
from hired.bench.accuracy_tables import accuracy_table, rank_of, side_by_side
from hired.bench.results import read_lines, records_in, rounds_in
from hired.bench.tables import describe_sessions
from hired.errors import HiredError
from hired.shapes.pictures import TESTED
from hired.web.chart import Line, Point, add_plot, draw, line_of
from hired.web.queues import LOOK, QUIET

TITLE = "Right answers over the visual tokens that are kept"
TOKENS, RIGHT = "visual tokens per image", "right answers, %"
EMPTY = (
    "### Accuracy over budget\nNothing is recorded yet. `python -m hired eval` measures it; its "
    "record appears here."
)


@dataclass(frozen=True)
class Accuracy:
    """One kind of picture of one record: its title, where it was measured, and the scores."""

    title: str
    about: str
    scores: Sequence[Score]


def add_accuracy(tab: gr.Tab, folder: Path) -> None:
    """Plot and table of the richest record, read anew whenever the tab is opened."""
    about = gr.Markdown(EMPTY, elem_id="accuracy")
    choice = gr.Dropdown([], label="Pictures", visible=False, elem_id="accuracy-choice")
    plot = add_plot("accuracy-plot")
    table = gr.Markdown("", elem_id="accuracy-table")
    shown = [about, plot, table]
    tab.select(partial(open_accuracy, folder), None, [choice, *shown], **LOOK, **QUIET)
    choice.input(partial(show_accuracy, folder), choice, shown, **LOOK, **QUIET)


def read_accuracy(folder: Path) -> list[Accuracy]:
    """Every record of `hired eval` in a folder by kind of picture, most lanes first."""
    found = []
    for path in records_in(folder):
        try:
            record = read_lines(path, "eval")
        except HiredError:
            continue
        scores = side_by_side(summarise(rounds_in(record)))
        for split in dict.fromkeys(one.split for one in scores):
            mine = [one for one in scores if one.split == split]
            title = (
                f"{TESTED[split]}, {max(one.posters for one in mine)} · {record[0]['date'][:10]}"
            )
            found.append(Accuracy(title, describe_sessions(record), mine))
    return sorted(found, key=lambda one: -len(one.scores))


def open_accuracy(folder: Path) -> list[Any]:
    """Choices, and the first record."""
    found = read_accuracy(folder)
    choices = [(one.title, index) for index, one in enumerate(found)]
    choice = gr.update(choices=choices, value=0 if found else None, visible=len(found) > 1)
    return [choice, *show_accuracy(folder, 0)]


def show_accuracy(folder: Path, index: int | None) -> list[Any]:
    """Facts, plot and table of one record."""
    found = read_accuracy(folder)
    if index is None or not 0 <= index < len(found):
        return [EMPTY, draw(TITLE, (), TOKENS, RIGHT), ""]
    one = found[index]
    plot = draw(TITLE, lines(one.scores), TOKENS, RIGHT, log=True)
    return [f"### Accuracy over budget\n{one.about}", plot, accuracy_table(one.scores)]


def lines(scores: Sequence[Score]) -> list[Line]:
    """A line per method, by its tokens; keeping everything is a level one."""
    methods = sorted(dict.fromkeys(one.what for one in scores), key=rank_of)
    ordered = sorted(scores, key=lambda one: one.visual_tokens)
    return [line_of(what, [_point(one) for one in ordered if one.what == what]) for what in methods]


def _point(score: Score) -> Point:
    right, low, high = (round(100 * share, 1) for share in (score.accuracy, *score.interval))
    tokens = round(score.visual_tokens)
    words = f"{right} % right ({low} to {high}), {tokens:,} visual tokens"
    return Point(tokens, right, words, low, high)
