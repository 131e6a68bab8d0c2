"""A record of `eval` as a figure, and the attention that HiRED reads as another."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter
from PIL import Image

from hired.bench.accuracy_summary import Score, summarise
from hired.bench.accuracy_tables import FIRST, side_by_side
from hired.bench.figures import COLOURS, MARKERS, clear_frame, save
from hired.bench.plan import BASELINE
from hired.bench.results import rounds_in
from hired.shapes.pictures import TESTED

COLUMNS = 3


def draw_accuracy(lines: Sequence[dict[str, Any]], path: Path) -> Path:
    """Right answers against visual tokens, one panel per split and up to three in a row, with 95 %
    intervals.

    Args:
        lines: of a record.
        path: the file; its ending says the format.
    """
    scores = side_by_side(summarise(rounds_in(lines)))
    names = list(dict.fromkeys(score.what for score in scores if score.what != BASELINE))
    names.sort(key=lambda name: name != FIRST)
    splits = list(dict.fromkeys(score.split for score in scores))
    rows = -(-len(splits) // COLUMNS)
    columns = -(-len(splits) // rows)
    size = (5.2 * columns + 2.4, 5.2 * rows)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, split in zip(panels, splits, strict=False):
        mine = [score for score in scores if score.split == split]
        _panel(axes, split, mine, names)
    for axes in panels[len(splits) :]:
        axes.set_visible(False)
    for axes in panels[::columns]:
        axes.set_ylabel("right answers, %")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=8.5, frameon=False)
    return save(figure, path)


def _panel(axes: Axes, split: str, scores: Sequence[Score], names: Sequence[str]) -> None:
    """One split."""
    full = next((score for score in scores if score.what == BASELINE), None)
    if full is not None:
        low, high = full.interval
        axes.axhspan(100 * low, 100 * high, color="#dddddd", lw=0)
        axes.axhline(100 * full.accuracy, color="#555555", lw=1, ls="--", label="all tokens")
    for place, name in enumerate(names):
        mine = sorted((s for s in scores if s.what == name), key=lambda s: s.visual_tokens)
        if not mine:
            continue
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        width, size, order = (2.4, 7, 3) if name == FIRST else (1.0, 4.5, 2)
        spread = (place - len(names) / 2) * 0.006  # so that intervals do not lie on each other
        axes.errorbar(
            [score.visual_tokens * (1 + spread) for score in mine],
            [100 * score.accuracy for score in mine],
            np.transpose([_bars(score) for score in mine]),
            lw=width, ms=size, zorder=order, capsize=1.5, elinewidth=0.7, label=name,
            color=colour, marker=marker,
        )  # fmt: skip
    _axis(axes, split, scores)


def _bars(score: Score) -> tuple[float, float]:
    """The reach of the interval below and above, in points."""
    low, high = score.interval
    return max(0.0, 100 * (score.accuracy - low)), max(0.0, 100 * (high - score.accuracy))


def _axis(axes: Axes, split: str, scores: Sequence[Score]) -> None:
    axes.set_xscale("log")
    ticks = {round(s.visual_tokens) for s in scores if s.what in (FIRST, BASELINE)}
    if ticks:
        axes.xaxis.set_major_locator(FixedLocator(sorted(ticks)))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_locator(NullLocator())
    asked = max(score.asked for score in scores)
    axes.set_title(f"{TESTED[split]} ({asked} questions)", fontsize=10)
    axes.set_xlabel("visual tokens, mean per image")
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    clear_frame(axes)


def draw_attention_maps(
    rows: Sequence[tuple[str, Image.Image, Image.Image, Image.Image]],
    titles: tuple[str, str, str],
    path: Path,
) -> Path:
    """Pictures in rows of three: the image, and its CLS attention in two layers.

    Args:
        rows: a name, the image, and one heat map for each of two layers.
        titles: of the columns.
        path: the file; its ending says the format.
    """
    figure = Figure(figsize=(11, 2.5 * len(rows)), layout="constrained", facecolor="white")
    grid = figure.subplots(len(rows), 3, squeeze=False, width_ratios=[1, 1.7, 1.7])
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=10)
    for cells, (name, *pictures) in zip(grid, rows, strict=True):
        cells[0].set_ylabel(name, fontsize=9)
        for axes, picture in zip(cells, pictures, strict=True):
            axes.imshow(picture)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
    return save(figure, path, dpi=110)
