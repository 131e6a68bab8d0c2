"""The bundled example images: of each point, the first candidate that a model answers as it should.

That is right with all tokens and, at a budget of 20 %, right (or, where the point is the loss,
wrong). Where the point is neither, the first one that all tokens answer is taken.
"""

import json
from pathlib import Path
from typing import Any

from hired.selectors import build
from hired.shapes.evaluate import answer, is_right
from hired.shapes.lexicon import knows_documents
from hired.shapes.pictures import Picture, render, to_data
from hired.shapes.points import POSTERS, READING, SCALE, Point, candidates
from hired.shapes.questions import Question
from hired.shapes.scoring import known_answer

LADDER = tuple(percent / 100 for percent in range(5, 101, 5))
"""Budgets at which it is tried how far an example survives."""


def points_for(processor: Any) -> tuple[Point, ...]:
    """The points that examples for a model can make: with documents where it knows their words."""
    return READING if knows_documents(processor.tokenizer.get_vocab()) else POSTERS


def fits(model: Any, processor: Any, point: Point, picture: Picture, question: Question) -> bool:
    """Test whether the model's answers with all tokens and at 20 % make the point."""
    for selector, wanted in ((build("full"), True), (build("hired", budget=0.2), point.survives)):
        if wanted is None:
            continue
        [reply], _ = answer(model, processor, picture, [question], selector, SCALE)
        if is_right(reply, question) != wanted:
            return False
    return True


def survives(model: Any, processor: Any, picture: Picture, question: Question) -> float | None:
    """The least budget of `LADDER` from which on HiRED answers right, up to everything."""
    least = None
    for budget in sorted(LADDER, reverse=True):
        selector = build("hired", budget=budget)
        [reply], _ = answer(model, processor, picture, [question], selector, SCALE)
        if not is_right(reply, question):
            break
        least = budget
    return least


def write_examples(model: Any, processor: Any, folder: Path, tries: int = 80) -> list[dict]:
    """Write one PNG per point and `examples.json`; points without a candidate are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for point in points_for(processor):
        for picture, question in candidates(point, tries):
            if not fits(model, processor, point, picture, question):
                continue
            render(picture, SCALE).save(folder / point.file, optimize=True)
            entry = {"file": point.file, "question": question.text,
                     "answer": known_answer(question), "title": point.title,
                     "note": point.note, "picture": to_data(picture),
                     "survives": survives(model, processor, picture, question)}  # fmt: skip
            listed.append(entry)
            break
    (folder / "examples.json").write_text(json.dumps(listed, indent=1) + "\n")
    return listed
