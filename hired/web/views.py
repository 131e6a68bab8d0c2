"""What a pane shows of a lane, whether it runs now, ran before or was imported."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hired.comparison.stream import FINAL, Step
from hired.selectors import SELECTORS

PHASES = ("preprocess_s", "vision_s", "select_s", "prefill_s", "decode_s")
MEASURED = ("ttft_s", "tokens_per_s", "total_s", "peak_bytes")  # what differs from run to run
PHASE_NAMES = {
    "preprocess_s": "prepare",
    "vision_s": "look",
    "select_s": "select",
    "prefill_s": "read",
    "decode_s": "write",
}


@dataclass(frozen=True)
class View:
    """One pane.

    Attributes:
        method: its name in the registry.
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
    """

    method: str
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

    def measured(self, name: str) -> list[float]:
        """The samples of one quantity; none where only a median was kept."""
        if self.repeats > 1:
            return list(self.samples.get(name, []))
        value = (self.metrics or {}).get(name)
        return [] if value is None else [value]

    @property
    def title(self) -> str:
        """What people call the method."""
        known = SELECTORS.get(self.method)
        return known.title if known else self.method

    @property
    def ended(self) -> bool:
        """Is there nothing more to come?"""
        return self.phase in FINAL


@dataclass(frozen=True)
class Case:
    """What the panes are about, as far as judging them needs it.

    Attributes:
        known: the right answer to the question; empty where nobody knows it.
        budget: what is kept, as a rate or a count.
        foreign: does the model know nothing of such pictures?
        about: where and when a run was made that is shown again.
    """

    known: str = ""
    budget: float | int | None = None
    foreign: bool = False
    about: Mapping[str, Any] | None = None


def show(method: str, step: Step) -> View:
    """A step of a running comparison as a view."""
    return View(
        method=method,
        phase=step.phase,
        text=step.text,
        new_tokens=step.new_tokens,
        elapsed_s=step.elapsed_s,
        visual_tokens=step.selection.visual_tokens if step.selection else None,
        metrics=step.metrics.as_dict() if step.metrics else None,
        error=step.error,
    )


def median(views: Sequence[View]) -> View:
    """The last finished one of several runs of a lane, with the median of their numbers; without
    one, or where a run failed, the last.
    """
    done = [view for view in views if view.phase == "done" and view.metrics]
    if not done or views[-1].phase == "failed":
        return views[-1]
    merged = {}
    for key, last in done[-1].metrics.items():
        values = [view.metrics[key] for view in done]
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            middle = statistics.median(values)
            last = middle if isinstance(last, float) else round(middle)
        merged[key] = last
    samples = {name: [view.metrics[name] for view in done] for name in MEASURED}
    samples = {name: found for name, found in samples.items() if None not in found}
    return replace(done[-1], metrics=merged, repeats=len(done), samples=samples)
