"""The bundled example images: found among the `examples` stream, which no training or test sees.

Each example makes one point. A candidate is taken if the model answers it right with all tokens
and, at a budget of 20 %, right (or, where the point is the loss, wrong). Where the point is
neither, the first one that all tokens answer is taken, whatever 20 % makes of it.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hired.selectors import build
from hired.shapes.evaluate import answer, is_right
from hired.shapes.questions import KINDS, Question
from hired.shapes.scenes import SMALL, TILE, Scene, generator, place, render
from hired.shapes.scoring import conclusion

SCALE = 2
"""Pixels per poster pixel in the files, for people's eyes; the processor scales back."""
LADDER = tuple(percent / 100 for percent in range(5, 101, 5))
"""Budgets at which it is tried how far an example survives."""


@dataclass(frozen=True)
class Point:
    """The point of an example: a maker of scenes, the kind asked, and how 20 % should fare.

    `survives` is None where that is left to the first poster that comes.
    """

    file: str
    title: str
    note: str
    kind: str
    survives: bool | None
    size: tuple[int, int]
    count: tuple[int, int]
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    def scene(self, index: int) -> Scene:
        """Candidate number `index`: objects inside `box` (shares of the poster)."""
        rng = generator("examples", "sparse", sum(map(ord, self.file)), index)
        left, top, right, bottom = (
            round(share * side) for share, side in zip(self.box, self.size * 2, strict=True)
        )
        count = int(rng.integers(self.count[0], self.count[1] + 1))
        inside = place(rng, self.size, count * 12, SMALL, distinct=True)
        things = [
            t
            for t in inside
            if left <= t.x and top <= t.y and t.x + t.side <= right and t.y + t.side <= bottom
        ]
        return Scene(*self.size, tuple(things[:count]), int(rng.integers(2**31)))


POINTS = (
    Point("sparse.png", "Six shapes on a quiet poster",
          "Little content, much background: a fifth of the tokens is enough.",
          "digit", True, (2 * TILE, 2 * TILE), (6, 6)),
    Point("dense.png", "A page as full as text",
          "Content everywhere: at 20 % HiRED must drop what the question needs.",
          "digit", False, (2 * TILE, 2 * TILE), (22, 30)),
    Point("panorama.png", "A letterboxed panorama",
          "Three crops in a row, black bars above and below: bars never cost budget.",
          "digit", True, (3 * TILE, 112), (4, 4)),
    Point("corner.png", "Everything in one corner",
          "Three of the four crops are empty: the budget moves to the fourth.",
          "colour", True, (2 * TILE, 2 * TILE), (3, 3), (0.48, 0.0, 1.0, 0.5)),
    Point("count.png", "How many?",
          "It names what it counts: where much is dropped it may name a shape twice.",
          "count", None, (2 * TILE, TILE), (4, 4)),
    Point("describe.png", "A longer answer",
          "One prompt, a whole sentence for every shape: watch the tokens come.",
          "describe", None, (TILE, 2 * TILE), (3, 3)),
)  # fmt: skip


def candidates(point: Point, tries: int) -> Iterator[tuple[Scene, Question]]:
    """Scenes for the point, each with one plainly worded question."""
    for index in range(tries):
        scene = point.scene(index)
        if len(scene.things) < point.count[0]:
            continue
        rng = np.random.default_rng([4, index])
        question = KINDS[point.kind](scene, rng)
        if question is not None:
            text = question.text[0].upper() + question.text[1:]
            yield scene, Question(question.kind, text, question.answer)


def places(scene: Scene) -> dict[str, Any]:
    """Size of the poster and where each object stands, in poster pixels."""
    things = [asdict(thing) for thing in scene.things]
    return {"width": scene.width, "height": scene.height, "things": things}


def survives(model: Any, processor: Any, scene: Scene, question: Question) -> float | None:
    """The least budget of `LADDER` from which on HiRED answers right, up to everything."""
    least = None
    for budget in sorted(LADDER, reverse=True):
        selector = build("hired", budget=budget)
        [reply], _ = answer(model, processor, scene, [question], selector, SCALE)
        if not is_right(reply, question):
            break
        least = budget
    return least


def write_examples(model: Any, processor: Any, folder: Path, tries: int = 80) -> list[dict]:
    """Write one PNG per point and `examples.json`; points without a candidate are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for point in POINTS:
        for scene, question in candidates(point, tries):
            fits = True
            for selector, wanted in (
                (build("full"), True),
                (build("hired", budget=0.2), point.survives),
            ):
                [reply], _ = answer(model, processor, scene, [question], selector, SCALE)
                right = is_right(reply, question)
                if wanted is not None and right != wanted:
                    fits = False
                    break
            if fits:
                render(scene, SCALE).save(folder / point.file, optimize=True)
                least = survives(model, processor, scene, question)
                listed.append({"file": point.file, "question": question.text,
                               "answer": conclusion(question.answer), "title": point.title,
                               "note": point.note, "scene": places(scene),
                               "survives": least})  # fmt: skip
                break
    (folder / "examples.json").write_text(json.dumps(listed, indent=1) + "\n")
    return listed
