"""Coverage on posters: how much of what the stock answer looked at a method keeps, and whether an
answer breaks where that is little.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hired.bench.tables import markdown
from hired.comparison.explain import Explanation, Word, explain
from hired.comparison.preview import Preview
from hired.encode import Vision
from hired.errors import at_least
from hired.selectors import Selection, Selector, candidate_mask
from hired.shapes.evaluate import answer_all, drawn_for, is_right
from hired.shapes.pictures import ask_about, render
from hired.shapes.questions import Question
from hired.shapes.scoring import content

RESAMPLES = 1000
TOGETHER = 8  # lanes answered at once
SHOWN = ("Right / broken, %", "AUC")
OVER = ("all words", "new words", "least of these")


@dataclass(frozen=True)
class Case:
    """One question that the stock model answers right, in one lane.

    Attributes:
        title: the lane's.
        poster: its number.
        kind: of the question.
        right: whether the lane's answer is right too.
        coverage: one for each of `OVER`: mean over the words of the stock answer, mean over those
            that scoring compares and the question does not hold, and the least of these.
    """

    title: str
    poster: int
    kind: str
    right: bool
    coverage: tuple[float, float, float]


@dataclass(frozen=True)
class Separation:
    """The area under the curve of coverage as a test for right answers.

    Attributes:
        value: probability that a right answer has more coverage than a broken one (AUC).
        low, high: its 95 % interval, by a bootstrap over posters.
    """

    value: float
    low: float
    high: float


def measure_coverage(
    model: Any,
    processor: Any,
    lanes: Mapping[str, Selector],
    posters: int,
    split: str = "sparse",
    seed: int = 0,
    tell: Callable[[int], None] = lambda more: None,
) -> list[Case]:
    """Ask every lane about validation posters what the stock model answers right.

    Args:
        model, processor: the embedded model or one like it; only read.
        lanes: title -> selector.
        posters: how many, one at least.
        split: one of `TESTED`.
        seed: of the posters.
        tell: called with 1 after each poster.

    Raises:
        SettingError: no posters.
    """
    at_least(1, posters=posters)
    eye = Preview(model, processor)
    cases: list[Case] = []
    for index in range(posters):
        scene, asked = ask_about(split, index, seed, stream="validation")
        image = render(scene)
        looks = [explain(model, processor, image, q.text, (), eye=eye) for q in asked]
        fine = [
            pair for pair in zip(asked, looks, strict=True) if is_right(pair[1].answer, pair[0])
        ]
        kept = {
            title: eye.select(image, drawn_for(selector, index))
            for title, selector in lanes.items()
        }
        if fine:
            cases += _ask_lanes(model, processor, index, eye.look(image), kept, fine)
        tell(1)
    return cases


def _ask_lanes(
    model: Any,
    processor: Any,
    index: int,
    vision: Vision,
    kept: Mapping[str, Selection],
    fine: Sequence[tuple[Question, Explanation]],
) -> Iterator[Case]:
    """Every lane's answers to the questions about one poster."""
    questions, titles = [question for question, _ in fine], list(kept)
    candidates = candidate_mask(vision.grid)
    for start in range(0, len(titles), TOGETHER):
        some = titles[start : start + TOGETHER]
        seen = [(vision, kept[title]) for title in some]
        replies = answer_all(model, processor, seen, [questions] * len(some))
        for title, answers in zip(some, replies, strict=True):
            mask = kept[title].mask & candidates
            for (question, look), reply in zip(fine, answers, strict=True):
                shares = _cover(look.words, question, mask)
                yield Case(title, index, question.kind, is_right(reply, question), shares)


def _cover(words: Sequence[Word], question: Question, mask: Tensor) -> tuple[float, float, float]:
    """Coverage in the order of `OVER`; over all words where none is new."""
    every = [word.coverage(mask) for word in words]
    known = set(content(question.text))
    new = [
        share for share, word in zip(every, words, strict=True) if set(content(word.text)) - known
    ] or every
    return float(np.mean(every)), float(np.mean(new)), min(new)


def separate(cases: Sequence[Case], over: int = 0, alike: bool = True) -> Separation | None:
    """Measure how well coverage tells right from broken; None where nothing can be compared.

    Args:
        cases: of one lane or several.
        over: which of `OVER`.
        alike: compare only answers to the same kind of question; kinds differ in both, how much
            of the image their words look at and how easily they break.
    """
    share = np.array([case.coverage[over] for case in cases])
    right = np.array([case.right for case in cases])
    _, group = np.unique([case.kind if alike else "" for case in cases], return_inverse=True)
    _, poster = np.unique([case.poster for case in cases], return_inverse=True)
    found = _pooled(share, right, group)
    if found is None:
        return None
    places = [np.flatnonzero(poster == one) for one in range(poster.max() + 1)]
    rng, draws = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([places[i] for i in rng.integers(len(places), size=len(places))])
        draws.append(_pooled(share[drawn], right[drawn], group[drawn]))
    low, high = np.quantile([one for one in draws if one is not None], (0.025, 0.975))
    return Separation(found, float(low), float(high))


def _pooled(
    values: NDArray[np.float64], positive: NDArray[np.bool_], group: NDArray[np.intp]
) -> float | None:
    """The area over all pairs inside the groups; None without a pair."""
    won = pairs = 0.0
    for one in np.unique(group):
        mine = group == one
        count = int(positive[mine].sum()) * int((~positive[mine]).sum())
        if count:
            won += count * rank_area(values[mine], positive[mine])
            pairs += count
    return won / pairs if pairs else None


def rank_area(values: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the probability that a positive is above a negative, ties half."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    ups, downs = positive.sum(), (~positive).sum()
    return float((ranks[positive].sum() - ups * (ups + 1) / 2) / (ups * downs))


def coverage_table(cases: Sequence[Case]) -> str:
    """Lanes down, then kinds of question; coverage of right and of broken answers in %, areas."""
    parts = [(f"`{title}`", [case for case in cases if case.title == title])
             for title in dict.fromkeys(case.title for case in cases)]  # fmt: skip
    parts.append(("all together", list(cases)))
    parts += [(f"all on {kind}", [case for case in cases if case.kind == kind])
              for kind in dict.fromkeys(case.kind for case in cases)]  # fmt: skip
    head = ["", "Right", "Broken", *(f"{what}, {over}" for over in OVER for what in SHOWN)]
    head.append(f"AUC over all kinds, {OVER[1]}")
    return markdown(head, [[name, *_row(mine)] for name, mine in parts])


def _row(cases: Sequence[Case]) -> list[str]:
    groups = [[case for case in cases if case.right is right] for right in (True, False)]
    cells = [str(len(group)) for group in groups]
    for over in range(len(OVER)):
        cells += [" / ".join(_mean(group, over) for group in groups), _show(separate(cases, over))]
    return [*cells, _show(separate(cases, 1, alike=False))]


def _mean(cases: Sequence[Case], over: int) -> str:
    return f"{100 * np.mean([case.coverage[over] for case in cases]):.0f}" if cases else "–"


def _show(found: Separation | None) -> str:
    return f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f})" if found else ""
