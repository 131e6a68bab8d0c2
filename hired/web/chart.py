"""Plots that a visitor can point at, as plain data that `chart.js` draws."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import gradio as gr

from hired.bench.accuracy_tables import rank_of
from hired.bench.plan import BASELINE
from hired.selectors import SELECTORS
from hired.web.markup import fill, script


@dataclass(frozen=True)
class Point:
    """One point: where it lies, what is told where it is pointed at, how far it may be off, and
    whether its mark is hollow.
    """

    x: float
    y: float
    words: str
    low: float | None = None
    high: float | None = None
    hollow: bool = False


@dataclass(frozen=True)
class Line:
    """Points that belong together, in the order they are joined.

    Attributes:
        name: in the legend, where the line is switched on and off.
        points: one at least.
        style: "line"; "level" for a value that holds from left to right; "dashed" for a dashed line
            without marks.
        place: decides colour and mark; the same in every plot for the same thing.
    """

    name: str
    points: Sequence[Point]
    style: Literal["line", "level", "dashed"] = "line"
    place: int = 1


def line_of(what: str, points: Sequence[Point]) -> Line:
    """The line of a method with its settings; stock is a level one."""
    place = rank_of(what)[0] + (":" in what) * len(SELECTORS)
    return Line(what, points, "level" if what == BASELINE else "line", place)


def add_plot(name: str) -> gr.HTML:
    """An empty plot; `draw` gives what it shows."""
    return gr.HTML(
        "", container=True, padding=True, visible=False, elem_id=name, min_width=320,
        html_template=fill("page", "chart"), js_on_load=script("chart"),
    )  # fmt: skip


def draw(
    title: str,
    lines: Sequence[Line],
    x: str,
    y: str,
    log: bool = False,
    zero: bool = False,
    legend: bool = True,
) -> Any:
    """The update of a plot; it is hidden where there is nothing to draw.

    Args:
        title: what stands over it.
        lines: in the order of the legend.
        x, y: what the axes show.
        log: whether a step to the right is a factor.
        zero: whether the upward axis begins at 0.
        legend: whether it has one; another plot of the same lines may have it.
    """
    axes = {"title": title, "x": x, "y": y, "log": log, "zero": zero, "legend": legend}
    data = axes | {"lines": [asdict(line) for line in lines]}
    return gr.update(value=json.dumps(data), visible=bool(lines))


def draw_bars(title: str, bars: Mapping[str, Mapping[str, float]]) -> Any:
    """The update of a plot of bars cut into phases: bar -> phase -> seconds."""
    rows = [{"name": name, "parts": parts} for name, parts in bars.items()]
    return gr.update(value=json.dumps({"title": title, "bars": rows}), visible=bool(rows))
