"""Layout of a page: words on lines, moved until no crop's border cuts one.

Every word lies whole in one crop, while lines run on from crop to crop.
"""

import itertools
from dataclasses import dataclass, field

import numpy as np

from hired.shapes.documents import Look, Word, turned
from hired.shapes.lettering import letter
from hired.shapes.scenes import TILE, Scene


@dataclass
class Sheet:
    """A page that is being laid out, line by line, `pitch` times the lines' height apart (least and
    most). Words that are to stay `whole` are moved off the crops' borders.
    """

    width: int
    height: int
    look: Look
    pitch: tuple[float, float]
    words: list[Word] = field(default_factory=list)
    whole: bool = True

    def __post_init__(self) -> None:
        self._borders_x = self._borders_y = [-99]
        if not self.whole:
            return
        rows, columns, left, top = Scene(self.width, self.height, (), 0).canvas()
        self._borders_x = [n * TILE - left for n in range(columns + 1)]
        self._borders_y = [n * TILE - top for n in range(rows + 1)]

    def breadth(self, text: str) -> int:
        """Width of a word in px."""
        return letter(text, self.look.font, self.look.size).mask.shape[1]

    def _free(self, word: Word) -> tuple[bool, bool]:
        """Test whether the turned word keeps off the borders: left and right, above and below."""
        x = np.array([word.x, word.x + word.width] * 2)
        y = np.array([word.y, word.y, word.y + word.height, word.y + word.height])
        x, y = turned(self.width, self.height, self.look.turn, x, y)
        inside = x.min() >= 1 and x.max() <= self.width - 1
        across = any(x.min() - 1 < border < x.max() + 1 for border in self._borders_x)
        level = any(y.min() - 1 < border < y.max() + 1 for border in self._borders_y)
        return inside and not across, y.min() >= 1 and y.max() <= self.height - 1 and not level

    def put(self, y: int, cells: list[tuple[str, int]], slack: int = TILE) -> int | None:
        """Put a line of words, each at its left edge, at height `y` or up to `slack` px below it.

        Words that a crop's border would cut move aside, and the whole line down.

        Returns:
            The height at which it stands; None, and nothing is put, where it has no place.
        """
        size = self.look.size
        for top in range(y, min(y + slack, self.height - size) + 1):
            line = [self._beside(Word(t, x, top, self.breadth(t), size)) for t, x in cells]
            if None in line or not all(word and self._free(word)[1] for word in line):
                continue
            placed = sorted((word for word in line if word), key=lambda word: word.x)
            pairs = itertools.pairwise(placed)
            if any(a.x + a.width + 5 > b.x for a, b in pairs):
                return None
            self.words += placed
            return top
        return None

    def _beside(self, word: Word) -> Word | None:
        """The word, moved left or right off the crops' borders; None where there is no room."""
        for move in range(0, word.width + 2, 2):
            for x in (word.x - move, word.x + move):
                moved = Word(word.text, x, word.y, word.width, word.height)
                if self._free(moved)[0]:
                    return moved
        return None
