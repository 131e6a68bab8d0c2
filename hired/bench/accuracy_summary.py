"""From a record to shares of right answers, with intervals. Knows no model."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hired.bench.accuracy_plan import split_title

RESAMPLES = 4000
Place = tuple[str, int, int]
"""Split, seed and number of a poster."""


@dataclass(frozen=True)
class Score:
    """One lane on one split.

    Attributes:
        split: one of `TESTED`; empty for several of them together.
        title: the lane's; `what` and `budget` are its parts.
        by_kind: kind of question -> (right, asked).
        visual_tokens: per poster, mean.
        by_poster: poster -> (right, asked).
    """

    split: str
    title: str
    by_kind: dict[str, tuple[int, int]]
    visual_tokens: float
    by_poster: dict[Place, tuple[int, int]]

    @property
    def posters(self) -> int:
        """Number of posters asked about."""
        return len(self.by_poster)

    @property
    def what(self) -> str:
        """The method with its settings."""
        return split_title(self.title)[0]

    @property
    def budget(self) -> float | int | None:
        """The budget asked for; None for all, and for a method's own count."""
        return split_title(self.title)[1]

    @property
    def right(self) -> int:
        """Right answers."""
        return sum(right for right, _ in self.by_kind.values())

    @property
    def asked(self) -> int:
        """Questions."""
        return sum(asked for _, asked in self.by_kind.values())

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return self.right / self.asked

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of `accuracy`."""
        return wilson(self.right, self.asked)


@dataclass(frozen=True)
class Difference:
    """One lane's accuracy less another's on the posters that both answered, in shares of 1.

    `low` to `high` is the 95 % interval of a bootstrap over posters: questions about one poster
    hang together, and both lanes were asked the same ones (Efron & Tibshirani 1993, ch. 13).
    """

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """The interval leaves zero out."""
        return self.low > 0 or self.high < 0


def compare(one: Score, other: Score) -> Difference | None:
    """The difference between `one` and `other`; None where they share no poster."""
    shared = sorted(one.by_poster.keys() & other.by_poster.keys())
    if not shared:
        return None
    asked = np.array([one.by_poster[place][1] for place in shared])
    ahead = np.array([one.by_poster[p][0] - other.by_poster[p][0] for p in shared])
    draws = np.random.default_rng(0).integers(len(shared), size=(RESAMPLES, len(shared)))
    low, high = np.quantile(ahead[draws].sum(1) / asked[draws].sum(1), (0.025, 0.975))
    return Difference(float(ahead.sum() / asked.sum()), float(low), float(high))


def wilson(right: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a share."""
    if total == 0:
        return 0.0, 1.0
    z, share = 1.96, right / total
    middle = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def summarise(rounds: Iterable[dict[str, Any]]) -> list[Score]:
    """One score per split and lane, in the order they were measured in.

    A poster that was asked twice counts once, the later time.
    """
    lanes: dict[tuple[str, str], dict[Place, tuple[list[str], dict[str, Any]]]] = {}
    for one in rounds:
        for title, result in one["lanes"].items():
            posters = lanes.setdefault((one["split"], title), {})
            posters[one["split"], one["seed"], one["poster"]] = (one["kinds"], result)
    return [_score(split, title, found) for (split, title), found in lanes.items()]


def pool(scores: Iterable[Score]) -> list[Score]:
    """One score per lane over all splits that are given; its split is empty."""
    lanes: dict[str, list[Score]] = {}
    for score in scores:
        lanes.setdefault(score.title, []).append(score)
    return [_pool(title, mine) for title, mine in lanes.items()]


def _pool(title: str, scores: Sequence[Score]) -> Score:
    by_kind: dict[str, tuple[int, int]] = {}
    by_poster: dict[Place, tuple[int, int]] = {}
    for score in scores:
        by_poster |= score.by_poster
        for kind, (right, asked) in score.by_kind.items():
            before = by_kind.get(kind, (0, 0))
            by_kind[kind] = before[0] + right, before[1] + asked
    tokens = sum(score.visual_tokens * score.posters for score in scores) / len(by_poster)
    return Score("", title, by_kind, tokens, by_poster)


def _score(split: str, title: str, found: dict[Place, tuple[list[str], dict[str, Any]]]) -> Score:
    tally: dict[str, list[int]] = {}
    for kinds, result in found.values():
        for kind, right in zip(kinds, result["right"], strict=True):
            counts = tally.setdefault(kind, [0, 0])
            counts[0] += right == "1"
            counts[1] += 1
    tokens = sum(result["visual_tokens"] for _, result in found.values()) / len(found)
    by_kind = {kind: (right, asked) for kind, (right, asked) in tally.items()}
    by_poster = {
        place: (result["right"].count("1"), len(kinds)) for place, (kinds, result) in found.items()
    }
    return Score(split, title, by_kind, tokens, by_poster)
