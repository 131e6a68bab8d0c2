"""Panes and timeline as HTML, and the templates of `templates/`: whatever is put in is escaped."""

import difflib
import html
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import markupsafe

from hired.comparison.evidence import SPEED_TOKENS, tokens_per_s
from hired.metrics import seconds, size
from hired.phases import DECODE, PHASES, PREFILL, WAITING
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


def esc(text: Any) -> str:
    """Text for HTML, inert in gradio's templates too."""
    escaped = html.escape(str(text))
    return escaped.replace("$", "&#36;").replace("{", "&#123;").replace("`", "&#96;")


def fill(name: str, **values: Any) -> str:
    """The template `templates/NAME.html` with these values."""
    return _environment().get_template(f"{name}.html").render(values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        finalize=lambda value: (
            value if isinstance(value, markupsafe.Markup) else markupsafe.Markup(esc(value))
        ),
        undefined=StrictUndefined,
        trim_blocks=True,
    )


FOREIGN = "This small model only knows shape posters. The kept tokens are real, the answer is not."


def pane(
    view: PaneState, index: int, case: Case | None = None, others: Sequence[PaneState] = ()
) -> str:
    """One side: method, phase, answer, numbers; the same height at every phase.

    A known answer marks it right or wrong, unless the model knows nothing of such pictures.
    Words that differ from the answers of `others` are marked once all have ended.
    """
    case, title = case or Case(), view.title or f"Pane {index + 1}"
    metrics = view.metrics or {}
    if view.error:
        said = f"<p>{esc(view.text)}</p>" if view.text else ""
        body = f'{said}<p class="fault">{esc(view.error)}</p>'
    elif view.text:
        caret = '<span class="caret" aria-hidden="true"></span>' if view.phase in BUSY else ""
        body = f"<p>{_compared(view, [] if case.foreign else others)}{caret}</p>"
    else:
        body = f'<p class="hint">{esc(HINTS.get(view.phase, "The model had nothing to say."))}</p>'
    state, mark = STATES[view.phase], ""
    banner = f'<p class="foreign">{FOREIGN}</p>' if case.foreign else ""
    if case.known and not banner and view.phase == "done":
        mark = "right" if matches(view.text, case.known) else "wrong"
        state = {"right": "✓ right", "wrong": "✗ wrong"}[mark]
    kind = view.phase
    if view.phase in BUSY:
        kind += " busy"
        state += f" · {view.elapsed_s:.1f} s"
    if view.turns > 1:
        state += f" · run {view.turn} of {view.turns}"
    tokens = metrics.get("visual_tokens", view.visual_tokens)
    chip = count_words(tokens) if tokens is not None else "visual tokens: –"
    if metrics and tokens is None:
        chip = "visual tokens unknown"
    contended = metrics.get("contended")
    note = '<span class="chip warn">raced: shared times and memory</span>' if contended else ""
    return (
        f'<section class="pane {kind}" data-lane="{index}" aria-label="{esc(title)}">'
        f'<header><h3>{esc(title)}</h3><span class="chip">{chip}</span>{note}'
        f'<span class="state {mark}"><i aria-hidden="true"></i>{state}</span></header>{banner}'
        '<div class="said"><div class="answer" tabindex="0" role="group" '
        f'aria-label="Answer of {esc(title)}">'
        f"{body}</div>{_place(index, esc(title))}</div>{_figures(view, index)}</section>"
    )


def side_by_side(views: Sequence[PaneState], case: Case | None = None) -> list[str]:
    """All panes; the first is compared with every other, each other with the first."""
    return [
        pane(view, index, case, views[:1] if index else views[1:])
        for index, view in enumerate(views)
    ]


def _compared(view: PaneState, others: Sequence[PaneState]) -> str:
    """An answer as HTML, its words marked that the others do not have in the same place."""
    if view.phase != "done":
        return esc(view.text)
    against = [other for other in others if other.phase == "done" and other.text]
    return mark_words(view.text, [other.text for other in against])


def mark_words(text: str, others: Sequence[str]) -> str:
    """A text as HTML; what differs from any of the others is marked, and told at its end to those
    who hear it. Only words count, not the space between them.
    """
    parts = re.findall(r"\S+|\s+", text)
    words = text.split()
    differs: set[int] = set()
    for other in others:
        matcher = difflib.SequenceMatcher(None, other.split(), words, autojunk=False)
        for kind, _, _, first, end in matcher.get_opcodes():
            differs |= set(range(first, end)) if kind != "equal" else set()
    if not differs:
        return esc(text)
    shown, place = [], 0
    for part in parts:
        blank = part.isspace()
        marked = not blank and place in differs
        shown.append(f"<mark>{esc(part)}</mark>" if marked else esc(part))
        place += not blank
    joined = re.sub(r"</mark>(\s+)<mark>", r"\1", "".join(shown))
    heard = ", ".join(esc(" ".join(run.split())) for run in _runs(words, differs))
    return f'{joined}<span class="hidden"> (differs in: {heard})</span>'


