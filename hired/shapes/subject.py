"""The subject of a question: objects of a poster or lines of a page, and their patches."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hired.shapes.documents import Document, line_words, showing_patches
from hired.shapes.page_questions import proper
from hired.shapes.pictures import Picture
from hired.shapes.questions import name
from hired.shapes.scenes import Thing, thing_patches

SUM = re.compile(r"\b(total|sum|(cost|much)\b.*\ball|all\b.*\bcost)\b")
"""Questions about a receipt's total."""


@dataclass(frozen=True)
class Subject:
    """The subject of a question in `words`, and the `patches` that show it: bool (T, N), overview
    first. A patch shows what covers a quarter of it; a word that is too short for that, a twelfth.
    """

    words: str
    patches: np.ndarray


def subject_of(picture: Picture, question: str) -> Subject | None:
    """Find what the question is about; None where no patch shows anything of it."""
    if isinstance(picture, Document):
        lines = line_words(picture)
        found = lines_asked(picture, question)
        named = "the total"
        if found and found[0] < len(picture.rows):
            named = f"the line of {proper(picture.rows[found[0]].name)}"
        several = f"the {len(found)} lines it is about"
        shown = showing_patches(picture)[[word for line in found for word in lines[line]]]
    else:
        found = things_asked(picture.things, question)
        named = " ".join(["the", *(name(picture.things[one]) for one in found[:1])])
        several = f"the {len(found)} shapes it is about"
        shown = thing_patches(picture)[found]
    patches = np.any(shown, axis=0)
    return Subject(named if len(found) == 1 else several, patches) if patches.any() else None


def things_asked(things: Sequence[Thing], question: str) -> list[int]:
    """Find the objects a question is about: by name, digit, shape or colour; else all of them."""
    words = re.findall(r"[a-z]+|\d", question.lower())
    words = [word.removesuffix("s") for word in words]
    pairs = set(pairwise(words))
    ways: tuple[Callable[[Thing], bool], ...] = (
        lambda thing: (thing.colour, thing.shape) in pairs,
        lambda thing: str(thing.digit) in words,
        lambda thing: thing.shape in words,
        lambda thing: thing.colour in words,
    )
    for fits in ways:
        if found := [index for index, thing in enumerate(things) if fits(thing)]:
            return found
    return list(range(len(things)))


def lines_asked(page: Document, question: str) -> list[int]:
    """Find the lines of `line_words` that a question is about: by name or number, the total by a
    phrase for it; else all that have a name.
    """
    question = question.lower()
    words = set(re.findall(r"[a-z]+|\d+(?:[.:]\d+)?%?", question))
    found = [i for i, row in enumerate(page.rows) if {row.name, *row.numbers} & words]
    if page.total and not found and (SUM.search(question) or page.total in words):
        return [len(page.rows)]
    return found or list(range(len(page.rows)))
