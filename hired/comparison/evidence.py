"""The measured difference that two lanes may claim: samples in, a ratio with its spread out.

Two ranges of five samples from one source lie apart in 2 of 252 orders (0.8 %), so of three
quantities at least one does so in at most 2.4 % of comparisons. Fewer samples lie apart by chance
too often, and single runs of equal lanes have been nine times apart on a busy machine: they show no
difference, however large. Counts and bytes of the KV cache are exact and need none of this.
`python -m hired identical` tries the rule on lanes that are the same.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

ENOUGH = 5  # samples of a lane from which ranges that lie apart show a difference
WORTH = 1.05  # ratios nearer to one are no difference that can be felt
SPEED_TOKENS = 16  # new tokens from which their number per second means something


@dataclass(frozen=True)
class Contrast:
    """One measured quantity of two lanes.

    Attributes:
        ratio: the first lane's median over the second's.
        low, high: the least and the greatest ratio that the samples allow.
        runs: samples of the lane that has fewer.
    """

    ratio: float
    low: float
    high: float
    runs: int

    @property
    def shown(self) -> bool:
        """Tell whether these runs show a difference."""
        apart = self.low > 1 or self.high < 1
        return self.runs >= ENOUGH and apart and not 1 / WORTH < self.ratio < WORTH


def contrast(base: Sequence[float | None], other: Sequence[float | None]) -> Contrast | None:
    """Compare two lanes' samples of one quantity; None where one has none above zero."""
    sides = [[value for value in side if value and value > 0] for side in (base, other)]
    if not all(sides):
        return None
    a, b = sides
    ratio = statistics.median(a) / statistics.median(b)
    return Contrast(ratio, min(a) / max(b), max(a) / min(b), min(len(a), len(b)))


def tokens_per_s(new_tokens: int, value: float | None) -> float | None:
    """A speed of writing, or None where too few tokens were written to tell one."""
    return value if new_tokens >= SPEED_TOKENS else None
