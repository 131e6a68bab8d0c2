"""What two panes differ in, as figures: counts and bytes that are exact, and what is measured.

`hired.comparison.evidence` says which measured difference may be claimed; a figure of the others
is what was measured.
"""

from collections.abc import Callable
from typing import Any

from hired.comparison.evidence import ENOUGH, SPEED_TOKENS, Contrast, contrast
from hired.metrics import seconds, size
from hired.web.views import View

SAME, UNKNOWN, NO_DIFFERENCE = "No change", "Unknown", "No difference"
Figure = tuple[str, str, bool]  # a figure, what it is of, is it worse?


def same_tokens(base: View, other: View) -> bool:
    """Do both sides read the very same tokens, so that no difference of time can be theirs?"""
    a, b = base.metrics or {}, other.metrics or {}
    count = a.get("visual_tokens")
    if count is None or count != b.get("visual_tokens"):
        return False
    return base.lane == other.lane or count == a.get("stock_tokens") == b.get("stock_tokens")


def compare_times(base: View, other: View, name: str) -> Contrast | None:
    """What the runs of both sides say of one measured quantity; None where nothing can be said."""
    if name == "tokens_per_s" and any(
        ((view.metrics or {}).get("new_tokens") or 0) < SPEED_TOKENS for view in (base, other)
    ):
        return None
    return contrast(base.measured(name), other.measured(name))


def counted(base: View, other: View) -> list[Figure]:
    """What is exact."""
    a, b = metrics_of(base, other)
    figures = [
        (_change(a["visual_tokens"], b["visual_tokens"], "fewer"), "visual tokens"),
        (_change(a["kv_cache_bytes"], b["kv_cache_bytes"], "less"), "KV cache"),
    ]
    return [(big, small, big.endswith("more")) for big, small in figures]


def measured(base: View, other: View) -> list[Figure]:
    """What differs from run to run, with its spread."""
    a, b = metrics_of(base, other)
    if a["contended"] or b["contended"]:
        return [("Raced", name, False) for name in ("to first token", "tokens/s", "peak memory")]
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
    base: View,
    other: View,
    name: str,
    title: str,
    show: Callable[[float], str],
    claim: Callable[[float], str],
) -> Figure:
    """One measured quantity: a claim where the runs show it, else what was measured."""
    a, b = metrics_of(base, other)
    if name == "tokens_per_s" and min(a["new_tokens"], b["new_tokens"]) < SPEED_TOKENS:
        return "–", f"{title}, from {SPEED_TOKENS} new tokens on", False
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


def metrics_of(base: View, other: View) -> tuple[dict[str, Any], dict[str, Any]]:
    """The numbers of both, which are there."""
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
    return f"{shown:.{digits}f}&#8239;% {down if ratio < 1 else 'more'}"
