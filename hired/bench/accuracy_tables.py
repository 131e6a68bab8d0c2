"""A record of `eval` as Markdown. Measures nothing and knows no model."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from hired.bench.accuracy_plan import EVEN
from hired.bench.accuracy_summary import Place, Score, compare, summarise
from hired.bench.coverage import cases_in, coverage_table, kinds_table
from hired.bench.plan import BASELINE, METHODS
from hired.bench.results import rounds_in
from hired.bench.tables import describe_sessions, markdown, show_kept
from hired.budget import OWN, show_budget
from hired.selectors import SELECTORS
from hired.shapes.pictures import TESTED, picture_for
from hired.shapes.scenes import grid_of

FIRST = "hired"
ORIGINAL = "positions=original"
ALL = show_budget(1.0)
PARTS = {
    "init_layer": "crops' shares by layer {}",
    "final_layer": "patches by layer {}",
    "alpha": "overview's share {}",
    "heads": "heads: {}",
    "fuse": "with EViT's fused token",
    "exact": "release's shares, same exact count",
    "newline": "newline tokens: {}",
    "positions": "positions: {}",
}
CHANGED = {
    "hired": "as the paper has it",
    "fastervlm": "every tile the same share (FasterVLM)",
    EVEN: "crops share alike, overview keeps its half",
}
COVERAGE = (
    "Coverage: the share of the stock answer's attention on the image that lies on what a method "
    "keeps, mean over the answers that it gives right / that break; stock has all of these right. "
    "AUC: the probability that a right answer has more coverage than a broken one to the same kind "
    "of question, with the 95 % interval of a bootstrap over posters."
)


def make_report(lines: Sequence[dict[str, Any]]) -> str:
    """The report: hardware, accuracy by budget, ablations, kinds of question, notes."""
    scores = summarise(rounds_in(lines))
    parts = [describe_sessions(lines)]
    splits = list(dict.fromkeys(score.split for score in scores))
    for split in splits:
        mine = [score for score in scores if score.split == split]
        parts.append(f"### Accuracy on {TESTED[split]}, %\n\n{accuracy_table(mine)}")
        if len({score.what for score in mine if not is_ablation(score.what)} - {BASELINE}) > 1:
            parts.append(f"### Against HiRED on {TESTED[split]}, points\n\n{rival_table(mine)}")
        if any(_is_placed(score.what) for score in mine):
            parts.append(f"### Original position IDs, {TESTED[split]}, %\n\n{placed_table(mine)}")
        if {BASELINE, FIRST} <= {score.what for score in mine}:
            parts.append(f"### By partitions, {TESTED[split]}, %\n\n{partition_table(mine)}")
    if any(is_ablation(score.what) for score in scores):
        parts.append(f"### HiRED with one part changed, %\n\n{ablation_table(scores)}")
    for split in splits:
        mine = [score for score in scores if score.split == split]
        parts.append(f"### By kind of question, {TESTED[split]}, %\n\n{kind_table(mine)}")
        if cases := cases_in(rounds_in(lines), split):
            parts.append(f"### Coverage on {TESTED[split]}\n\n{coverage_table(cases)}")
            parts += [f"By kind of question:\n\n{kinds_table(cases)}", COVERAGE]
    return "\n\n".join([*parts, _notes(scores)]) + "\n"


def is_ablation(what: str) -> bool:
    """Tell whether it is HiRED with one part changed, and not a method of its own."""
    return what == EVEN or (what.partition(":")[0] in ("hired", "hired-release") and ":" in what)


def _is_placed(what: str) -> bool:
    """Tell whether it is a method whose tokens keep the position IDs of the stock sequence."""
    return what.partition(":")[2] == ORIGINAL


def side_by_side(scores: Sequence[Score]) -> list[Score]:
    """The scores of methods of their own, with packed tokens."""
    return [s for s in scores if not (is_ablation(s.what) or _is_placed(s.what))]


def accuracy_table(scores: Sequence[Score]) -> str:
    """Methods down, budgets across; of a method that finds its count itself, that count."""
    shown = side_by_side(scores)
    columns = _columns([1.0, *(s.budget for s in shown if s.budget is not None)])
    own = any(score.budget is None and score.what != BASELINE for score in shown)
    rows = []
    for what in sorted(dict.fromkeys(score.what for score in shown), key=rank_of):
        cells = {show_kept(s.budget, what): show_score(s) for s in shown if s.what == what}
        found = next(score for score in shown if score.what == what)
        if what == BASELINE:
            cells = {ALL: cells["all"]}
        elif OWN not in cells and SELECTORS[what.partition(":")[0]].fixed_count:
            cells[ALL] = "as `full`"
        row = [f"`{what}`", *(cells.get(column, "") for column in columns)]
        if own:
            row.append(f"{cells[OWN]}, {found.visual_tokens:.0f} tokens" if OWN in cells else "")
        rows.append(row)
    return markdown(["Method", *columns, *(["Its own count"] if own else [])], rows)


def rival_table(scores: Sequence[Score]) -> str:
    """Points each method is ahead of HiRED at the same budget, on the same posters."""
    shown = [score for score in side_by_side(scores) if score.budget is not None]
    mine = {show_budget(score.budget): score for score in shown if score.what == FIRST}
    columns = _columns([s.budget for s in mine.values() if s.budget is not None])
    rows = []
    for what in sorted(dict.fromkeys(s.what for s in shown if s.what != FIRST), key=rank_of):
        theirs = {show_budget(score.budget): score for score in shown if score.what == what}
        cells = {kept: _ahead(score, mine.get(kept)) for kept, score in theirs.items()}
        rows.append([f"`{what}`", *(cells.get(column, "") for column in columns)])
    return markdown(["Method", *columns], rows)


def placed_table(scores: Sequence[Score]) -> str:
    """Methods down; at every budget their accuracy with packed tokens and with original position
    IDs, and the points gained by these.
    """
    found = {(score.what, show_budget(score.budget)): score for score in scores}
    placed = [score for score in scores if _is_placed(score.what)]
    columns = _columns([score.budget for score in placed if score.budget is not None])
    rows = []
    for what in sorted(dict.fromkeys(score.what for score in placed), key=rank_of):
        name = what.partition(":")[0]
        row = [f"`{name}`"]
        for kept in columns:
            packed, original = found.get((name, kept)), found.get((what, kept))
            row += [f"{100 * one.accuracy:.1f}" if one else "" for one in (packed, original)]
            row.append(_ahead(original, packed) if original else "")
        rows.append(row)
    heads = (f"{kept}, {of}" for kept in columns for of in ("packed", "original", "gained"))
    return markdown(["Method", *heads], rows)


def partition_table(scores: Sequence[Score]) -> str:
    """Accuracy of stock and HiRED by how many partitions an image has, the overview included."""
    shown = [score for score in scores if score.what in (BASELINE, FIRST)]
    shown.sort(key=lambda score: (score.what != BASELINE, *_rank(score.budget)))
    split = shown[0].split
    posters = {place: 1 + math.prod(_grid(place)) for place in shown[0].by_poster}
    rows = []
    for count in sorted(set(posters.values())):
        row = [str(count), str(sum(each == count for each in posters.values()))]
        for score in shown:
            pairs = [pair for place, pair in score.by_poster.items() if posters.get(place) == count]
            right, asked = (sum(column) for column in zip(*pairs or [(0, 0)], strict=True))
            row.append(f"{100 * right / asked:.1f}" if asked else "")
        rows.append(row)
    names = [
        f"`{s.what}`" + ("" if s.budget is None else f" {show_budget(s.budget)}") for s in shown
    ]
    return markdown(["Partitions", TESTED[split].split()[-1].capitalize(), *names], rows)


def _grid(place: Place) -> tuple[int, int]:
    """Rows and columns of crops of a test picture."""
    picture = picture_for("test", *place)
    return grid_of(picture.width, picture.height)


def ablation_table(scores: Sequence[Score]) -> str:
    """HiRED's forms down; accuracy, points ahead of HiRED and kinds of question across."""
    columns = {show_budget(score.budget) for score in scores if is_ablation(score.what)}
    places = dict.fromkeys(
        (s.split, show_budget(s.budget)) for s in scores if show_budget(s.budget) in columns
    )
    tables = []
    for split, kept in places:
        mine = {s.what: s for s in scores if (s.split, show_budget(s.budget)) == (split, kept)}
        kinds = list(dict.fromkeys(kind for score in mine.values() for kind in score.by_kind))
        names = [FIRST, "fastervlm", *filter(is_ablation, mine)]
        rows = [
            [
                f"`{what}`",
                explain(what),
                show_score(mine[what]),
                "" if what == FIRST else _ahead(mine[what], mine.get(FIRST)),
                *_kinds(mine[what], kinds),
            ]
            for what in names
            if what in mine
        ]
        where = f"{split}, {kept}" if split else kept
        head = ["Form", "What is changed", where, "Against `hired`", *kinds]
        tables.append(markdown(head, rows))
    return "\n\n".join(tables)


