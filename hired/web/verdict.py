"""What one pane bought against another, in figures and words: views in, HTML out."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from hired.web.panes import esc
from hired.web.views import View

FASTER, SLOWER = 1.05, 0.95  # ratios between which two times count as equal
SAME, UNKNOWN = "No change", "Unknown"


def verdict(views: Sequence[View], about: Mapping[str, Any] | None = None) -> str:
    """What the second pane bought against the first, in figures and in a sentence.

    `about` says where and when a run was made that is shown again.
    """
    origin = f'<p class="origin">{esc(_origin(about))}</p>' if about else ""
    if len(views) < 2 or not (views[0].metrics and views[1].metrics):
        return (
            '<section class="verdict empty" aria-label="Verdict"><p>'
            f"{esc(_why_no_verdict(views))}</p>{origin}</section>"
        )
    base, other = views[0], views[1]
    same = _words(base.text) == _words(other.text)
    whole = base.phase == other.phase == "done"
    cells = "".join(
        f"<div{' class=worse' if worse else ''}><dd>{big}</dd><dt>{small}</dt></div>"
        for big, small, worse in [*_figures(base, other), _answers(same, whole)]
    )
    change = (
        ""
        if same or not whole
        else f'<p class="diff" tabindex="0">{word_diff(base.text, other.text)}</p>'
    )
    return (
        f'<section class="verdict" aria-label="Verdict"><dl>{cells}</dl>'
        f"<p>{esc(sentence(base, other))}{_pointer(base, other)}</p>{change}{origin}</section>"
    )


def _figures(base: View, other: View) -> list[tuple[str, str, bool]]:
    """(figure, what it is of, is it worse?) of everything that is measured."""
    a, b = base.metrics, other.metrics
    assert a is not None and b is not None
    raced = a["contended"] or b["contended"]
    roughly = "≈ " if a["peak_is_approximate"] or b["peak_is_approximate"] else ""
    speeds = (a["tokens_per_s"], b["tokens_per_s"])
    spans = [1 / speed if speed else 0.0 for speed in speeds]
    peak = _change(a["peak_bytes"], b["peak_bytes"], "less")
    figures = [
        ("Raced" if raced else _times(a["ttft_s"], b["ttft_s"]), "to first token"),
        ("Raced" if raced else _times(*spans) if all(spans) else "–", "tokens/s"),
        (_change(a["visual_tokens"], b["visual_tokens"], "fewer"), "visual tokens"),
        (_change(a["kv_cache_bytes"], b["kv_cache_bytes"], "less"), "KV cache"),
        ("Raced" if raced else peak if peak in (SAME, UNKNOWN) else roughly + peak, "peak memory"),
    ]
    return [(big, small, big.endswith(("slower", "more"))) for big, small in figures]


def _answers(same: bool, whole: bool) -> tuple[str, str, bool]:
    if not whole:
        return "Not comparable", "one stopped", False
    return ("Same answer", "word for word", False) if same else ("Differs", "see below", False)


def sentence(base: View, other: View) -> str:
    """The verdict in words; says plainly when the second pane is not faster."""
    a, b = base.metrics, other.metrics
    assert a is not None and b is not None
    kept = f"{other.title} read an unknown number of visual tokens"
    if a["visual_tokens"] is not None and b["visual_tokens"] is not None:
        kept = f"{other.title} read {b['visual_tokens']:,} visual tokens instead of "
        kept += f"{a['visual_tokens']:,}"
    if a["contended"] or b["contended"]:
        return f"{kept}. The panes raced each other, so their times are shared and not compared."
    ratio = _ratio(base, other)
    if ratio >= FASTER:
        words = f"{kept} and gave its first token {ratio:.1f}× sooner."
    elif ratio > SLOWER:
        words = f"{kept}, yet both were equally fast to the first token."
    else:
        words = f"{kept}, yet it was not faster: its first token took {1 / ratio:.2f}× as long."
    if other.repeats > 1:
        words += f" Medians of {other.repeats} runs."
    elif _words(base.text):
        words += " One run; choose repeats for a median."
    return words


def _pointer(base: View, other: View) -> str:
    """Where to look when nothing was gained here."""
    a, b = base.metrics, other.metrics
    assert a is not None and b is not None
    fewer = (b["visual_tokens"] or 0) < (a["visual_tokens"] or 0)
    raced = a["contended"] or b["contended"]
    if raced or not fewer or _ratio(base, other) >= FASTER:
        return ""
    return (
        " Fewer tokens pay where reading them takes most of the wait: "
        '<button type="button" class="to-benchmarks">what was recorded at 7B shape</button>.'
    )


def _origin(about: Mapping[str, Any]) -> str:
    when = str(about.get("date") or "an unknown day")[:16].replace("T", " ")
    place = about.get("device_name") or about.get("device") or "an unknown device"
    return f"A recorded run: {when}, {place}, model {about.get('model') or 'unknown'}."


def _ratio(base: View, other: View) -> float:
    """Time to first token of the first over that of the second."""
    assert base.metrics is not None and other.metrics is not None
    return _over(base.metrics["ttft_s"], other.metrics["ttft_s"])


def _over(base: float, other: float) -> float:
    """Their ratio; 1 where an imported file claims that something took no time."""
    return base / other if base and other else 1.0


def _why_no_verdict(views: Sequence[View]) -> str:
    if any(view.phase == "failed" for view in views):
        return "No verdict: one side failed. Its pane says why."
    if views and all(view.phase == "done" for view in views):
        return "No verdict: a side ended without a word."
    if views and all(view.ended for view in views):
        return "No verdict: a side was stopped before its first token."
    return "The verdict stands here when both sides are done."


def _times(base: float, other: float) -> str:
    ratio = _over(base, other)
    if ratio >= FASTER:
        return f"{ratio:.1f}× faster"
    return f"{1 / ratio:.2f}× slower" if ratio <= SLOWER else "As fast"


def _change(base: int | None, other: int | None, down: str) -> str:
    """`81 % fewer`; never rounded up to all of it."""
    if base is None or other is None:
        return UNKNOWN
    if base == other:
        return SAME
    if not base:
        return UNKNOWN
    percent = abs(1 - other / base) * 100
    digits = 1 if percent < 1 or 99 <= percent < 100 else 0
    shown = min(percent, 99.9) if percent < 100 else percent
    return f"{shown:.{digits}f}&#8239;% {down if other < base else 'more'}"


def _words(text: str) -> list[str]:
    return text.split()


def word_diff(before: str, after: str) -> str:
    """Words only in the first text struck out, words only in the second underlined."""
    old, new = _words(before), _words(after)
    parts = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, i, j, k, m in matcher.get_opcodes():
        if kind == "equal":
            parts.append(esc(" ".join(old[i:j])))
            continue
        if j > i:
            parts.append(f"<del>{esc(' '.join(old[i:j]))}</del>")
        if m > k:
            parts.append(f"<ins>{esc(' '.join(new[k:m]))}</ins>")
    return " ".join(parts)
