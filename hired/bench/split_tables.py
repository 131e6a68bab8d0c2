"""Splits beside each other: right answers on each, and what of them is kept where tokens are not.

Measures nothing and knows no model.
"""

from collections.abc import Sequence

from hired.bench.accuracy_summary import Score
from hired.bench.accuracy_tables import FIRST, ORIGINAL, show_score
from hired.bench.plan import BASELINE
from hired.bench.tables import markdown
from hired.budget import show_budget
from hired.shapes.pictures import TESTED

PLACED = f"{FIRST}:{ORIGINAL}"
BLIND = ("random", "spatial")
PUBLISHED_SCORES = {
    "all": (80.3, 73.2, 64.8, 73.4, 501, 1519, 87.6, 54.8),
    "HiRED 40 %": (78.8, 73.8, 63.6, 68.7, 488, 1474, 88.2, 46.5),
    "HiRED 20 %": (77.5, 73.4, 61.4, 60.8, 475, 1483, 87.0, 42.0),
    "Spatial 40 %": (77.7, 68.0, 57.0, 58.9, 369, 1401, 87.2, 39.0),
    "PruMerge ~10 %": (75.6, 66.8, 53.5, 37.8, 336, 1393, 85.0, 28.8),
    "PruMerge+ ~55 %": (78.0, 68.2, 54.4, 44.6, 365, 1474, 87.9, 30.2),
}
"""Scores of LLaVA-NeXT-7B in the paper (arXiv 2408.10945), on these benchmarks:"""
BENCHMARKS = ("VQAv2", "SQA", "TextVQA", "DocVQA", "OCRBench", "MME", "POPE", "ChartQA")
READING = ("TextVQA", "DocVQA", "OCRBench", "ChartQA")
"""Those of them that ask for text in images."""


def split_table(scores: Sequence[Score]) -> str:
    """Splits down; across stock, HiRED at every budget, also with original positions where
    that was measured, and the blind methods at HiRED's second largest, or only, budget.
    """
    lanes = _columns(scores, 1)
    rows = []
    for split, mine in _by_split(scores).items():
        full = mine[BASELINE, None]
        cells = (show_score(mine.get(lane)) for lane in lanes)
        rows.append([TESTED[split].capitalize(), f"{full.asked:,}", show_score(full), *cells])
    return markdown(["Pictures", "Questions", f"`{BASELINE}`", *map(_name, lanes)], rows)


def kept_table(scores: Sequence[Score]) -> str:
    """Share of the full score that remains, in %, on every split and on the paper's benchmarks; of
    the blind methods at HiRED's largest budget.
    """
    lanes = _columns(scores, 0)
    rows = []
    for split, mine in _by_split(scores).items():
        full = mine[BASELINE, None].accuracy
        found = (mine.get(lane) for lane in lanes)
        cells = [f"{100 * one.accuracy / full:.0f}" if one and full else "" for one in found]
        rows.append([f"{TESTED[split].capitalize()}, here", *cells])
    for name in READING:
        at = BENCHMARKS.index(name)
        cells = []
        for what, budget in lanes:
            label = {FIRST: "HiRED", "spatial": "Spatial"}.get(what, what)
            told = PUBLISHED_SCORES.get(f"{label} {show_budget(budget)}")
            cells.append(f"{100 * told[at] / PUBLISHED_SCORES['all'][at]:.0f}" if told else "")
        rows.append([f"{name}, published", *cells])
    return markdown(["", *map(_name, lanes)], rows)


def published_scores() -> str:
    """The paper's scores."""
    rows = [[kept, *map(str, numbers)] for kept, numbers in PUBLISHED_SCORES.items()]
    return markdown(["Tokens kept", *BENCHMARKS], rows)


Column = tuple[str, float | int | None]
"""A method and its budget."""


def _by_split(scores: Sequence[Score]) -> dict[str, dict[Column, Score]]:
    """The lanes of every split, in the order of `TESTED`, of those that have the baseline."""
    found: dict[str, dict[Column, Score]] = {split: {} for split in TESTED}
    for score in scores:
        found[score.split][score.what, score.budget] = score
    return {split: mine for split, mine in found.items() if (BASELINE, None) in mine}


def _columns(scores: Sequence[Score], place: int) -> list[Column]:
    """The columns beside stock; the blind methods have the budget at this place of HiRED's, from
    the largest on, or the last.
    """
    found = {(s.what, s.budget) for s in scores}
    budgets = {s.budget for s in scores if s.what == FIRST and isinstance(s.budget, float)}
    mine = sorted(budgets, reverse=True)
    columns: list[Column] = [(FIRST, budget) for budget in mine]
    columns += [(PLACED, budget) for budget in mine if (PLACED, budget) in found]
    return columns + [(name, budget) for name in BLIND for budget in mine[: place + 1][-1:]]


def _name(lane: Column) -> str:
    return f"`{lane[0]}` {show_budget(lane[1])}"