def explain(what: str) -> str:
    """A form of HiRED in words."""
    if what in CHANGED:
        return CHANGED[what]
    parts = (part.partition("=") for part in what.partition(":")[2].split(","))
    return "; ".join(PARTS.get(name, f"{name} {{}}").format(value) for name, _, value in parts)


def kind_table(scores: Sequence[Score]) -> str:
    """Every lane down, kinds of question across."""
    kinds = list(dict.fromkeys(kind for score in scores for kind in score.by_kind))
    rows = []
    for score in sorted(scores, key=lambda s: (rank_of(s.what), _rank(s.budget))):
        if is_ablation(score.what):
            continue
        rows.append([f"`{score.what}`", show_kept(score.budget, score.what), *_kinds(score, kinds)])
    counts = scores[0].by_kind
    head = [f"{kind} ({counts[kind][1]})" if kind in counts else kind for kind in kinds]
    return markdown(["Method", "Kept", *head], rows)


def _notes(scores: Sequence[Score]) -> str:
    counts = []
    for split in dict.fromkeys(score.split for score in scores):
        mine = [score for score in scores if score.split == split]
        most = max(mine, key=lambda score: score.posters)
        counts.append(f"{most.asked} questions about {most.posters} {TESTED[split]}")
        fewer = {f"`{s.title}` {s.posters}" for s in mine if s.posters < most.posters}
        if fewer:
            counts[-1] += f" (fewer posters: {', '.join(sorted(fewer))})"
    return (
        f"{' and '.join(counts)}, exact match on the words that carry the answer. In brackets: "
        f"Wilson's 95 % interval of an accuracy; of points ahead the 95 % interval of a bootstrap "
        f"over the posters that both answered, bold where it leaves zero out. `full` is the stock "
        f"model; at 100 % every method with an exact count is the same to the bit. All methods "
        f"read the same tower pass of each poster."
    )


