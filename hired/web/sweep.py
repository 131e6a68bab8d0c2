"""One prompt at many budgets: rows as they are measured, plots, and agreement with the baseline.

Knows no gradio. Each row is a real comparison of one lane.
"""

import io
import logging
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from PIL import Image

from hired.budget import OWN, parse_budget
from hired.errors import SettingError
from hired.images import describe_image
from hired.lane import Lane
from hired.selectors import settings_of
from hired.web.engine import Loaded
from hired.web.limits import MAX_ROWS, Limits
from hired.web.panes import matches
from hired.web.settings import Settings
from hired.web.views import show

log = logging.getLogger(__name__)
TICK_S = 0.5  # after this long within a row a frame with nothing new asks who still listens
AXES = ("none", "method", "alpha", "init_layer", "final_layer")
NUMBERS = ("visual_tokens", "ttft_s", "tokens_per_s", "total_s", "kv_cache_bytes", "peak_bytes")


@dataclass(frozen=True)
class Progress:
    """Where a sweep stands.

    Attributes:
        rows: what has been measured, the baseline first.
        total: rows there will be.
        left_s: estimated seconds left.
        note: why it ended early, if it did.
    """

    rows: list[dict[str, Any]]
    total: int
    left_s: float | None
    note: str = ""


def plan(settings: Settings, budgets: str, axis: str, values: str) -> list[Settings]:
    """The settings of every row after the baseline: budgets × the values of one more axis.

    Raises:
        SettingError: nothing to sweep, too much, or a value out of range.
    """
    parts = re.split(r"[;\s]+|,(?=\s|$)|(?<=%),", budgets)
    rates = [parse_budget(part) for part in parts if part]
    if axis not in AXES:
        raise SettingError(f"A sweep's second axis is one of {', '.join(AXES)}; got {axis!r}.")
    points: list[Any] = [None] if axis == "none" else values.replace(",", " ").split()
    if not rates or not points:
        raise SettingError("A sweep needs at least one budget and one value of the second axis.")
    if len(rates) * len(points) > MAX_ROWS:
        raise SettingError(
            f"That is {len(rates) * len(points)} runs; a sweep has at most {MAX_ROWS}."
        )
    return [_at(replace(settings, budget=rate), axis, point) for point in points for rate in rates]


def sweep(
    loaded: Loaded,
    image: Image.Image,
    question: str,
    planned: Sequence[Settings],
    stop: threading.Event,
    answer: str = "",
    limits: Limits | None = None,
    name: str = "",
) -> Iterator[Progress]:
    """Measure the baseline, then every planned row; stopping keeps what is done. A row that fails
    holds its `error` and no numbers, and the next one begins. Every row says on which model and
    which image, `name` among it, it was measured, and when.

    Closing the iterator ends the row it is at. While a row takes long, the same frame comes again.

    Raises:
        InputError, SettingError: before the first row.
    """
    limits = limits or Limits()
    limits.check_image(image)
    limits.check_asked(question, planned[0].max_new_tokens, len(planned))
    jobs = [("full", planned[0]), *((row.right, row) for row in planned)]
    loaded.check(settings.selector(method) for method, settings in jobs)
    shown = describe_image(name, image)
    about = {
        "model": loaded.info["name"],
        "image": shown["name"],
        "image_height": shown["height"],
        "image_width": shown["width"],
    }
    rows: list[dict[str, Any]] = []
    begin = perf_counter()
    try:
        with closing(_frames(loaded, image, question, jobs, stop, answer, limits, rows)) as frames:
            for progress in frames:
                yield replace(progress, rows=[about | row for row in progress.rows])
    finally:
        spent = round(perf_counter() - begin, 3)
        log.info("sweep", extra={"facts": {"seconds": spent, "rows": len(rows)}})


def _frames(
    loaded: Loaded,
    image: Image.Image,
    question: str,
    jobs: Sequence[tuple[str, Settings]],
    stop: threading.Event,
    answer: str,
    limits: Limits,
    rows: list[dict[str, Any]],
) -> Iterator[Progress]:
    """Where the sweep stands, again and again, while `rows` fills."""
    begin = perf_counter()
    shown = Progress([], len(jobs), None)
    yield shown
    for method, settings in jobs:
        with closing(_measure(loaded, image, question, method, settings, stop)) as steps:
            for row in steps:
                if row is None and perf_counter() - begin > limits.seconds:
                    yield replace(shown, left_s=None, note=limits.too_late)
                    return
                if row is None:
                    yield shown
        if row is None:
            return
        base = rows[0] if rows else row
        failed = row["error"] or base["error"]
        row["agrees"] = None if failed else row["text"].split() == base["text"].split()
        row["correct"] = matches(row["text"], answer) if answer and not row["error"] else None
        rows.append(row)
        spent = perf_counter() - begin
        left = len(jobs) - len(rows)
        if left and spent > limits.seconds:
            yield Progress(list(rows), len(jobs), None, limits.too_late)
            return
        shown = Progress(list(rows), len(jobs), spent / len(rows) * left)
        yield shown


