"""Budgets as they are typed, and from a budget, shares and caps to exact integers.

Pure arithmetic, no tensors, no model.

Shares are turned into `Fraction`s, so equal shares tie exactly and no guard is needed inside.
"""

import math
import re
import reprlib
from collections.abc import Sequence
from fractions import Fraction
from numbers import Integral, Real
from typing import Any

from hired.errors import SettingError

LONGEST = 40  # characters of a budget as text
GUARD = 1e-9  # absorbs float error in rate * total: 0.29 * 100 is 28.999999999999996


def parse_budget(text: Any) -> float | int:
    """A budget as people write it: `20%` and `0.2` are rates, `640` is a count.

    `1` is one patch and `1.0` is everything; the distinction survives because it is text. A comma
    is a decimal one, so `1,000` is refused: some would mean a thousand. What is no budget
    although it is a number is left to `check_budget`.

    Raises:
        SettingError: it is no number.
    """
    words = str(text).strip()
    words = "too long" if len(words) > LONGEST else words
    if not re.search(r"[1-9]\d*,\d{3}\b", words):
        words = words.replace(",", ".")
    try:
        if words.endswith("%"):
            return float(words[:-1]) / 100
        return int(words) if re.fullmatch(r"[+-]?\d{1,9}", words, re.ASCII) else float(words)
    except ValueError:
        raise SettingError(
            f"A budget is a rate such as 0.2 or 20%, or a count such as 640; 1 is one token and "
            f"1.0 is everything. Got {reprlib.repr(text)}."
        ) from None


OWN = "its own"
"""The budget of a method that finds its count itself, in words."""


def show_budget(budget: float | int | None) -> str:
    """`20 %`, `640` or `OWN`: also what tells a rate of 1.0 from a count of 1, which are equal."""
    if budget is None:
        return OWN
    return str(budget) if isinstance(budget, int) else f"{budget * 100:.4g} %"


def check_budget(budget: float | int) -> float | int:
    """Check a budget: a rate (float in (0, 1]) or a count (int >= 1) of *kept* patches per image.

    Raises:
        SettingError: anything else, `True` and NaN included.
    """
    if not isinstance(budget, bool):
        if isinstance(budget, Integral) and budget >= 1:
            return int(budget)
        if isinstance(budget, Real) and not isinstance(budget, Integral) and 0 < budget <= 1:
            return float(budget)
    raise SettingError(
        f"A budget is a rate above 0 and up to 1.0 (0.2 keeps 20 %) or a whole number of tokens "
        f"from 1 up (576 keeps 576 per image); got {budget!r}."
    )


def floor_share(rate: float, total: int) -> int:
    """floor(rate · total), guarded against float error."""
    return math.floor(rate * total + GUARD)


def total_budget(budget: float | int, nominal: int, candidates: int) -> int:
    """B = floor(ρ·T·N), or the count itself: at least 1, at most every candidate.

    Differs from the release: budget it gives to letterbox patches is never lost here.
    """
    count = budget if isinstance(budget, int) else floor_share(budget, nominal)
    return min(max(count, 1), candidates)


def split_budget(
    total: int, alpha: float, scores: Sequence[float], caps: Sequence[int]
) -> list[int]:
    """Share `total` among the overview and the crops (HiRED, section 4.2).

    Args:
        total: B, at most `sum(caps)`.
        alpha: the overview's share α of B.
        scores: visual content score of each crop, T - 1 of them.
        caps: candidates of each tile, T of them, the overview first.

    Returns:
        T integers that sum to `total`, none above its cap. What the overview cannot take goes to
        the crops and the other way round.
    """
    overview = min(floor_share(alpha, total), caps[0])
    crops = min(total - overview, sum(caps[1:]))
    return [total - crops, *allocate(crops, scores, caps[1:])]


def allocate(total: int, scores: Sequence[float], caps: Sequence[int]) -> list[int]:
    """`total` in proportion to `scores`, exactly, none above its cap.

    Caps are filled on real-valued quotas (what reaches its cap is fixed there, the rest is
    shared again), then one largest-remainder rounding, ties to the earlier. If all open scores
    are zero, free candidates take their place. Scores that are not finite or negative count as 0.
    """
    assert 0 <= total <= sum(caps), "callers cut the total to the candidates"
    weights = [Fraction(s) if math.isfinite(s) and s > 0 else Fraction(0) for s in scores]
    quotas = [Fraction(0)] * len(caps)
    still_open = {index for index, cap in enumerate(caps) if cap > 0}
    rest = Fraction(total)
    while still_open:
        share = weights if any(weights[index] for index in still_open) else caps
        mass = sum(share[index] for index in still_open)
        for index in still_open:
            quotas[index] = rest * share[index] / mass
        full = {index for index in still_open if quotas[index] >= caps[index]}
        if not full:
            break
        for index in full:
            quotas[index] = Fraction(caps[index])
            rest -= caps[index]
        still_open -= full
    return _largest_remainder(total, quotas)


def _largest_remainder(total: int, quotas: list[Fraction]) -> list[int]:
    counts = [math.floor(quota) for quota in quotas]
    by_remainder = sorted(range(len(quotas)), key=lambda index: counts[index] - quotas[index])
    for index in by_remainder[: total - sum(counts)]:
        counts[index] += 1
    return counts
