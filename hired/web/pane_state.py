"""State of a pane: a lane that runs now, ran before or was imported."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from hired.budget import show_budget
from hired.comparison.stream import Step
from hired.errors import SettingError
from hired.phases import FINAL
from hired.selectors import SELECTORS, Selector, parse

MEASURED = ("ttft_s", "tokens_per_s", "total_s", "peak_bytes")  # what differs from run to run


@dataclass(frozen=True)
class PaneState:
    """State of one pane.

    Attributes:
        lane: the method with its settings as text, or only the name of one unknown here.
        phase: of `hired.Step`, or "idle" and "queued" before a run.
        text: the answer so far.
        new_tokens: tokens so far.
        elapsed_s: seconds since the lane began.
        visual_tokens: what reaches the language model, once known.
        metrics: the numbers, at the end.
        error: what went wrong.
        repeats: runs the numbers are the median of.
        turn: the run among `turns` that goes on.
        turns: runs that are measured; 1 also where only their median is left.
        samples: what each of those runs measured, by the names in `MEASURED`.
        name: what people call it, where its title alone is not enough; see `name_views`.
        coverage: words of the stock answer and the share of what each looked at that this lane
            keeps, where somebody asked for it.
    """

    lane: str
    phase: str = "idle"
    text: str = ""
    new_tokens: int = 0
    elapsed_s: float = 0.0
    visual_tokens: int | None = None
    metrics: dict[str, Any] | None = None
    error: str | None = None
    repeats: int = 1
    turn: int = 1
    turns: int = 1
    samples: Mapping[str, list[float]] = field(default_factory=dict)
    name: str = ""
    coverage: tuple[tuple[str, float], ...] = ()

    def measured(self, name: str) -> list[float]:
        """The samples of one quantity; none where only a median was kept."""
        if self.repeats > 1:
            return list(self.samples.get(name, []))
        value = (self.metrics or {}).get(name)
        return [] if value is None else [value]

    @property
    def method(self) -> str:
        """The name of the method in the registry."""
        return self.lane.partition(":")[0]

    @property
    def selector(self) -> Selector | None:
        """The method with its settings; None of one unknown here."""
        try:
            return parse(self.lane)
        except SettingError:
            return None

    @property
    def title(self) -> str:
        """Name of the pane for people."""
        return self.name or title_of(self.lane)

    @property
    def told_coverage(self) -> dict[str, Any]:
        """The coverage as plain data, mean and words; nothing where nobody asked for it."""
        if not self.coverage:
            return {}
        mean = statistics.fmean(share for _, share in self.coverage)
        words = [{"word": word, "coverage": round(share, 4)} for word, share in self.coverage]
        return {"coverage": round(mean, 4), "words": words}

    @property
    def ended(self) -> bool:
        """True once nothing more is to come."""
        return self.phase in FINAL


@dataclass(frozen=True)
class Case:
    """Facts about the picture and the question that the panes are judged by.

    Attributes:
        known: the right answer to the question; empty where nobody knows it.
        foreign: whether the model knows nothing of such pictures.
        about: where and when a run was made that is shown again.
    """

    known: str = ""
    foreign: bool = False
    about: Mapping[str, Any] | None = None


def title_of(lane: str) -> str:
    """Name of a lane's method for people."""
    known = SELECTORS.get(lane.partition(":")[0])
    return known.title if known else lane.partition(":")[0]


def name_lanes(lanes: Sequence[str]) -> list[str]:
    """Name each lane for people: by its method, and where that stands twice by what they differ in.

    Lanes that do not differ are named by their place.
    """
    return list(_names_of(tuple(lanes)))


@lru_cache(maxsize=64)  # every frame of a run asks for the same
def _names_of(lanes: tuple[str, ...]) -> tuple[str, ...]:
    titles = [title_of(lane) for lane in lanes]
    named = []
    for lane, title in zip(lanes, titles, strict=True):
        twins = [other for other, same in zip(lanes, titles, strict=True) if same == title]
        named.append(f"{title} {told}" if (told := _differing(lane, twins)) else title)
    return tuple(
        f"{name}, pane {place}" if named.count(name) > 1 else name
        for place, name in enumerate(named, 1)
    )


def _differing(lane: str, twins: Sequence[str]) -> str:
    """The settings of a lane in which those of the same method differ, in words."""
    try:
        own, others = parse(lane), [parse(twin) for twin in twins]
    except SettingError:  # of other times
        return ""
    words = []
    for name, setting in own.settings().items():
        value = setting.write(getattr(own, name))
        if any(setting.write(getattr(other, name)) != value for other in others):
            said = setting.tell(name, getattr(own, name))
            words.append(budget_words(own) if name == "budget" else said)
    return ", ".join(words)


def budget_of(lane: Selector | None) -> float | int | None:
    """Rate or count that a lane keeps; None where its method finds its own."""
    return lane.budget if lane is not None and "budget" in lane.settings() else None


def budget_words(lane: Selector | None) -> str:
    """`20 %` or `64 patches`; nothing where a method finds its own count."""
    budget = budget_of(lane)
    if budget is None:
        return ""
    return f"{show_budget(budget)}{' patches' if isinstance(budget, int) else ''}"


def name_views(views: Sequence[PaneState]) -> list[PaneState]:
    """The views, each with a name that tells it from the others."""
    names = name_lanes([view.lane for view in views])
    return [replace(view, name=name) for view, name in zip(views, names, strict=True)]


def show(lane: str, step: Step) -> PaneState:
    """A step of a running comparison as a view."""
    return PaneState(
        lane=lane,
        phase=step.phase,
        text=step.text,
        new_tokens=step.new_tokens,
        elapsed_s=step.elapsed_s,
        visual_tokens=step.selection.visual_tokens if step.selection else None,
        metrics=step.metrics.as_dict() if step.metrics else None,
        error=step.error,
    )


def median(views: Sequence[PaneState]) -> PaneState:
    """Last finished one of several runs of a lane, with the median of their numbers.

    Where a run failed, that one as it is; without a finished one the last that has said anything.
    """
    done = [view for view in views if view.phase == "done" and view.metrics]
    numbers = [view.metrics for view in done if view.metrics]
    if views[-1].phase == "failed":
        return views[-1]
    if not done:
        return next((view for view in reversed(views) if view.text or view.metrics), views[-1])
    merged = {}
    for key, last in numbers[-1].items():
        values = [one[key] for one in numbers]
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            middle = statistics.median(values)
            last = middle if isinstance(last, float) else round(middle)
        merged[key] = last
    samples = {name: [one[name] for one in numbers] for name in MEASURED}
    samples = {name: found for name, found in samples.items() if None not in found}
    return replace(done[-1], metrics=merged, repeats=len(done), samples=samples)
