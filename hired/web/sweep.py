"""Sweeps: one prompt at many budgets, rows as they are measured, agreement with the baseline.

Knows no gradio. Each row is a real comparison of one lane.
"""

import logging
import re
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from PIL import Image

from hired.budget import OWN, parse_budget
from hired.comparison.explain import Explanation
from hired.comparison.lane import Lane
from hired.errors import HiredError, SettingError
from hired.images import describe_image
from hired.selectors import SELECTORS, Selector, build, fitting, parse
from hired.settings import nearest
from hired.web.engine import Loaded
from hired.web.limits import MAX_ROWS, Limits
from hired.web.pane_state import PaneState, median, show
from hired.web.render import matches
from hired.web.runs import check_here, cover, look_back
from hired.web.settings import Settings

log = logging.getLogger(__name__)
TICK_S = 0.5  # after this long within a row a frame with nothing new asks who still listens
NUMBERS = ("visual_tokens", "ttft_s", "tokens_per_s", "total_s", "kv_cache_bytes", "peak_bytes")


@dataclass(frozen=True)
class Progress:
    """State of a sweep.

    Attributes:
        rows: what has been measured, the baseline first.
        total: rows there will be.
        left_s: estimated seconds left.
        note: why it ended early, if it did.
        gap: why there is no coverage, if it was asked for.
        views: the panes behind the rows, in their order.
    """

    rows: list[dict[str, Any]]
    total: int
    left_s: float | None
    note: str = ""
    views: list[PaneState] = field(default_factory=list)
    gap: str = ""


def swept() -> list[str]:
    """Methods that a sweep goes over: all but those made for one image."""
    return [name for name, method in SELECTORS.items() if method.general]


def axes() -> tuple[str, ...]:
    """Second axes it may have: nothing, the method, or any setting beside the budget."""
    keys = (key for name in swept() for key in SELECTORS[name].settings() if key != "budget")
    return ("none", "method", *dict.fromkeys(keys))


def plan(
    settings: Settings, budgets: str, axis: str, values: str, methods: Sequence[str] = ()
) -> list[Settings]:
    """The settings of every row after the baseline: methods × values of one more axis × budgets.

    Budgets as people and this page spell them: `5%`, `5 %`, `0.05`, `640`. Without `methods` it is
    the last pane's. A method that finds its own count stands once, not once per budget, and one
    without the setting of the axis once, not once per value.

    Raises:
        SettingError: nothing to sweep, too much, or a value out of range.
    """
    joined = re.sub(r"(?<!\s)\s+%", "%", budgets)  # looked for at the first space of a row only
    parts = [part for part in re.split(r"[;\s]+|,(?=\s|$)|(?<=%),", joined) if part]
    if axis not in axes():
        raise SettingError(
            f"A sweep's second axis is one of {', '.join(axes())}; got {axis!r}."
            f"{nearest(str(axis), axes())}"
        )
    points: list[Any] = [None] if axis == "none" else values.replace(",", " ").split()
    if not parts or not points:
        raise SettingError("A sweep needs at least one budget and one value of the second axis.")
    _check_rows(max(len(parts), len(points), len(methods)))  # before anything is made of each
    rates = [parse_budget(part) for part in parts]
    planned: list[Selector] = []
    last = settings.lanes[-1]
    for lane in [_at(last, "method", method) for method in methods] or [last]:
        of_axis = axis in ("none", "method", *lane.settings())
        for at in (_at(lane, axis, point) for point in (points if of_axis else points[:1])):
            planned += [replace(at, budget=rate) for rate in rates] if has_budget(at) else [at]
            _check_rows(len(planned))
    return [replace(settings, lanes=(Settings().lanes[0], lane)) for lane in planned]


def _check_rows(count: int) -> None:
    if count > MAX_ROWS:
        raise SettingError(f"That is {count:,} runs or more; a sweep has at most {MAX_ROWS}.")


def has_budget(lane: Selector) -> bool:
    """Tell whether a method keeps what it is told, and not a count of its own."""
    return "budget" in lane.settings()


def sweep(
    loaded: Loaded,
    image: Image.Image,
    question: str,
    planned: Sequence[Settings],
    stop: threading.Event,
    answer: str = "",
    limits: Limits | None = None,
    name: str = "",
    coverage: bool = False,
) -> Generator[Progress]:
    """Measure the baseline, then every planned row, each as often as its settings repeat it;
    stopping keeps what is done. A row that fails holds its `error` and no numbers, and the next
    one begins. Every row says on which model and which image, `name` among it, it was measured,
    and when; with `coverage` also what it keeps of what the stock answer looked at, word by word.

    Closing the iterator ends the row it is at. While a row takes long, the same frame comes again.

    Raises:
        InputError, SettingError: before the first row.
    """
    limits = limits or Limits()
    limits.check_image(image)
    limits.check_asked(question, planned[0].max_new_tokens, len(planned))
    jobs = [(planned[0].lanes[0], planned[0]), *((row.lanes[-1], row) for row in planned)]
    loaded.check(lane for lane, _ in jobs)
    look = _looker(loaded, image, question, jobs) if coverage else None
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
        measured = _frames(loaded, image, question, jobs, stop, answer, limits, rows, look)
        with closing(measured) as frames:
            told = named = None
            for progress in frames:
                if named is None or progress is not told:  # a frame that comes again stays the same
                    told = progress
                    named = replace(progress, rows=[about | row for row in progress.rows])
                yield named
    finally:
        facts = {"seconds": round(perf_counter() - begin, 3), "rows": len(rows)}
        log.info("sweep", extra={"facts": facts})


