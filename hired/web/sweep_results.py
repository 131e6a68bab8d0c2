"""A finished sweep: as plain data, as a grid of right and wrong answers, and as plots.

Knows no gradio. The sweep of the first example is shipped as
`assets/examples/recorded/sweep-MODEL.json`.
"""

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from hired.budget import OWN, show_budget
from hired.selectors import SELECTORS
from hired.web import export
from hired.web.examples import FOLDER
from hired.web.export import Record
from hired.web.markup import fill
from hired.web.settings import Settings
from hired.web.sweep import Progress

RECORDED, FORMAT = FOLDER / "recorded", "hired-sweep-1"


def keep(
    question: str,
    answer: str,
    image: dict[str, Any],
    axis: str,
    planned: Sequence[Settings],
    progress: Progress,
    facts: dict[str, Any],
) -> dict[str, Any]:
    """A sweep as JSON takes it.

    Args:
        question: as asked.
        answer: the known one, or nothing.
        image: name, height and width.
        axis: the second axis.
        planned: settings of every row after the baseline.
        progress: the last frame of the sweep.
        facts: of `record.about`.
    """
    whole = export.as_dict(Record(question, image, planned[0], progress.views, facts))
    return whole | {
        "format": FORMAT,
        "answer": answer,
        "axis": axis,
        "rows": progress.rows,
        "planned": [settings.as_dict() for settings in planned],
    }


def run_at(kept: dict[str, Any], index: int) -> dict[str, Any]:
    """The comparison behind row `index`, stock on the left, as the page exports it."""
    row = max(index, 1)  # stock stands beside the first row
    settings = kept["planned"][row - 1]
    if "lanes" not in settings:  # recorded when all panes shared one set of settings
        settings = settings | {"left": "full", "third": "none"}
    facts = {key: value for key, value in kept.items() if key not in _OWN}
    lanes = [kept["lanes"][0], *kept["lanes"][row : row + 1]]
    return facts | {"format": export.FORMAT, "settings": settings, "lanes": lanes,
                    "known": kept.get("answer") or ""}  # fmt: skip


_OWN = ("format", "answer", "axis", "rows", "planned", "lanes", "settings")


def recorded(model: str, kind: str = "sweep", folder: Path = RECORDED) -> dict[str, Any] | None:
    """Sweep or film that is shipped for a model; None where there is none."""
    path = folder / recorded_name(model, kind)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def recorded_name(model: str, kind: str = "sweep") -> str:
    """The file it is shipped as."""
    return kind + "-" + re.sub(r"[^\w.-]+", "-", model) + ".json"


Row = dict[str, Any]
MARKS = {"right": "✓", "wrong": "✗", "same": "=", "differs": "≠", "alone": "–", "failed": "!"}
WORDS = {
    "right": "right",
    "wrong": "wrong",
    "same": "same answer as stock",
    "differs": "another answer than stock",
    "alone": "no answer of stock to compare with",
    "failed": "failed",
}
PLOTS = (
    ("ttft_s", "Time to first token, s", 1.0),
    ("kv_cache_bytes", "KV cache, MB", 1e6),
    ("tokens_per_s", "Decode speed, tokens/s", 1.0),
    ("agrees", "Same answer as stock", 1.0),
)


def outcome(row: Row) -> str:
    """A key of `MARKS`: right or wrong where the answer is known, else beside stock's."""
    if row["error"]:
        return "failed"
    if row["correct"] is not None:
        return "right" if row["correct"] else "wrong"
    return {True: "same", False: "differs", None: "alone"}[row["agrees"]]


def line_of(row: Row, axis: str = "none") -> str:
    """Words for a row beside its budget: the method, and the value of the second axis."""
    found = SELECTORS.get(row["method"])
    title = found.title if found else str(row["method"])
    return title if axis in ("none", "method") else f"{title}, {axis} {row[axis]}"


def budget_of(row: Row) -> str:
    """A row's budget in words."""
    return row["budget"] if isinstance(row["budget"], str) else show_budget(row["budget"])


def grid(rows: Sequence[Row], axis: str = "none") -> str:
    """Outcomes over method and budget; a cell is a button with its row's number in `data-row`."""
    if not rows:
        return ""
    lines: dict[str, dict[str, int]] = {}
    for index, row in enumerate(rows[1:], 1):
        lines.setdefault(line_of(row, axis), {})[budget_of(row)] = index
    budgets = list(dict.fromkeys(budget for cells in lines.values() for budget in cells))
    budgets.sort(key=lambda budget: budget == OWN)  # else as they were asked for
    return fill(
        "sweep",
        "grid",
        judged=any(row["correct"] is not None for row in rows),
        stock=_cell(rows, 0, "Stock"),
        budgets=budgets,
        lines=[
            (line, [_cell(rows, cells.get(budget), line) for budget in budgets])
            for line, cells in lines.items()
        ],
    )


def _cell(rows: Sequence[Row], index: int | None, line: str) -> dict[str, Any] | None:
    """Contents of a cell of the grid; None where a method has no such budget."""
    if index is None:
        return None
    row = rows[index]
    found, tokens = outcome(row), row["visual_tokens"]
    at = "" if index == 0 else f" at {budget_of(row)}"
    return {
        "row": index,
        "outcome": found,
        "mark": MARKS[found],
        "words": f"{line}{at}: {WORDS[found]}",
        "said": row["error"] or row["text"],
        "tokens": "" if tokens is None else f"{tokens:,}",
    }


def plot(rows: Sequence[Row], axis: str = "none") -> Image.Image:
    """Four small plots over the tokens kept; one line per method and value of the second axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, 5.2), layout="constrained")
    judged = "; hollow: wrong" if any(row["correct"] is not None for row in rows) else ""
    lines: dict[str, list[Row]] = {}
    for row in rows[1:]:
        lines.setdefault(line_of(row, axis), []).append(row)
    places = figure.subplots(2, 2).flat
    for place, (name, title, scale) in zip(places, PLOTS, strict=True):
        for marker, (label, group) in zip("osD^vP*X<>" * 6, lines.items(), strict=False):
            _draw_line(place, group, name, scale, marker, label)
        if rows and name != "agrees" and rows[0][name] is not None:
            place.axhline(rows[0][name] / scale, color="#555", ls="--", lw=1, label="Stock")
        if name == "agrees":
            place.set_yticks([0, 1], ["no", "yes"])
            place.set_ylim(-0.2, 1.2)
        else:
            place.set_ylim(bottom=0)
        place.set_title(title + (judged if name == "agrees" else ""), fontsize=10, loc="left")
        place.set_xlabel("visual tokens", fontsize=8)
        place.tick_params(labelsize=8)
        place.grid(alpha=0.25)
        place.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return Image.open(io.BytesIO(buffer.getvalue()))


def _draw_line(
    place: Any, group: Sequence[Row], name: str, scale: float, marker: str, label: str
) -> None:
    known = [row for row in group if None not in (row["visual_tokens"], row[name])]
    points = sorted((row["visual_tokens"], row[name] / scale) for row in known)
    x, y = zip(*points, strict=True) if points else ((), ())
    (line,) = place.plot(x, y, marker=marker, label=label, ms=5)
    wrong = [(row["visual_tokens"], row[name]) for row in known if row["correct"] is False]
    if name == "agrees" and wrong:
        hollow = {"mfc": "white", "mec": line.get_color(), "ls": "none", "ms": 5}
        place.plot(*zip(*wrong, strict=True), marker=marker, **hollow)
