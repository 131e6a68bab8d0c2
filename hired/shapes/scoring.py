"""The words of an answer that carry its content, and are compared with the known one."""

import re

from hired.shapes.lexicon import CITIES, DAYS, GOODS
from hired.shapes.questions import NUMBERS, Question
from hired.shapes.sprites import COLOUR_NAMES, SHAPES

CONTENT = (
    set(COLOUR_NAMES)
    | set(SHAPES)
    | set("0123456789")
    | set(NUMBERS)
    | {*GOODS, *CITIES, *DAYS}
    | {"yes", "no", "not", "top", "middle", "bottom", "left", "right", "above", "below"}
    | {"higher", "lower", "only", "nothing"}
)


def sentences(answer: str) -> list[str]:
    """The sentences of an answer; a point inside a number ends none."""
    return re.split(r"[.!?]\s+(?=\S)", answer.strip())


def conclusion(answer: str) -> str:
    """The last sentence, which carries the answer: a count comes after what was counted."""
    return sentences(answer)[-1]


def known_answer(question: Question) -> str:
    """The answer for people: the list where that is asked for, else the conclusion alone."""
    return question.answer if asks_which(question) else conclusion(question.answer)


def asks_which(question: Question) -> bool:
    """Test whether a count's things are asked for, and not only their number."""
    return question.kind == "count" and question.text.lower().startswith("which")


def content(answer: str) -> tuple[str, ...]:
    """The words of its conclusion that carry its content: what exact match compares."""
    words = re.findall(r"[a-z]+|[0-9]+(?:[.:][0-9]+)*%?", conclusion(answer).lower())
    singular = [w[:-1] if w.endswith("s") and w[:-1] in SHAPES else w for w in words]
    return tuple(w for w in singular if w in CONTENT or w[0].isdigit())
