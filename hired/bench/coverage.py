"""Coverage on posters: how much of what the stock answer looked at a method keeps, and whether an
answer breaks where that is little. Measured by `python -m hired eval --coverage`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hired.bench.accuracy_plan import split_title
from hired.bench.accuracy_summary import Place
from hired.bench.plan import BASELINE
from hired.bench.tables import markdown, show_kept
from hired.comparison.explain import Word, explain
from hired.comparison.preview import Preview
from hired.errors import InputError
from hired.shapes.evaluate import new_tokens
from hired.shapes.questions import Question
from hired.shapes.scoring import content

Floats = NDArray[np.float64]
RESAMPLES = 1000
SHOWN = ("Right / broken, %", "AUC")
OVER = ("all words", "new words", "least of these")


@dataclass(frozen=True)
class Case:
    """One question that the stock model answers right, in one lane.

    Attributes:
        title: the lane's.
        poster: its seed and number.
        kind: of the question.
        right: whether the lane's answer is right too.
        coverage: one for each of `OVER`: mean over the words of the stock answer, mean over those
            that scoring compares and the question does not hold, and the least of these.
    """

    title: str
    poster: Place
    kind: str
    right: bool
    coverage: tuple[float, ...]


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


def stock_words(
    model: Any, processor: Any, eye: Preview, image: Image.Image, question: Question
) -> tuple[Word, ...]:
    """The words of the stock model's answer with where it looked; none where it says nothing."""
    try:
        longest = new_tokens(question)
        return explain(
            model, processor, image, question.text, (), max_new_tokens=longest, eye=eye
        ).words
    except InputError:
        return ()


def cover(words: Sequence[Word], question: Question, mask: Tensor) -> list[float] | None:
    """Measure how much of a stock answer's attention is on kept patches, in the order of `OVER`.

    Args:
        words: of the stock answer; without any there is no coverage.
        question: whose answer it is; where no word of it is new, all count as such.
        mask: bool (T, N), the candidates that are kept.
    """
    if not words:
        return None
    every = [word.coverage(mask) for word in words]
    known = set(content(question.text))
    new = [
        share for share, word in zip(every, words, strict=True) if set(content(word.text)) - known
    ] or every
    return [round(float(one), 4) for one in (np.mean(every), np.mean(new), min(new))]


def cases_in(rounds: Iterable[dict[str, Any]], split: str) -> list[Case]:
    """The cases of the recorded lanes that drop something; none where coverage was not measured.

    A lane that was measured twice counts once, the later time.
    """
    kinds, lanes = dict[Place, list[str]](), dict[Place, dict[str, dict[str, Any]]]()
    for one in rounds:
        if one["split"] == split:
            place = split, one["seed"], one["poster"]
            kinds[place] = one["kinds"]
            lanes.setdefault(place, {}).update(one["lanes"])
    return [
        Case(title, place, kind, mark == "1", tuple(shares))
        for place, results in lanes.items()
        for title, result in results.items()
        if title != BASELINE and "coverage" in result
        for kind, mark, stock, shares in zip(
            kinds[place], result["right"], results[BASELINE]["right"], result["coverage"],
            strict=True,
        )
        if stock == "1" and shares is not None
    ]  # fmt: skip


def separate(cases: Sequence[Case], over: int = 0) -> Separation | None:
    """Measure how well coverage tells right from broken; None where nothing can be compared.

    Only answers to the same kind of question are compared: kinds differ in both, how much of the
    image their words look at and how easily they break.

    Args:
        cases: of one lane or several.
        over: which of `OVER`.
    """
    posters = list(dict.fromkeys(case.poster for case in cases))
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.kind, []).append(case)
    draws = np.random.default_rng(0).multinomial(
        len(posters), [1 / len(posters)] * len(posters), size=RESAMPLES
    )
    counts = np.concatenate([np.ones((1, len(posters))), draws])  # first as it is
    won, pairs = np.zeros(len(counts)), np.zeros(len(counts))
    for group in groups.values():
        more = _count_pairs(group, over, posters, counts)
        won, pairs = won + more[0], pairs + more[1]
    if not pairs[0]:
        return None
    areas = won[pairs > 0] / pairs[pairs > 0]
    low, high = np.quantile(areas[1:], (0.025, 0.975))
    return Separation(float(areas[0]), float(low), float(high))


def _count_pairs(
    cases: Sequence[Case], over: int, posters: Sequence[Place], counts: Floats
) -> tuple[Floats, Floats]:
    """Pairs of a right and a broken answer: those with more coverage in the right one, ties half,
    and all of them, for each row of `counts`, how often a poster counts (R, posters).
    """
    _, level = np.unique([case.coverage[over] for case in cases], return_inverse=True)
    found = np.zeros((2, len(posters), level.max() + 1))
    where = {place: number for number, place in enumerate(posters)}
    for case, at in zip(cases, level, strict=True):
        found[int(case.right), where[case.poster], at] += 1
    broken, right = counts @ found[0], counts @ found[1]  # (R, levels)
    below = broken.cumsum(1) - broken / 2
    return (right * below).sum(1), right.sum(1) * broken.sum(1)


def coverage_table(cases: Sequence[Case]) -> str:
    """Lanes down; coverage of right and of broken answers in %, and areas, across."""
    titles = dict.fromkeys(case.title for case in cases)
    return _table(
        {_name(title): [case for case in cases if case.title == title] for title in titles}
    )


def kinds_table(cases: Sequence[Case]) -> str:
    """Kinds of question down, all lanes together; the same across."""
    kinds = dict.fromkeys(case.kind for case in cases)
    parts = {kind: [case for case in cases if case.kind == kind] for kind in kinds}
    return _table(parts | {"all": list(cases)})


def _table(parts: Mapping[str, Sequence[Case]]) -> str:
    head = ["", "Right", "Broken", *(f"{what}, {over}" for over in OVER for what in SHOWN)]
    return markdown(head, [[name, *_row(mine)] for name, mine in parts.items()])


def _name(title: str) -> str:
    what, budget = split_title(title)
    return f"`{what}` {show_kept(budget, what)}"


def _row(cases: Sequence[Case]) -> list[str]:
    groups = [[case for case in cases if case.right is right] for right in (True, False)]
    cells = [str(len(group)) for group in groups]
    for over in range(len(OVER)):
        cells += [" / ".join(_mean(group, over) for group in groups), _show(separate(cases, over))]
    return cells


def _mean(cases: Sequence[Case], over: int) -> str:
    return f"{100 * np.mean([case.coverage[over] for case in cases]):.0f}" if cases else "–"


def _show(found: Separation | None) -> str:
    return f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f})" if found else ""