def _frames(
    loaded: Loaded,
    image: Image.Image,
    question: str,
    jobs: Sequence[tuple[Selector, Settings]],
    stop: threading.Event,
    answer: str,
    limits: Limits,
    rows: list[dict[str, Any]],
    look: Callable[[], Explanation | str] | None,
) -> Generator[Progress]:
    """States of the sweep while `rows` fills."""
    begin, views, looked = perf_counter(), list[PaneState](), None
    shown = Progress([], len(jobs), None)
    yield shown
    for lane, settings in jobs:
        with closing(_measure(loaded, image, question, lane, settings, stop)) as steps:
            for view in steps:
                if view is None and perf_counter() - begin > limits.seconds:
                    yield replace(shown, left_s=None, note=limits.too_late)
                    return
                if view is None:
                    yield shown
        if view is None:
            return
        row = _row(lane, view)
        base = rows[0] if rows else row
        if look and not rows:
            looked = look()
            shown = replace(shown, gap=looked if isinstance(looked, str) else "")
        if isinstance(looked, Explanation):
            [view] = cover([view], looked)
        if look:
            row |= {"coverage": None, "words": None} | view.told_coverage
        failed = row["error"] or base["error"]
        row["agrees"] = None if failed else row["text"].split() == base["text"].split()
        row["correct"] = matches(row["text"], answer) if answer and not row["error"] else None
        rows.append(row)
        views.append(view)
        spent = perf_counter() - begin
        left = len(jobs) - len(rows)
        if left and spent > limits.seconds:
            yield replace(
                shown, rows=list(rows), left_s=None, note=limits.too_late, views=list(views)
            )
            return
        shown = replace(shown, rows=list(rows), left_s=spent / len(rows) * left, views=list(views))
        yield shown


def _looker(
    loaded: Loaded, image: Image.Image, question: str, jobs: Sequence[tuple[Selector, Settings]]
) -> Callable[[], Explanation | str]:
    """Make the function that tells what the stock answer looked at, or why that cannot be told.

    Raises:
        SettingError: the model is not on this machine.
    """
    check_here(loaded)
    lanes = [lane for lane, _ in jobs]

    def look() -> Explanation | str:
        try:
            return look_back(loaded, image, question, lanes, jobs[0][1].max_new_tokens)
        except HiredError as error:
            return str(error)

    return look


def _at(lane: Selector, axis: str, point: Any) -> Selector:
    """A lane with another method, which keeps the settings that it has too, or another value."""
    own = {name: getattr(lane, name) for name in lane.settings()}
    if axis == "method":
        if ":" in point:
            return parse(point)
        return build(point, **(fitting(point, own) if point in SELECTORS else {}))
    if axis == "none" or axis not in own:
        return lane
    return replace(lane, **{axis: lane.settings()[axis].read(axis, point)})


def _measure(
    loaded: Loaded,
    image: Image.Image,
    question: str,
    lane: Selector,
    settings: Settings,
    stop: threading.Event,
) -> Generator[PaneState | None]:
    """None every now and then while a row is measured; last its view, or None if it was stopped."""
    seen: list[PaneState] = []
    told = perf_counter()
    for _ in range(settings.repeats):
        view, tokens = None, settings.max_new_tokens
        lanes = [Lane(lane.text, lane)]
        steps = loaded.compare(image, question, lanes, max_new_tokens=tokens, stop=stop)
        with closing(steps):
            for step in steps:
                view = show(lane.text, step)
                if perf_counter() - told > TICK_S:
                    yield None
                    told = perf_counter()
        if stop.is_set() or view is None:
            yield None
            return
        seen.append(view)
        if view.phase == "failed":
            break
    yield median(seen)


def _row(lane: Selector, view: PaneState) -> dict[str, Any]:
    budget = lane.budget if has_budget(lane) else OWN
    own = {name: getattr(lane, name) for name in lane.settings()}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "method": lane.name,
        "lane": lane.text,
        "budget": "stock" if lane.name == "full" else budget,
        **{name: own.get(name) for name in axes()[2:]},
        **{name: (view.metrics or {}).get(name) for name in ("kept_tokens", *NUMBERS)},
        "repeats": view.repeats,
        "text": view.text,
        "error": view.error,
    }
