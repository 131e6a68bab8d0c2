"""Recorded rounds as figures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hired.bench.figures import MARKERS, clear_frame, save
from hired.bench.plan import BASELINE
from hired.bench.results import rounds_in
from hired.bench.speed_summary import Group, Row, summarise_rounds
from hired.budget import show_budget
from hired.phases import TO_FIRST_TOKEN

if TYPE_CHECKING:  # half a second, when something is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILLS = ("#8c96a8", "#3b6fb6", "#d8a031", "#b4532a")
HATCHES = ("", "//", "xx", "..")


def draw_figures(lines: Sequence[dict[str, Any]], folder: Path, stem: str) -> list[Path]:
    """Three SVG files per group with anything measured: phases, speed-up and its estimate, memory.

    Args:
        lines: of a record.
        folder: where they go; made if it is missing.
        stem: how their names begin.
    """
    paths = []
    groups = summarise_rounds(rounds_in(lines))
    for number, group in enumerate(groups, start=1):
        for kind, draw in KINDS.items() if measured(group) else ():
            infix = f"-{number}" if len(groups) > 1 else ""
            paths.append(folder / f"{stem}{infix}-{kind}.svg")
            save(draw(group), paths[-1])
    return paths


def _axes(group: Group, height: float = 4.0) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), layout="constrained")
    axes = figure.subplots()
    axes.set_title(f"{group.title}\n{group.about['model']['device_name']}", fontsize=9)
    clear_frame(axes)
    return figure, axes


def measured(group: Group) -> list[Row]:
    """The rows that did not fail: without one there is nothing to draw."""
    return [row for row in group.rows if row.error is None]


def of_one_method(group: Group) -> list[Row]:
    """The baseline and HiRED at every budget, or the last method if HiRED was not measured."""
    rows = measured(group)
    titles = list(dict.fromkeys(row.title for row in rows))
    shown = "hired" if "hired" in titles else titles[-1]
    return [row for row in rows if row.title in (BASELINE, shown)]


def _phases(group: Group) -> "Figure":
    """Time to the first token, cut into phases: the baseline and one method at every budget."""
    rows = of_one_method(group)[::-1]
    figure, axes = _axes(group, 1.4 + 0.45 * len(rows))
    names = [_label(row) for row in rows]
    left = [0.0] * len(rows)
    for phase, fill, hatch in zip(TO_FIRST_TOKEN, FILLS, HATCHES, strict=True):
        widths = [row.metrics[phase.metric].median for row in rows]
        axes.barh(
            names, widths, left=left, label=phase.name, color=fill, hatch=hatch, edgecolor="white"
        )
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set_xlabel("seconds to the first token")
    figure.legend(ncols=4, fontsize=8, frameon=False, loc="outside lower center")
    return figure


def _speedup(group: Group) -> "Figure":
    """Speed-up over the baseline against the tokens kept, and the estimate."""
    import matplotlib

    figure, axes = _axes(group)
    rows = [row for row in measured(group) if row.speedup is not None]
    colours = matplotlib.color_sequences["tab20"]
    axes.set_prop_cycle(color=colours[::2] + colours[1::2])  # the strong ones first
    for title, marker in _marked(rows):
        mine = _by_tokens([row for row in rows if row.title == title])
        tokens = [row.metrics["visual_tokens"].median for row in mine if row.speedup]
        gains = [row.speedup for row in mine if row.speedup]
        middle = [gain.median for gain in gains]
        spread = [
            [gain.median - gain.low for gain in gains],
            [gain.high - gain.median for gain in gains],
        ]
        axes.errorbar(tokens, middle, spread, marker=marker, capsize=2, lw=1, ms=5, label=title)
    best = [(row.metrics["visual_tokens"].median, row.estimate) for row in _by_tokens(rows)]
    axes.plot(
        [tokens for tokens, estimate in best if estimate is not None],
        [estimate for _, estimate in best if estimate is not None],
        "k--",
        label="estimate",
    )
    axes.set_xlabel("visual tokens")
    axes.set_ylabel("speed-up to the first token")
    figure.legend(fontsize=8, frameon=False, loc="outside right upper")
    return figure


def _memory(group: Group) -> "Figure":
    """KV cache and peak above rest against the tokens kept, of the baseline and one method."""
    figure, axes = _axes(group)
    rows = _by_tokens(of_one_method(group))
    tokens = [row.metrics["visual_tokens"].median for row in rows]
    for name, label, style in (
        ("kv_cache_bytes", "KV cache, at the end", "o-"),
        ("peak_bytes", "peak above rest", "s:"),
    ):
        values = [row.metrics[name].median / 1e6 for row in rows]
        axes.plot(tokens, values, style, lw=1, ms=4, label=label)
    axes.set_xlabel("visual tokens")
    axes.set_ylabel("MB")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, frameon=False)
    return figure


def _marked(rows: Sequence[Row]) -> list[tuple[str, str]]:
    titles = dict.fromkeys(row.title for row in rows)
    return [(title, MARKERS[place % len(MARKERS)]) for place, title in enumerate(titles)]


def _by_tokens(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row.metrics["visual_tokens"].median)


def _label(row: Row) -> str:
    return row.title if row.budget is None else f"{row.title}, {show_budget(row.budget)}"


KINDS: dict[str, Callable[[Group], "Figure"]] = {
    "phases": _phases,
    "speedup": _speedup,
    "memory": _memory,
}
