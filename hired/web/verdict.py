"""The verdict: one pane against another in figures and words, as HTML.

Counts and bytes, which are exact, stand apart from what is measured;
`hired.comparison.evidence` says which measured difference may be claimed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hired.comparison.evidence import ENOUGH, SPEED_TOKENS, Contrast, contrast
from hired.metrics import seconds, size
from hired.web.markup import fill
from hired.web.pane_state import Case, PaneState, budget_words
from hired.web.render import count_words, matches

SAME, UNKNOWN, NO_DIFFERENCE = "No change", "Unknown", "No difference"
Figure = tuple[str, str, bool]  # a figure, its name, whether it is worse


def same_tokens(base: PaneState, other: PaneState) -> bool:
    """Tell whether both sides read the very same tokens, so no difference of time is theirs."""
    a, b = base.metrics or {}, other.metrics or {}
    count = a.get("visual_tokens")
    if count is None or count != b.get("visual_tokens"):
        return False
    return base.lane == other.lane or count == a.get("stock_tokens") == b.get("stock_tokens")


def compare_times(base: PaneState, other: PaneState, name: str) -> Contrast | None:
    """Contrast of one measured quantity of both sides; None where nothing can be said."""
    if name == "tokens_per_s" and any(
        ((view.metrics or {}).get("new_tokens") or 0) < SPEED_TOKENS for view in (base, other)
    ):
        return None
    return contrast(base.measured(name), other.measured(name))


def counted(base: PaneState, other: PaneState) -> list[Figure]:
    """Figures that are exact."""
    a, b = metrics_of(base, other)
    figures = [
        (_change(a["visual_tokens"], b["visual_tokens"], "fewer"), "visual tokens"),
        (_change(a["kv_cache_bytes"], b["kv_cache_bytes"], "less"), "KV cache"),
    ]
    return [(big, small, big.endswith("more")) for big, small in figures]


def measured(base: PaneState, other: PaneState) -> list[Figure]:
    """Figures that differ from run to run, with their spread."""
    a, b = metrics_of(base, other)
    if a["contended"] or b["contended"]:
        return [("Shared", name, False) for name in ("to first token", "tokens/s", "peak memory")]
    roughly = "≈ " if a["peak_is_approximate"] or b["peak_is_approximate"] else ""

    def speed(value: float) -> str:
        return f"{value:.1f}"

    return [
        _figure(base, other, "ttft_s", "to first token", seconds, _times),
        _figure(base, other, "tokens_per_s", "tokens/s", speed, lambda ratio: _times(1 / ratio)),
        _figure(
            base, other, "peak_bytes", f"{roughly}peak memory", size,
            lambda ratio: _percent(1 / ratio, "less"),
        ),
    ]  # fmt: skip


def _figure(
    base: PaneState,
    other: PaneState,
    name: str,
    title: str,
    show: Callable[[float], str],
    claim: Callable[[float], str],
) -> Figure:
    """Figure of one measured quantity: a claim where the runs show it, else what was measured."""
    a, b = metrics_of(base, other)
    if name == "tokens_per_s" and min(a["new_tokens"], b["new_tokens"]) < SPEED_TOKENS:
        return "–", f"{title}, from {SPEED_TOKENS} on", False
    seen = compare_times(base, other, name)
    if a[name] is None or b[name] is None or not (a[name] and b[name]):
        return UNKNOWN, title, False
    if same_tokens(base, other) and (seen is None or seen.runs > 1):
        return NO_DIFFERENCE, f"{title}; the tokens are the same", False
    if seen is None or seen.runs < ENOUGH:
        return f"{show(a[name])} → {show(b[name])}", title, False
    whole = f"{title}, {spread(seen, name)}"
    if not seen.shown:
        return NO_DIFFERENCE, whole, False
    big = claim(seen.ratio)
    return big, whole, big.endswith(("slower", "more"))


def spread(seen: Contrast, name: str = "ttft_s") -> str:
    """The least and the greatest factor that the runs allow."""
    low, high = seen.low, seen.high
    if name == "tokens_per_s":
        low, high = 1 / high, 1 / low
    return f"{low:.1f}–{high:.1f}×" if high >= 0.95 else f"{low:.2f}–{high:.2f}×"


def metrics_of(base: PaneState, other: PaneState) -> tuple[dict[str, Any], dict[str, Any]]:
    """The numbers of both sides."""
    assert base.metrics is not None and other.metrics is not None
    return base.metrics, other.metrics


def _times(ratio: float) -> str:
    return f"{ratio:.1f}× faster" if ratio > 1 else f"{1 / ratio:.2f}× slower"


def _change(base: int | None, other: int | None, down: str) -> str:
    """`81 % fewer`; never rounded up to all of it."""
    if base is None or other is None:
        return UNKNOWN
    if base == other:
        return SAME
    return _percent(other / base, down) if base else UNKNOWN


def _percent(ratio: float, down: str) -> str:
    percent = abs(1 - ratio) * 100
    digits = 1 if percent < 1 or 99 <= percent < 100 else 0
    shown = min(percent, 99.9) if percent < 100 else percent
    return f"{shown:.{digits}f}\u202f% {down if ratio < 1 else 'more'}"


def verdict(views: Sequence[PaneState], case: Case | None = None) -> str:
    """Verdict on each further pane against the first: is it right, figures, a sentence."""
    case = case or Case()
    origin = _origin(case.about) if case.about else ""
    if len(views) < 2:
        return _no_verdict(views, "", origin)
    last, parts = len(views) - 1, []
    for index in range(1, len(views)):
        title = f"{views[index].title} against {views[0].title}" if last > 1 else ""
        end = origin if index == last else ""
        parts.append(_pair(views[0], views[index], case, title, end))
    return "".join(parts)


def _no_verdict(views: Sequence[PaneState], title: str, origin: str) -> str:
    return fill("verdict", "empty", title=title, why=_why_no_verdict(views), origin=origin)


def _pair(base: PaneState, other: PaneState, case: Case, title: str, origin: str) -> str:
    """One pane against the first; `title` tells several apart."""
    if not (base.metrics and other.metrics):
        return _no_verdict([base, other], title, origin)
    judged, colour = judge(base, other, case)
    return fill(
        "verdict",
        "verdict",
        title=title,
        judged=judged,
        colour=colour,
        counted=[*counted(base, other), _answers(base, other, case)],
        runs=_runs_words(base, other),
        measured=measured(base, other),
        sentence=sentence(base, other),
        pointer=_gained_nothing(base, other),
        origin=origin,
    )


def may_measure(views: Sequence[PaneState]) -> bool:
    """Tell whether more runs would say more about the times of these panes."""
    done = len(views) > 1 and all(view.phase == "done" and view.metrics for view in views)
    few = min(view.repeats for view in views) < ENOUGH if views else False
    return done and few and not any((view.metrics or {}).get("contended") for view in views)


def judge(base: PaneState, other: PaneState, case: Case) -> tuple[str, str]:
    """Judge both sides by the known answer: a sentence, and its colour: good, bad or none."""
    if case.foreign or not base.phase == other.phase == "done":
        return "", ""
    if not case.known:
        return "", "good" if _words(base.text) == _words(other.text) else ""
    first, second = matches(base.text, case.known), matches(other.text, case.known)
    at = _at(other)
    if first and second:
        return "Right: both give the known answer.", "good"
    if first:
        return f"Wrong: the answer was lost{at}.", "bad"
    if second:
        return f"{other.title} is right, {base.title} is wrong.", "good"
    return "Wrong: neither side gives the known answer.", "bad"


def _at(view: PaneState) -> str:
    """Place where an answer was lost: a budget, or the method that finds its own."""
    budget = budget_words(view.selector)
    return f" at {budget}" if budget else f" with {view.title}"


def _answers(base: PaneState, other: PaneState, case: Case) -> Figure:
    if case.foreign:
        return "Not judged", "answers", False
    if not base.phase == other.phase == "done":
        return "Not comparable", "one stopped", False
    if _words(base.text) == _words(other.text):
        return "Same answer", "word for word", False
    return "Differs", "marked in the panes", True


def _runs_words(base: PaneState, other: PaneState) -> str:
    runs = min(base.repeats, other.repeats)
    return "Measured in one run" if runs == 1 else f"Measured, medians of {runs} runs"


def sentence(base: PaneState, other: PaneState) -> str:
    """The verdict in words; claims of the times what the runs can show, and no more."""
    a, b = metrics_of(base, other)
    kept = f"{other.title} read an unknown number of visual tokens"
    if a["visual_tokens"] is not None and b["visual_tokens"] is not None:
        kept = f"{other.title} read {count_words(b['visual_tokens'])} instead of "
        kept += f"{a['visual_tokens']:,}"
    if a["contended"] or b["contended"]:
        return f"{kept}. The panes shared the device, so their times are not compared."
    seen, runs = compare_times(base, other, "ttft_s"), min(base.repeats, other.repeats)
    if same_tokens(base, other):
        return f"{kept}: no difference in time that these runs can show."
    if seen is None:
        return f"{kept}. The times are not compared: their spread is unknown."
    if runs < ENOUGH:
        rests = "This is one run" if runs == 1 else f"These are {runs} runs"
        return f"{kept}. {rests}: too few to compare times, which differ from run to run."
    if not seen.shown:
        return (
            f"{kept}; no difference in time that these {runs} runs can show "
            f"({spread(seen)} to the first token)."
        )
    if seen.ratio > 1:
        return f"{kept} and gave its first token {seen.ratio:.1f}× sooner ({spread(seen)})."
    return f"{kept}, yet its first token took {1 / seen.ratio:.2f}× as long."


def _gained_nothing(base: PaneState, other: PaneState) -> bool:
    """Tell whether fewer tokens were read and no time was seen to be gained."""
    a, b = metrics_of(base, other)
    seen = compare_times(base, other, "ttft_s")
    fewer = (b["visual_tokens"] or 0) < (a["visual_tokens"] or 0)
    raced = a["contended"] or b["contended"]
    gained = seen is None or seen.runs < ENOUGH or (seen.shown and seen.ratio > 1)
    return fewer and not raced and not gained


def _origin(about: Mapping[str, Any]) -> str:
    when = str(about.get("date") or "an unknown day")[:16].replace("T", " ")
    place = about.get("device_name") or about.get("device") or "an unknown device"
    return f"A recorded run: {when}, {place}, model {about.get('model') or 'unknown'}."


def _why_no_verdict(views: Sequence[PaneState]) -> str:
    if any(view.phase == "failed" for view in views):
        return "No verdict: one side failed. Its pane says why."
    if views and all(view.phase == "done" for view in views):
        return "No verdict: a side ended without a word."
    if views and all(view.ended for view in views):
        return "No verdict: a side was stopped before its first token."
    return "The verdict stands here when both sides are done."


def _words(text: str) -> list[str]:
    return text.split()
