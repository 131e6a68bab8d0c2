"""Documents: their words and the places of these.

A page is a description, as a poster's scene is: words with their boxes, and the rows of facts that
questions ask about. `layouts` makes pages from seeds, `printing` their pixels.
"""

import math
from dataclasses import dataclass

import numpy as np

from hired.shapes.lettering import FONTS, HELD_OUT_FONTS
from hired.shapes.scenes import Scene, covered_patches

KINDS = {"receipt": 11, "prices": 12, "board": 13, "chart": 14}
"""Kinds of documents; the numbers are part of a seed, beside those of the posters' splits."""
SIZES = (12, 13, 15, 16, 18)
"""Heights of a line's box, in px of the page."""
HELD_OUT_SIZES = (14, 17)
GROUNDS = ("paper", "screen", "board")
HELD_OUT_GROUND = "kraft"
SHORT = 1 / 12
"""Share of a patch that shows a word which covers a quarter of none."""
CONTENT = (0.10, 0.45)
"""Least and largest share of a page's patches (overview and crops) that carry text."""


@dataclass(frozen=True)
class Word:
    """One word or number: its text as drawn and its box before the page is turned, in page px."""

    text: str
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Row:
    """One fact: what is named, and the numbers with it (price; time and platform; value)."""

    name: str
    numbers: tuple[str, ...]


@dataclass(frozen=True)
class Bar:
    """A chart's bar: left, top, right, bottom before the page is turned, in page px."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Look:
    """The print of a page: font, height of its lines, degrees it is turned by, ground."""

    font: str
    size: int
    turn: float
    ground: str


@dataclass(frozen=True)
class Document:
    """A page of `width` x `height` px; `seed` drives its ground, ink, noise and stamps.

    `total` is a receipt's; `rules` are heights of the lines drawn across.
    """

    kind: str
    width: int
    height: int
    look: Look
    words: tuple[Word, ...]
    seed: int
    rows: tuple[Row, ...] = ()
    total: str = ""
    bars: tuple[Bar, ...] = ()
    rules: tuple[int, ...] = ()

    def canvas(self) -> tuple[int, int, int, int]:
        """Grid rows, columns and the left, top of the page on the letterboxed canvas."""
        return Scene(self.width, self.height, (), 0).canvas()

    def turned(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points of the page where the turn has put them."""
        return turned(self.width, self.height, self.look.turn, x, y)


def turned(
    width: int, height: int, turn: float, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points of a page of `width` x `height` px turned by `turn` degrees about its middle."""
    cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    x, y = np.asarray(x) - width / 2, np.asarray(y) - height / 2
    return width / 2 + cosine * x - sine * y, height / 2 + sine * x + cosine * y


def look_for(rng: np.random.Generator, turn: float, held_out: bool = False) -> Look:
    """A random look, turned by at most `turn` degrees either way; `held_out` draws from fonts,
    sizes and a ground that no training page has.
    """
    fonts: tuple[str, ...] = FONTS
    sizes: tuple[int, ...] = SIZES
    ground = GROUNDS[rng.choice(3, p=(0.5, 0.25, 0.25))]
    if held_out:
        fonts, sizes, ground = HELD_OUT_FONTS, HELD_OUT_SIZES, HELD_OUT_GROUND
    font, size = fonts[rng.integers(len(fonts))], sizes[rng.integers(len(sizes))]
    turned = 0.0 if rng.random() < 0.25 else float(rng.uniform(-turn, turn))
    return Look(font, size, round(turned, 2), ground)


def word_points(page: Document, step: int = 2) -> list[tuple[np.ndarray, np.ndarray]]:
    """Points spread evenly over each word's turned box: x and y in page px."""
    found = []
    for word in page.words:
        x, y = np.meshgrid(
            np.arange(word.x + step / 2, word.x + word.width, step),
            np.arange(word.y + step / 2, word.y + word.height, step),
        )
        found.append(page.turned(x.ravel(), y.ravel()))
    return found


def word_patches(page: Document, share: float = 0.25) -> np.ndarray:
    """Patches of whose area each word's box covers at least `share`: bool (words, T, N), overview
    first.
    """
    return covered_patches(page.width, page.height, word_points(page), 4, share)


def showing_patches(page: Document) -> np.ndarray:
    """Patches that show each word, one of them at least in a crop: those of `word_patches`, and for
    a word too short to cover a quarter of any those of which it covers `SHORT`.
    """
    shown = word_patches(page)
    lost = ~shown[:, 1:].any((1, 2))
    if lost.any():
        shown[lost] |= word_patches(page, SHORT)[lost]
    return shown


def line_words(page: Document) -> list[list[int]]:
    """The places in `page.words` of each line's name and its numbers, in the rows' order; that of a
    receipt's total comes last.
    """
    labels = [(row.name, row.numbers) for row in page.rows]
    labels += [("total", (page.total,))] if page.total else []
    found = []
    for name, numbers in labels:
        [own] = [i for i, word in enumerate(page.words) if word.text.lower() == name]
        after = range(own + 1, len(page.words))  # words lie line by line, the name first
        found.append([own, *(next(i for i in after if page.words[i].text == n) for n in numbers)])
    return found


def text_patches(page: Document) -> np.ndarray:
    """Patches a quarter of which words cover: bool (T, N), overview first."""
    return np.logical_or.reduce(word_patches(page), axis=0)