def _at(settings: Settings, axis: str, point: Any) -> Settings:
    if axis == "none":
        return settings
    if axis == "method":
        return replace(settings, right=point)
    kind = float if axis == "alpha" else int
    try:
        return replace(settings, **{axis: kind(point)})
    except ValueError as error:
        if isinstance(error, SettingError):
            raise
        raise SettingError(f"{axis} takes numbers; got {point!r}.") from None


def _measure(
    loaded: Loaded,
    image: Image.Image,
    question: str,
    method: str,
    settings: Settings,
    stop: threading.Event,
) -> Iterator[dict[str, Any] | None]:
    """None every now and then while a row is measured; last the row, or None if it was stopped."""
    lane = Lane(method, settings.selector(method))
    view, told = None, perf_counter()
    steps = loaded.compare(
        image,
        question,
        [lane],
        max_new_tokens=settings.max_new_tokens,
        stop=stop,
    )
    with closing(steps):
        for step in steps:
            view = show(method, step)
            if perf_counter() - told > TICK_S:
                yield None
                told = perf_counter()
    if stop.is_set() or view is None:
        yield None
        return
    budget = settings.budget if "budget" in settings_of(method) else OWN
    yield {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "method": method,
        "budget": "stock" if method == "full" else budget,
        "alpha": settings.alpha,
        "init_layer": settings.init_layer,
        "final_layer": settings.final_layer,
        **{name: (view.metrics or {}).get(name) for name in ("kept_tokens", *NUMBERS)},
        "text": view.text,
        "error": view.error,
    }


def plot(rows: Sequence[dict[str, Any]], axis: str = "none") -> Image.Image:
    """Four small plots over the tokens kept; one line per value of the second axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, 4.6), layout="constrained")
    places = figure.subplots(2, 2)
    judged = "; hollow: wrong" if any(row["correct"] is not None for row in rows) else ""
    shown = (
        ("ttft_s", "Time to first token, s", 1.0),
        ("kv_cache_bytes", "KV cache, MB", 1e6),
        ("tokens_per_s", "Decode speed, tokens/s", 1.0),
        ("agrees", "Same answer as stock" + judged, 1.0),
    )
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows[1:]:
        groups.setdefault(str(row[axis]) if axis != "none" else row["method"], []).append(row)
    for place, (name, title, scale) in zip(places.flat, shown, strict=True):
        for marker, (label, group) in zip("osD^vP*X<>" * 6, groups.items(), strict=False):
            known = [r for r in group if None not in (r["visual_tokens"], r[name])]
            points = sorted((r["visual_tokens"], r[name] / scale) for r in known)
            x, y = zip(*points, strict=True) if points else ((), ())
            (line,) = place.plot(x, y, marker=marker, label=label, ms=5)
            wrong = [(r["visual_tokens"], r[name]) for r in known if r["correct"] is False]
            if name == "agrees" and wrong:
                hollow = {"mfc": "white", "mec": line.get_color(), "ls": "none", "ms": 5}
                place.plot(*zip(*wrong, strict=True), marker=marker, **hollow)
        if rows and name != "agrees" and rows[0][name] is not None:
            place.axhline(rows[0][name] / scale, color="#555", ls="--", lw=1, label="stock")
        if name == "agrees":
            place.set_yticks([0, 1], ["no", "yes"])
            place.set_ylim(-0.2, 1.2)
        else:
            place.set_ylim(bottom=0)
        place.set_title(title, fontsize=10, loc="left")
        place.set_xlabel("visual tokens", fontsize=8)
        place.tick_params(labelsize=8)
        place.grid(alpha=0.25)
        place.spines[["top", "right"]].set_visible(False)
    places.flat[0].legend(fontsize=8, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return Image.open(io.BytesIO(buffer.getvalue()))
