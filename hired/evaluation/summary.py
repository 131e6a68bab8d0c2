"""From a record to shares of right answers, with intervals. Knows no model."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hired.evaluation.lanes import split_title


@dataclass(frozen=True)
class Score:
    """One lane on one split.

    Attributes:
        split: "sparse" or "large".
        title: the lane's; `what` and `budget` are its parts.
        by_kind: kind of question -> (right, asked).
        visual_tokens: per poster, mean.
        posters: how many were asked about.
    """

    split: str
    title: str
    by_kind: dict[str, tuple[int, int]]
    visual_tokens: float
    posters: int

    @property
    def what(self) -> str:
        """The method with its settings."""
        return split_title(self.title)[0]

    @property
    def budget(self) -> float | int | None:
        """What was to be kept; None for all, and for a method's own count."""
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
    lanes: dict[tuple[str, str], dict[tuple[int, int], tuple[list[str], dict[str, Any]]]] = {}
    for one in rounds:
        for title, result in one["lanes"].items():
            posters = lanes.setdefault((one["split"], title), {})
            posters[one["seed"], one["poster"]] = (one["kinds"], result)
    return [_score(split, title, list(found.values())) for (split, title), found in lanes.items()]


def _score(split: str, title: str, found: Sequence[tuple[list[str], dict[str, Any]]]) -> Score:
    tally: dict[str, list[int]] = {}
    for kinds, result in found:
        for kind, right in zip(kinds, result["right"], strict=True):
            counts = tally.setdefault(kind, [0, 0])
            counts[0] += right == "1"
            counts[1] += 1
    tokens = sum(result["visual_tokens"] for _, result in found) / len(found)
    by_kind = {kind: (right, asked) for kind, (right, asked) in tally.items()}
    return Score(split, title, by_kind, tokens, len(found))