def _kinds(score: Score, kinds: Sequence[str]) -> list[str]:
    shares = (score.by_kind.get(kind, (0, 0)) for kind in kinds)
    return [f"{100 * right / asked:.0f}" if asked else "" for right, asked in shares]


def _ahead(score: Score, other: Score | None) -> str:
    """Points ahead of `other`, with their interval."""
    found = other and compare(score, other)
    if not found:
        return ""
    value, low, high = (f"{100 * x:+.1f}" for x in (found.value, found.low, found.high))
    return f"**{value}** ({low} to {high})" if found.clear else f"{value} ({low} to {high})"


def show_score(score: Score | None) -> str:
    """An accuracy in % with its interval; nothing for no score."""
    if score is None:
        return ""
    low, high = score.interval
    return f"{100 * score.accuracy:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def _columns(budgets: Iterable[float | int]) -> list[str]:
    """Heads of the columns. Not the budgets: a count of 1 and a rate of 1.0 are equal."""
    return list(dict.fromkeys(show_budget(budget) for budget in sorted(budgets, key=_rank)))


def _rank(budget: float | int | None) -> tuple[bool, float]:
    """Counts after rates, none last."""
    return (isinstance(budget, int), float("inf") if budget is None else budget)


def rank_of(what: str) -> tuple[int, str]:
    """Place of a method with its settings: in the order of the register, the baseline first."""
    order = [BASELINE, *METHODS]
    name = what.partition(":")[0]
    return (order.index(name) if name in order else len(order), what)
