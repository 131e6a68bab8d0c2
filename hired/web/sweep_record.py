"""A finished sweep as plain data: its rows, and for each the comparison that a cell opens.

Knows no gradio. One of the first example is shipped as `assets/examples/recorded/sweep-MODEL.json`.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hired.web import record
from hired.web.examples import FOLDER
from hired.web.record import Record
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
    whole = record.as_dict(Record(question, image, planned[0], progress.views, facts))
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
    return facts | {"format": record.FORMAT, "settings": settings, "lanes": lanes,
                    "known": kept.get("answer") or ""}  # fmt: skip


_OWN = ("format", "answer", "axis", "rows", "planned", "lanes", "settings")


def recorded(model: str, kind: str = "sweep", folder: Path = RECORDED) -> dict[str, Any] | None:
    """What is shipped of a kind for a model, if anything."""
    path = folder / recorded_name(model, kind)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def recorded_name(model: str, kind: str = "sweep") -> str:
    """The file it is shipped as."""
    return kind + "-" + re.sub(r"[^\w.-]+", "-", model) + ".json"