def _runs(words: Sequence[str], chosen: set[int]) -> list[str]:
    """The chosen words, neighbours in one piece."""
    found: list[str] = []
    for index in sorted(chosen):
        if found and index - 1 in chosen:
            found[-1] += f" {words[index]}"
        else:
            found.append(words[index])
    return found


def count_words(tokens: int) -> str:
    """`1 visual token`, `1,440 visual tokens`."""
    return f"{tokens:,} visual token{'' if tokens == 1 else 's'}"


def _place(index: int, title: str) -> str:
    """A place for the small picture of what a pane keeps; `pictures.draw_small` fills it."""
    return (
        f'<span class="keeps" role="img" aria-label="Small picture of what {title} keeps" '
        f'style="background-image:var(--keeps-{index});width:var(--keeps-wide,0);'
        f'aspect-ratio:var(--keeps-shape,1)"></span>'
    )


def matches(text: str, answer: str) -> bool:
    """Does an answer say what it should, word for word, whatever stands around it?

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


def _figures(view: PaneState, index: int) -> str:
    """The numbers of a pane, and their meaning on demand; by keyboard in the first one only, as
    all say the same.
    """
    stop = ' tabindex="-1"' if index else ""
    m = view.metrics or {}
    speed = tokens_per_s(m.get("new_tokens", 0), m.get("tokens_per_s"))
    roughly = "≈ " if m.get("peak_is_approximate") else ""
    new = m.get("new_tokens")
    written = f", {new} token{'' if new == 1 else 's'}" if new is not None else ""
    blank, kept = "unknown" if m else "–", m.get("kv_cache_bytes") is not None
    peak = f"{roughly}+{size(m['peak_bytes'])}" if m.get("peak_bytes") is not None else blank
    values = [
        ("First token", seconds(m.get("ttft_s"))),
        ("Model only", seconds(m.get("model_ttft_s"))),
        ("Tokens/s", f"{speed:.1f}" if speed else "–"),
        (f"Total{written}", seconds(m.get("total_s"))),
        ("KV cache", size(m.get("kv_cache_bytes")) if kept else blank),
        ("Peak memory", peak),
    ]
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in values)
    terms = "".join(f"<div><dt>{name}</dt><dd>{told}</dd></div>" for name, told in TERMS.items())
    return (
        f'<dl class="figures">{cells}</dl><details class="terms"><summary{stop}>What the figures '
        f"mean</summary><dl>{terms}</dl></details>"
    )


def timeline(views: Sequence[PaneState]) -> str:
    """The phases of every lane as bars on one scale."""
    longest = max((view.metrics["total_s"] for view in views if view.metrics), default=0.0)
    rows = "".join(_bar(view, longest) for view in views)
    keys = "".join(f'<span><i class="{p.name}"></i>{p.name}</span>' for p in PHASES)
    return (
        '<section class="timeline" aria-label="Time of each phase">'
        f'{rows}<p class="keys" aria-hidden="true">{keys}</p></section>'
    )


def _bar(view: PaneState, longest: float) -> str:
    bars, words = "", "no times yet"
    if view.metrics and longest > 0:
        spent = _spent(view.metrics)
        words = ", ".join(f"{name} {seconds(value)}" for name, value in spent)
        bars = "".join(
            f'<i class="{name}" style="width:{100 * value / longest:.2f}%" '
            f'title="{name} {seconds(value)}"></i>'
            for name, value in spent
            if value > 0
        )
    total = seconds(view.metrics["total_s"]) if view.metrics else "–"
    return (
        f'<div class="lane"><b>{esc(view.title)}</b>'
        f'<span class="bar" role="img" aria-label="{esc(words)}">{bars}</span>'
        f"<em>{total}</em></div>"
    )


def _spent(metrics: Mapping[str, Any]) -> list[tuple[str, float]]:
    """(phase, seconds); a server's are known up to the first token and after it."""
    if metrics[PREFILL.metric] is None:
        return [(PREFILL.name, metrics["ttft_s"]), (DECODE.name, metrics[DECODE.metric])]
    return [(phase.name, metrics[phase.metric]) for phase in PHASES]


def announcement(views: Sequence[PaneState]) -> str:
    """What a screen reader may say of each lane, a line each; the page reads out the new ones."""
    lines = (f'<p data-lane="{index}">{esc(_news(v))}</p>' for index, v in enumerate(views))
    return "".join(lines)


def _news(view: PaneState) -> str:
    if view.phase == "done":
        return f"{view.title} answered: {view.text or 'nothing'}."
    if view.phase in ("stopped", "failed"):
        return f"{view.title} {view.phase}. {view.error or view.text}"
    return f"{view.title} is {STATES[view.phase]}." if view.phase in BUSY else ""
