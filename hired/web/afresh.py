"""Pictures of the embedded model's world, drawn afresh: each has a number, which a link can carry.

The same number draws the same picture again, so nothing is lost with a file.
"""

import re
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from secrets import randbelow

from hired.shapes.pictures import Picture, render
from hired.shapes.points import NUMBERS, POSTERS, READING, SCALE, draw_like
from hired.shapes.scoring import known_answer
from hired.web.uploads import result_folder

FILES = 64  # drawn pictures kept; the oldest goes
POINTS = {Path(point.file).stem: point for point in POSTERS + READING}
_KEY = re.compile(r"([a-z]+)-(0|[1-9]\d*)")


@dataclass(frozen=True)
class Drawn:
    """A picture that was drawn.

    Attributes:
        title: of the examples like it.
        image: path of the file.
        question: about it.
        answer: the right one.
        picture: what its maker placed where.
    """

    title: str
    image: str
    question: str
    answer: str
    picture: Picture


class Afresh:
    """The pictures drawn after the points that examples make."""

    def __init__(self) -> None:
        self._drawn: dict[str, Drawn] = {}
        self._drawing = threading.Lock()

    def read(self, key: str) -> tuple[str, int] | None:
        """The example and the number that a key such as `sparse-17` names; None for any other."""
        found = _KEY.fullmatch(key[:60])
        if not found or found[1] not in POINTS or int(found[2]) >= NUMBERS:
            return None
        return found[1], int(found[2])

    def draw(self, key: str) -> Drawn | None:
        """The picture of a key; None where it names none."""
        named = self.read(key)
        if named is None:
            return None
        with self._drawing:
            drawn = self._drawn.pop(key, None)
            if drawn is None or not Path(drawn.image).exists():
                drawn = self._make(key, *named)
            self._drawn[key] = drawn
            while len(self._drawn) > FILES:
                oldest = self._drawn.pop(next(iter(self._drawn)))
                shutil.rmtree(Path(oldest.image).parent, ignore_errors=True)
        return drawn

    @property
    def questions(self) -> set[str]:
        """Those about the pictures that are kept."""
        with self._drawing:
            return {drawn.question for drawn in self._drawn.values()}

    def another(self, key: str) -> str | None:
        """The key of a new picture like the example `key`, bundled or drawn; None without one."""
        like, number = self.read(key) or (key, None)
        if like not in POINTS:
            return None
        drawn = number
        while drawn == number:
            drawn = randbelow(NUMBERS)
        return f"{like}-{drawn}"

    def _make(self, key: str, like: str, number: int) -> Drawn:
        picture, question = draw_like(POINTS[like], number)
        file = result_folder("drawn") / f"{key}.png"
        render(picture, SCALE).save(file)
        answer = known_answer(question)
        return Drawn(POINTS[like].title, str(file), question.text, answer, picture)
