"""The budget film: one image and question down a ladder of budgets, to scrub through.

Knows no gradio. The ladder is measured once, by a sweep; a frame is a mask and an answer.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from PIL import Image

from hired.budget import show_budget
from hired.comparison.overlay import draw_plain
from hired.web.engine import Loaded
from hired.web.panes import count_words, esc
from hired.web.pictures import data_uri, lay_out, shown_lane
from hired.web.settings import Settings
from hired.web.sweep import plan
from hired.web.sweep_pictures import MARKS, WORDS, Row, outcome

LADDER = (100, 90, 80, 70, 60, 50, 45, 40, 35, 30, 25, 20, 16, 13, 10, 7, 5, 3, 2, 1)
"""Percent kept, the film's frames from first to last."""


def plan_film(settings: Settings) -> list[Settings]:
    """The ladder of the first method that drops something, one run a frame."""
    lane = settings.lanes[shown_lane(settings)]
    budgets = " ".join(f"{percent}%" for percent in LADDER)
    lanes = (Settings().lanes[0], lane)
    return plan(replace(settings, lanes=lanes, repeats=1), budgets, "none", "")


def breaking_point(rows: Sequence[Row]) -> int | None:
    """The first row, from the largest budget down, whose answer is lost; None if none is.

    `rows` are without the baseline. Lost is wrong, or where nobody knows, other than stock's.
    """
    lost = (index for index, row in enumerate(rows) if outcome(row) in ("wrong", "differs"))
    return next(lost, None)


def draw_film(
    loaded: Loaded, image: Image.Image, planned: Sequence[Settings], rows: Sequence[Row]
) -> str:
    """The film as HTML; `rows` are those of a sweep, the baseline first.

    Raises:
        SettingError: a layer or head does not exist in this model.
    """
    frames, layout = [], None
    for settings, row in zip(planned, rows[1:], strict=False):
        kept = loaded.preview.select(image, settings.lanes[-1])
        layout = lay_out(image, kept.grid)
        mask = "".join("1" if bit else "0" for bit in kept.mask.flatten().tolist())
        frames.append(_frame(row, mask))
    if layout is None:
        return ""
    width, height = layout.size
    data = {"frames": frames, "boxes": layout.boxes, "side": layout.grid.side, "size": layout.size}
    broken = breaking_point(rows[1:])
    ticks = "".join(
        f'<li class="{frame["mark"]}{" broken" if index == broken else ""}" '
        f'title="{esc(frame["at"])}">{MARKS[frame["mark"]]}</li>'
        for index, frame in enumerate(frames)
    )
    return (
        f'<figure class="film" data-film="{esc_json(data)}">'
        f'<div class="frame" style="aspect-ratio:{width}/{height}">'
        f'<img alt="The image as the model sees it" src="{data_uri(draw_plain(layout))}">'
        f'<canvas width="{width}" height="{height}" aria-hidden="true"></canvas></div>'
        f'<p class="now" role="status">{esc(frames[0]["words"])}</p>'
        f'<input type="range" min="0" max="{len(frames) - 1}" value="0" step="1" '
        f'aria-label="Budget, from everything to almost nothing" '
        f'aria-valuetext="{esc(frames[0]["at"])}">'
        f'<ol class="ticks" aria-hidden="true">{ticks}</ol>'
        f"<figcaption>{esc(_told(frames, broken))}</figcaption></figure>"
    )


def esc_json(data: Any) -> str:
    """Plain data as an attribute's value; braces are inert in gradio's templates too."""
    return esc(json.dumps(data))


def _frame(row: Row, mask: str) -> dict[str, str]:
    mark, tokens = outcome(row), row["visual_tokens"]
    at = show_budget(row["budget"]) if not isinstance(row["budget"], str) else row["budget"]
    count = "" if tokens is None else f", {count_words(tokens)}"
    said = row["error"] or row["text"] or "no answer"
    return {"mask": mask, "mark": mark, "at": at,
            "words": f"{MARKS[mark]} {at}{count}: {said} ({WORDS[mark]})"}  # fmt: skip


def _told(frames: Sequence[dict[str, str]], broken: int | None) -> str:
    if broken is None:
        return f"The answer holds down to {frames[-1]['at']}."
    if broken == 0:
        return f"The answer is lost already at {frames[0]['at']}."
    return f"It breaks at {frames[broken]['at']}; at {frames[broken - 1]['at']} it still holds."
