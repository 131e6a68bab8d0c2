"""Panes and timeline as HTML."""

import difflib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from hired.comparison.evidence import SPEED_TOKENS, tokens_per_s
from hired.metrics import seconds, size
from hired.models.allowed import KNOWS
from hired.phases import DECODE, PHASES, PREFILL, WAITING
from hired.web.markup import Markup, fill
from hired.web.pane_state import Case, PaneState

STATES = {
    "idle": "ready",
    "queued": "in the queue",
    WAITING: "waits its turn",
    **{phase.name: phase.state for phase in PHASES},
    "done": "done",
    "stopped": "stopped",
    "failed": "failed",
}
BUSY = tuple(phase.name for phase in PHASES)
HINTS = {
    "idle": "The answer appears here, word by word.",
    "queued": "Waiting for the device: it runs one comparison at a time.",
    WAITING: "The panes run one after the other, so that each has the machine to itself.",
    **{phase.name: phase.story for phase in PHASES},
    "stopped": "Stopped before the first word.",
}
NOTHING_SAID = "The model had nothing to say."
FOREIGN = f"This small model only knows {KNOWS}. The kept tokens are real, the answer is not."


def pane(
    view: PaneState, index: int, case: Case | None = None, others: Sequence[PaneState] = ()
) -> str:
    """Pane as HTML: method, phase, answer, numbers; the same height at every phase.

    A known answer marks it right or wrong, unless the model knows nothing of such pictures.
    Words that differ from the answers of `others` are marked once all have ended.
    """
    case = case or Case()
    state, mark = _state(view, case)
    hint = "" if view.text or view.error else HINTS.get(view.phase, NOTHING_SAID)
    return fill(
        "panes",
        "pane",
        index=index,
        title=view.title or f"Pane {index + 1}",
        kind=f"{view.phase} busy" if view.phase in BUSY else view.phase,
        chip=_chip(view),
        contended=(view.metrics or {}).get("contended", False),
        state=state,
        mark=mark,
        foreign=FOREIGN if case.foreign else "",
        answer=_compared(view, [] if case.foreign else others),
        hint=hint,
        fault=view.error,
        caret=view.phase in BUSY,
        figures=_figures(view),
        terms=_terms(),
    )


@cache
def no_pane(index: int) -> str:
    """Empty pane, in every frame of a run where there is no lane."""
    return pane(PaneState(""), index)


@cache
def _terms() -> Markup:
    return fill("panes", "cells", pairs=TERMS.items())


def _state(view: PaneState, case: Case) -> tuple[str, str]:
    """The phase in words, and the mark of a known answer: right, wrong or none."""
    if case.known and not case.foreign and view.phase == "done":
        right = matches(view.text, case.known)
        state, mark = ("✓ right", "right") if right else ("✗ wrong", "wrong")
    else:
        state, mark = STATES[view.phase], ""
    if view.phase in BUSY:
        state += f" · {view.elapsed_s:.1f} s"
    if view.turns > 1:
        state += f" · run {view.turn} of {view.turns}"
    return state, mark


def _chip(view: PaneState) -> str:
    tokens = (view.metrics or {}).get("visual_tokens", view.visual_tokens)
    if tokens is not None:
        return count_words(tokens)
    return "visual tokens unknown" if view.metrics else "visual tokens: –"


def side_by_side(views: Sequence[PaneState], case: Case | None = None) -> list[str]:
    """All panes; the first is compared with every other, each other with the first."""
    return [
        pane(view, index, case, views[:1] if index else views[1:])
        for index, view in enumerate(views)
    ]


def _compared(view: PaneState, others: Sequence[PaneState]) -> Markup:
    """An answer as HTML, its words marked that the others do not have in the same place."""
    whole = view.phase == "done" and not view.error
    against = [other.text for other in others if whole and other.phase == "done" and other.text]
    return mark_words(view.text, against)


def mark_words(text: str, others: Sequence[str]) -> Markup:
    """Text as HTML; words that differ from any of the others are marked.

    They are told once more at its end, for people who hear it. Only words count, not the space
    between them.
    """
    words = text.split()
    differs: set[int] = set()
    for other in others:
        matcher = difflib.SequenceMatcher(None, other.split(), words, autojunk=False)
        for kind, _, _, first, end in matcher.get_opcodes():
            differs |= set(range(first, end)) if kind != "equal" else set()
    pieces = _pieces(text, differs)
    heard = ", ".join(" ".join(piece.split()) for marked, piece in pieces if marked)
    return fill("panes", "words", pieces=pieces, heard=heard)


