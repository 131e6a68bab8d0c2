"""Recorded speed in the Benchmarks tab as plots to point at: what `python -m hired bench` recorded.

Speed-up over the visual tokens, method by method, beside what it can be at best; the time to the
first token cut into phases; memory. The table beside them has the same numbers.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import gradio as gr

from hired.bench.plan import BASELINE
from hired.bench.speed_figures import measured, of_one_method
from hired.bench.speed_summary import Group, Row
from hired.bench.tables import show_kept
from hired.phases import TO_FIRST_TOKEN
from hired.web.accuracy import METHOD, TOKENS, colours

GAIN, RANGE, BOUND = "speed-up to the first token", "least to most", "bound"
LANE, SECONDS, PHASE = "lane", "seconds to the first token", "phase"
MEGABYTES, MEMORY = "MB", "memory"
KINDS_OF_MEMORY = {"kv_cache_bytes": "KV cache, at the end", "peak_bytes": "peak above rest"}
FILLS = dict(
    zip(
        (phase.name for phase in TO_FIRST_TOKEN),
        ("#8c96a8", "#3b6fb6", "#d8a031", "#b4532a"),
        strict=True,
    )
)


def add_speed_plots() -> list[Any]:
    """Switches of the methods and three plots, empty until a record is shown."""
    methods = gr.CheckboxGroup([], label="Methods", visible=False, elem_id="speed-methods")
    gains = gr.LinePlot(
        x=TOKENS, y=GAIN, color=METHOD, tooltip=[METHOD, TOKENS, GAIN, RANGE],
        label="Speed-up to the first token over visual tokens per image, and its bound",
        visible=False, elem_id="speed-plot",
    )  # fmt: skip
    phases = gr.BarPlot(
        x=LANE, y=SECONDS, color=PHASE, tooltip=[LANE, PHASE, SECONDS],
        label="Seconds to the first token, cut into phases", visible=False, elem_id="phases-plot",
    )  # fmt: skip
    memory = gr.LinePlot(
        x=TOKENS, y=MEGABYTES, color=MEMORY, tooltip=[LANE, MEMORY, TOKENS, MEGABYTES],
        label="KV cache and peak memory over visual tokens", visible=False, elem_id="memory-plot",
    )  # fmt: skip
    return [methods, gains, phases, memory]


def show_speed(group: Group | None) -> list[Any]:
    """Updates of `add_speed_plots` for one group; nothing to see where nothing was measured."""
    rows = measured(group) if group else []
    if not group or not rows:
        return [gr.update(visible=False)] * 4
    methods = list(dict.fromkeys(row.title for row in gained(rows)))
    lanes = of_one_method(group)
    return [
        gr.update(choices=methods, value=methods, visible=bool(methods)),
        gr.update(
            value=gain_points(rows, methods),
            color_map=colours(methods) | {BOUND: "#111111"},
            visible=bool(methods),
        ),
        gr.update(
            value=phase_points(lanes), color_map=FILLS, sort=list(map(_name, lanes)), visible=True
        ),
        gr.update(value=memory_points(lanes), visible=True),
    ]


def switch_methods(group: Group | None, methods: Iterable[str]) -> Any:
    """The speed-up of some methods alone; the bound stays."""
    rows = measured(group) if group else []
    return gr.update(value=gain_points(rows, methods))


def gained(rows: Sequence[Row]) -> list[Row]:
    """Rows with a speed-up, by their tokens."""
    known = [row for row in rows if row.speedup is not None]
    return sorted(known, key=_tokens)


def gain_points(rows: Sequence[Row], methods: Iterable[str]) -> dict[str, Any]:
    """A row per lane of `methods`, and one per token count for the bound."""
    wanted, found = set(methods), list[list[Any]]()
    for row in gained(rows):
        gain = row.speedup
        if gain is not None and row.title in wanted:
            spread = f"{gain.low:.2f} to {gain.high:.2f}"
            found.append([_tokens(row), round(gain.median, 3), row.title, spread])
    best = {_tokens(row): row.bound for row in gained(rows) if row.bound is not None}
    found += [[tokens, round(bound, 3), BOUND, ""] for tokens, bound in best.items()]
    return _plot({TOKENS: 1, GAIN: 1, METHOD: 0, RANGE: 0}, found)


def phase_points(rows: Sequence[Row]) -> dict[str, Any]:
    """A row per lane and phase, medians."""
    found = [
        [_name(row), round(row.metrics[phase.metric].median, 4), phase.name]
        for row in rows
        for phase in TO_FIRST_TOKEN
    ]
    return _plot({LANE: 0, SECONDS: 1, PHASE: 0}, found, "bar")


def memory_points(rows: Sequence[Row]) -> dict[str, Any]:
    """A row per lane and kind of memory that could be measured, medians."""
    found = [
        [_tokens(row), round(row.metrics[metric].median / 1e6, 2), words, _name(row)]
        for metric, words in KINDS_OF_MEMORY.items()
        for row in sorted(rows, key=_tokens)
        if metric in row.metrics
    ]
    return _plot({TOKENS: 1, MEGABYTES: 1, MEMORY: 0, LANE: 0}, found)


def _plot(columns: dict[str, int], rows: list[list[Any]], mark: str = "line") -> dict[str, Any]:
    """What gradio's plots take; columns are marked 1 where they hold numbers."""
    kinds = {name: "quantitative" if number else "nominal" for name, number in columns.items()}
    return {"columns": list(columns), "data": rows, "datatypes": kinds, "mark": mark}


def _tokens(row: Row) -> int:
    return round(row.metrics["visual_tokens"].median)


def _name(row: Row) -> str:
    kept = show_kept(row.budget, row.title)
    return row.title if row.title == BASELINE else f"{row.title}, {kept}"
