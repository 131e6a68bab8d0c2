"""Recorded speed in the Benchmarks tab as plots to point at: what `python -m hired bench` recorded.

Speed-up over the visual tokens, method by method, beside what it can be at best; the time to the
first token cut into phases; memory. The table beside them has the same numbers.
"""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from hired.bench.accuracy_tables import rank_of
from hired.bench.plan import BASELINE
from hired.bench.speed_figures import measured, of_one_method
from hired.bench.speed_summary import Group, Row
from hired.bench.tables import show_kept
from hired.phases import TO_FIRST_TOKEN
from hired.web.chart import Line, Point, add_plot, draw, draw_bars, line_of

TOKENS, GAIN, MEGABYTES = "visual tokens per image", "times sooner", "MB"
KINDS_OF_MEMORY = {"kv_cache_bytes": "KV cache, at the end", "peak_bytes": "peak above rest"}
ESTIMATE = "estimate"
GAINS = (
    "Speed-up to the first token, and its estimate: stock's prefill in proportion to its tokens. "
    "Attention shrinks faster, so it can be passed"
)
MEMORY = "KV cache and peak memory"
PHASES = "Seconds to the first token, cut into phases"


def add_speed_plots() -> list[gr.HTML]:
    """Three plots, empty until a record is shown."""
    return [add_plot(f"{name}-plot") for name in ("speed", "phases", "memory")]


def show_speed(group: Group | None) -> list[Any]:
    """Updates of `add_speed_plots` for one group; nothing to see where nothing was measured."""
    rows = measured(group) if group else []
    lanes = of_one_method(group) if group and rows else []
    return [
        draw(GAINS, gain_lines(rows), TOKENS, GAIN, log=True, zero=True),
        draw_bars(PHASES, {_name(row): _phases(row) for row in lanes}),
        draw(MEMORY, memory_lines(lanes), TOKENS, MEGABYTES, zero=True),
    ]


def gain_lines(rows: Sequence[Row]) -> list[Line]:
    """A line per method with a speed-up, by its tokens, and the estimate."""
    known = sorted((row for row in rows if row.speedup is not None), key=_tokens)
    titles = sorted({row.title for row in known}, key=rank_of)
    found = [
        line_of(title, [_gain(row) for row in known if row.title == title]) for title in titles
    ]
    expected = {_tokens(row): row.estimate for row in known if row.estimate is not None}
    points = [
        Point(tokens, round(gain, 3), f"{gain:.2f}×, {tokens:,} visual tokens")
        for tokens, gain in expected.items()
    ]
    return [*found, Line(ESTIMATE, points, "dashed")] if points else found


def _gain(row: Row) -> Point:
    gain, tokens = row.speedup, _tokens(row)
    assert gain is not None
    spread = f" ({gain.low:.2f} to {gain.high:.2f})" if gain.low < gain.high else ""
    words = f"{gain.median:.2f}×{spread}, {tokens:,} visual tokens"
    return Point(tokens, round(gain.median, 3), words, gain.low, gain.high)


def _phases(row: Row) -> dict[str, float]:
    return {phase.name: round(row.metrics[phase.metric].median, 4) for phase in TO_FIRST_TOKEN}


def memory_lines(rows: Sequence[Row]) -> list[Line]:
    """A line per kind of memory that could be measured, medians."""
    return [
        Line(words, [_memory(row, metric) for row in sorted(known, key=_tokens)], place=place)
        for place, (metric, words) in enumerate(KINDS_OF_MEMORY.items(), 1)
        if (known := [row for row in rows if metric in row.metrics])
    ]


def _memory(row: Row, metric: str) -> Point:
    megabytes, tokens = row.metrics[metric].median / 1e6, _tokens(row)
    words = f"{megabytes:,.1f} MB, {_name(row)}, {tokens:,} visual tokens"
    return Point(tokens, round(megabytes, 2), words)


def _tokens(row: Row) -> int:
    return round(row.metrics["visual_tokens"].median)


def _name(row: Row) -> str:
    kept = show_kept(row.budget, row.title)
    return row.title if row.title == BASELINE else f"{row.title}, {kept}"