def _pieces(text: str, chosen: set[int]) -> list[tuple[bool, str]]:
    """Text cut where marked words begin and end; (is it marked, the piece)."""
    if not chosen:
        return [(False, text)]
    marked, place = [], 0
    for part in re.findall(r"\S+|\s+", text):
        if part.isspace():
            marked.append(({place - 1, place} <= chosen, part))
        else:
            marked.append((place in chosen, part))
            place += 1
    runs = groupby(marked, key=itemgetter(0))
    return [(chosen, "".join(part for _, part in run)) for chosen, run in runs]


def count_words(tokens: int) -> str:
    """`1 visual token`, `1,440 visual tokens`."""
    return f"{tokens:,} visual token{'' if tokens == 1 else 's'}"


def matches(text: str, answer: str) -> bool:
    """Tell whether an answer says what it should, word for word, whatever stands around it.

    Punctuation and case do not count.
    """

    def plain(words: str) -> str:
        kept = "".join(c.lower() if c.isalnum() else " " for c in words).split()
        return f" {' '.join(kept)} "

    return plain(answer) in plain(text)


TERMS = {
    "First token": "preparing, looking, selecting and reading, until the first token is there",
    "Model only": "looking, selecting and reading; the image is prepared once for all panes",
    "Tokens/s": f"tokens after the first, per second; from {SPEED_TOKENS} new tokens on",
    "Total": "start to last token",
    "KV cache": "keys and values that the language model keeps of every token it has read or "
    "written: fewer visual tokens, less cache",
    "Peak memory": "the most that was in use during the answer, above the model at rest",
}


def _figures(view: PaneState) -> list[tuple[str, str]]:
    """The numbers of a pane with their names."""
    m = view.metrics or {}
    speed = tokens_per_s(m.get("new_tokens", 0), m.get("tokens_per_s"))
    roughly = "≈ " if m.get("peak_is_approximate") else ""
    new = m.get("new_tokens")
    written = f", {new} token{'' if new == 1 else 's'}" if new is not None else ""
    blank, kept = "unknown" if m else "–", m.get("kv_cache_bytes") is not None
    peak = f"{roughly}+{size(m['peak_bytes'])}" if m.get("peak_bytes") is not None else blank
    return [
        ("First token", seconds(m.get("ttft_s"))),
        ("Model only", seconds(m.get("model_ttft_s"))),
        ("Tokens/s", f"{speed:.1f}" if speed else "–"),
        (f"Total{written}", seconds(m.get("total_s"))),
        ("KV cache", size(m.get("kv_cache_bytes")) if kept else blank),
        ("Peak memory", peak),
    ]


def timeline(views: Sequence[PaneState]) -> str:
    """The phases of every lane as bars on one scale."""
    longest = max((view.metrics["total_s"] for view in views if view.metrics), default=0.0)
    lanes = [(view.title, *_bars(view, longest)) for view in views]
    return fill("panes", "timeline", lanes=lanes, phases=[phase.name for phase in PHASES])


def _bars(view: PaneState, longest: float) -> tuple[str, list[tuple[str, str, str]], str]:
    """The times of a lane in words, its bars as (phase, percent, words), and its whole time."""
    if not view.metrics:
        return "no times yet", [], "–"
    total = seconds(view.metrics["total_s"])
    if longest <= 0:
        return "no times yet", [], total
    spent = _spent(view.metrics)
    words = ", ".join(f"{name} {seconds(value)}" for name, value in spent)
    bars = [
        (name, f"{100 * value / longest:.2f}", f"{name} {seconds(value)}")
        for name, value in spent
        if value > 0
    ]
    return words, bars, total


def _spent(metrics: Mapping[str, Any]) -> list[tuple[str, float]]:
    """(phase, seconds); a server's are known up to the first token and after it."""
    if metrics[PREFILL.metric] is None:
        return [(PREFILL.name, metrics["ttft_s"]), (DECODE.name, metrics[DECODE.metric])]
    return [(phase.name, metrics[phase.metric]) for phase in PHASES]


def announcement(views: Sequence[PaneState]) -> str:
    """Lines that a screen reader may say, one a lane; the page reads out the new ones."""
    return fill("panes", "announcement", lines=map(_news, views))


def _news(view: PaneState) -> str:
    if view.phase == "done":
        return f"{view.title} answered: {view.text or 'nothing'}."
    if view.phase in ("stopped", "failed"):
        return f"{view.title} {view.phase}. {view.error or view.text}"
    return f"{view.title} is {STATES[view.phase]}." if view.phase in BUSY else ""
