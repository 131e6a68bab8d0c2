"""The points that example images make, and the pictures that make them, from seeds.

All of them are of the `examples` stream, which no training or test sees. A model is not asked:
`examples` chooses among candidates by its answers, while `draw_like` takes what comes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hired.shapes.documents import Document, text_patches
from hired.shapes.layouts import document_for
from hired.shapes.pictures import Picture, grammar
from hired.shapes.questions import Question
from hired.shapes.scenes import SMALL, STREAMS, TILE, Scene, generator, grid_of, place

SCALE = 2
"""Pixels of the image files per pixel of a picture, for people's eyes; the processor scales back.
"""
STRIDE = 10_000
"""Candidates between two numbers of `draw_like`: the first of them that has a question is taken."""
NUMBERS = 1_000_000
"""Pictures that `draw_like` can draw after a point."""


def keeps_grid(picture: Picture) -> bool:
    """Test whether the model cuts the file as it cuts the picture, so that it scales it back."""
    width, height = picture.width, picture.height
    return grid_of(width, height) == grid_of(SCALE * width, SCALE * height)


@dataclass(frozen=True)
class Objects:
    """Posters of a `size` with at least and at most `count` objects inside a box.

    `box` is left, top, right and bottom in shares of the poster.
    """

    size: tuple[int, int]
    count: tuple[int, int]
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    def draw(self, seed: int, index: int) -> Scene | None:
        """Candidate number `index`; None where too few objects found room."""
        rng = generator("examples", "sparse", seed, index)
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
        if len(things) < self.count[0]:
            return None
        return Scene(*self.size, tuple(things[:count]), int(rng.integers(2**31)))


@dataclass(frozen=True)
class Pages:
    """Documents of a `kind` whose text covers at least and at most a `share` of the patches; with
    `whole` of those only that fill their crops, so that a budget is a share of what is seen.
    """

    kind: str
    share: tuple[float, float]
    whole: bool = False

    def draw(self, seed: int, index: int) -> Document | None:
        """Candidate number `index`; None where its text covers too little or too much."""
        page = document_for("examples", self.kind, seed, index)
        if self.whole and page.canvas()[2:] != (0, 0):
            return None
        return page if self.share[0] <= text_patches(page).mean() <= self.share[1] else None


@dataclass(frozen=True)
class Point:
    """The point of an example: the kind of question asked about which pictures, and its outcome.

    Attributes:
        file: of the image.
        title, note: for people.
        kind: of the question.
        survives: whether the answer at a budget of 20 % is right; None where either will do.
        shown: makers of pictures.
    """

    file: str
    title: str
    note: str
    kind: str
    survives: bool | None
    shown: Objects | Pages

    def candidate(self, index: int) -> tuple[Picture, Question] | None:
        """Candidate number `index` with one plainly worded question; None where it has none."""
        picture = self.shown.draw(sum(map(ord, self.file)), index)
        if picture is None or not keeps_grid(picture):
            return None
        rng = np.random.default_rng([STREAMS["examples"], index])
        question = grammar(picture)[self.kind](picture, rng)
        if question is None:
            return None
        text = question.text[0].upper() + question.text[1:]
        return picture, Question(question.kind, text, question.answer)


PLACES = (
    "at 20 % HiRED errs. Its tokens are packed; let them keep their positions (more: positions)."
)
SPARSE = Point(
    "sparse.png", "Six shapes on a quiet poster",
    "Little content, much background: a fifth of the tokens is enough.",
    "digit", True, Objects((2 * TILE, 2 * TILE), (6, 6)))  # fmt: skip
DENSE = Point(
    "dense.png", "A page as full as text",
    f"Content everywhere: {PLACES}",
    "digit", False, Objects((2 * TILE, 2 * TILE), (22, 30)))  # fmt: skip
POSTERS = (
    SPARSE,
    DENSE,
    Point("panorama.png", "A letterboxed panorama",
          "Three crops in a row, black bars above and below: bars never cost budget.",
          "digit", True, Objects((3 * TILE, 112), (4, 4))),
    Point("corner.png", "Everything in one corner",
          "Three of the four crops are empty: the budget moves to the fourth.",
          "colour", True, Objects((2 * TILE, 2 * TILE), (3, 3), (0.48, 0.0, 1.0, 0.5))),
    Point("count.png", "How many?",
          "It names what it counts: where much is dropped it may name a shape twice.",
          "count", None, Objects((2 * TILE, TILE), (4, 4))),
    Point("describe.png", "A longer answer",
          "One prompt, a whole sentence for every shape: watch the tokens come.",
          "describe", None, Objects((TILE, 2 * TILE), (3, 3))),
)  # fmt: skip
READING = (
    Point("shop.png", "A short receipt",
          "A few lines on much paper: a fifth of the tokens is enough.",
          "price", True, Pages("receipt", (0.10, 0.16), whole=True)),
    SPARSE,
    Point("prices.png", "A full page of prices",
          f"Text everywhere: {PLACES}",
          "price", False, Pages("prices", (0.30, 0.45))),
    Point("board.png", "A departure board",
          "One row in many: the city and its platform stand far apart.",
          "platform", None, Pages("board", (0.20, 0.45))),
    Point("bars.png", "A bar chart",
          "The highest bar is known only to those who compare all of them.",
          "highest", None, Pages("chart", (0.15, 0.45))),
    DENSE,
)  # fmt: skip
"""Points of a model that reads documents as well; `POSTERS` are those of one that does not."""


def candidates(point: Point, tries: int) -> Iterator[tuple[Picture, Question]]:
    """Pictures for the point among the first `tries`, each with one question."""
    for index in range(tries):
        if (found := point.candidate(index)) is not None:
            yield found


def draw_like(point: Point, number: int) -> tuple[Picture, Question]:
    """Picture `number` (below `NUMBERS`) after a point, with one question and its known answer.

    None of them is a candidate of the bundled image, and no model has been asked about it.
    """
    first = STRIDE * (1 + number)
    found = (point.candidate(index) for index in range(first, first + STRIDE))
    return next(one for one in found if one is not None)
