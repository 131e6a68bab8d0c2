"""The plots of the Sweep tab, which grow while the sweep runs."""

from collections.abc import Sequence

import gradio as gr

from hired.web.blocks import Values
from hired.web.chart import Line, Point, add_plot, draw
from hired.web.sweep_results import MARKS, WORDS, Row, budget_of, line_of, outcome

TOKENS = "visual tokens"
PLOTS = {  # key of a row -> title, unit, and what one of the unit is
    "ttft_s": ("Time to the first token", "s", 1.0),
    "coverage": ("Kept of what the stock answer looked at", "%", 0.01),
    "kv_cache_bytes": ("KV cache", "MB", 1e6),
    "tokens_per_s": ("Decode speed", "tokens/s", 1.0),
}


def add_sweep_plots() -> dict[str, gr.HTML]:
    """Two beside each other where there is room, empty until a sweep has two rows."""
    names = list(PLOTS)
    plots: dict[str, gr.HTML] = {}
    for pair in (names[:2], names[2:]):
        with gr.Row():
            plots |= {f"plot_{name}": add_plot(f"sweep-{name}".replace("_", "-")) for name in pair}
    return plots


def draw_sweep(rows: Sequence[Row], axis: str) -> Values:
    """Updates of `add_sweep_plots`, the legend in the first.

    The mark of an answer that is wrong, or nobody knows and not stock's, is hollow.
    """
    return {
        f"plot_{name}": draw(
            title, _lines(rows, axis, name), TOKENS, unit, zero=True, legend=name == "ttft_s"
        )
        for name, (title, unit, _) in PLOTS.items()
    }


def _lines(rows: Sequence[Row], axis: str, name: str) -> list[Line]:
    """Stock as a level line, then one per method and value of the second axis."""
    known = [row for row in rows if None not in (row["visual_tokens"], row.get(name))]
    if len(known) < 2 or known[0] is not rows[0]:
        return []
    found: dict[str, list[Row]] = {}
    for row in sorted(known[1:], key=lambda row: row["visual_tokens"]):
        found.setdefault(line_of(row, axis), []).append(row)
    order = dict.fromkeys(line_of(row, axis) for row in known[1:])
    stock = Line("Stock", [_point(known[0], name)], "level")
    lines = [
        Line(title, [_point(row, name) for row in found[title]], place=place)
        for place, title in enumerate(order, 1)
    ]
    return [stock, *lines]


def _point(row: Row, name: str) -> Point:
    _, unit, one = PLOTS[name]
    value, judged = row[name] / one, outcome(row)
    words = f"{value:.3g} {unit} at {budget_of(row)}, {row['visual_tokens']:,} {TOKENS}"
    words += f" {MARKS[judged]} {WORDS[judged]}"
    return Point(row["visual_tokens"], value, words, hollow=judged not in ("right", "same"))
