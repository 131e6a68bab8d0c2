"""Training tiles of documents, with a target per patch for what is written there.

Half are crops and overviews of whole pages as the model meets them, half dense scraps of words and
numbers without order, cut anywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from hired.shapes.documents import KINDS, SHORT, SIZES, Document, Word, look_for, word_points
from hired.shapes.layouts import SEEN, draw_document, soup
from hired.shapes.lettering import MIDDLE, letter
from hired.shapes.lexicon import SLOTS, WORDS, number
from hired.shapes.printing import render
from hired.shapes.scenes import PATCH, SIDE, TILE
from hired.shapes.sheet import Sheet
from hired.shapes.train.tile_targets import IGNORE, N

READABLE = 10.0
"""Least apparent height of a line, in px, at which it counts as readable: crops, no overview."""
NUMBER, UNREADABLE_TEXT = len(WORDS) + 1, len(WORDS) + 2
"""Classes of a patch beside 0, nothing, and the words from 1 on."""
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.:%"
MARK_CLASS = CHARACTERS.index(".") + 1
"""Full stop, colon and percent sign are one class, the last."""
WORD_NUMBER = {word: number for number, word in enumerate(WORDS)}


@dataclass(frozen=True)
class TextTargets:
    """The writing on a tile. Patch arrays are (N, ...).

    `word`: 0, a word from 1 on, `NUMBER`, `UNREADABLE_TEXT` or `IGNORE`. `form` and `slots` (N, 4):
    a readable number's form and digits (`lexicon.number`), else `IGNORE`. `near` (N, 2): the
    character whose centre lies in the patch's left and right half, 0 without one. `middle` (N,):
    the patch holds the centre of a readable word or number. `words`
    (len(WORDS),): which words the tile shows readably; `figures` (40,): which digit in which slot
    of a number; `texts` (2,): how many words and numbers, readable or not.
    """

    word: np.ndarray
    form: np.ndarray
    slots: np.ndarray
    near: np.ndarray
    middle: np.ndarray
    words: np.ndarray
    figures: np.ndarray
    texts: np.ndarray


def no_text() -> TextTargets:
    """The targets of a tile without any text."""
    return TextTargets(
        word=np.zeros(N, np.int64),
        form=np.full(N, IGNORE, np.int64),
        slots=np.full((N, SLOTS), IGNORE, np.int64),
        near=np.zeros((N, 2), np.int64),
        middle=np.zeros(N, np.float32),
        words=np.zeros(len(WORDS), np.float32),
        figures=np.zeros(SLOTS * 10, np.float32),
        texts=np.zeros(2, np.float32),
    )


def text_target(page: Document, window: tuple[float, float, float, float]) -> TextTargets:
    """Targets of the tile that shows the `window` (left, top, width, height in px) of a page."""
    left, top, width, height = window
    sx, sy = TILE / width, TILE / height
    found, best = no_text(), np.zeros(N)
    spelt: list[Word] = []
    readable = page.look.size * min(sx, sy) >= READABLE
    for word, (x, y) in zip(page.words, word_points(page), strict=True):
        px, py = (x - left) * sx, (y - top) * sy
        inside = (px >= 0) & (px < TILE) & (py >= 0) & (py < TILE)
        seen = inside.mean()
        if not seen:
            continue
        at = (py[inside] // PATCH).astype(int) * SIDE + (px[inside] // PATCH).astype(int)
        share = np.bincount(at, minlength=N) * (4 * sx * sy / PATCH**2)
        under = (share > best) & (share > 0.04)
        best = np.maximum(best, share)
        figures = number(word.text)
        whole = readable and seen >= 0.97
        label = NUMBER if figures else WORD_NUMBER[word.text.lower()] + 1
        if not readable:
            label = UNREADABLE_TEXT
        elif not whole:
            label = IGNORE
        sure = under & (share >= 0.25)
        if whole and not sure.any():  # a lone digit
            sure = under & (share >= SHORT)
        found.word[under] = IGNORE
        found.word[sure] = label
        found.slots[under] = found.form[under] = found.near[under] = IGNORE
        if seen > 0.5:
            found.texts[int(figures is not None)] += 1
        if not whole:
            continue
        spelt.append(word)
        found.middle[int(py.mean() // PATCH) * SIDE + int(px.mean() // PATCH)] = 1
        if figures is None:
            found.words[label - 1] = 1
            continue
        found.form[sure], found.slots[sure] = figures
        for slot, digit in enumerate(figures[1]):
            if digit < 10:
                found.figures[slot * 10 + digit] = 1
    _characters(found.near, page, spelt, window)
    return found


def _characters(near: np.ndarray, page: Document, words: list[Word], window: tuple) -> None:
    """Write the words' characters into the half patches that hold their centres (in place)."""
    left, top, width, height = window
    places: list[tuple[str, int, int]] = []
    for word in words:
        centres = np.array(letter(word.text, page.look.font, page.look.size).centres)
        x, y = page.turned(word.x + centres, np.full(len(centres), word.y + MIDDLE * word.height))
        row = ((y - top) * TILE / height // PATCH).astype(int)
        half = ((x - left) * TILE / width // (PATCH / 2)).astype(int)
        for line in np.unique(row):
            here = half[row == line] // 2
            near[line * SIDE + np.arange(here.min(), here.max() + 1)] = 0
        places += zip(word.text.lower(), row, half, strict=True)
    for character, r, h in places:  # once no word's nothing can wipe out a neighbour's end
        cell = near[r * SIDE + h // 2]
        label = min(CHARACTERS.index(character) + 1, MARK_CLASS)
        cell[h % 2] = IGNORE if cell[h % 2] else label


def scrap(
    rng: np.random.Generator, held_out: bool = False, small: float = 0.0
) -> tuple[np.ndarray, TextTargets]:
    """A tile cut anywhere from a dense scrap of words and numbers; a share, `small`, of them in
    the smallest print.
    """
    side = TILE + 40
    page = None
    while page is None:
        look = look_for(rng, SEEN.turn, held_out)
        if small and rng.random() < small:
            look = replace(look, size=SIZES[rng.integers(2)])
        page = soup(rng, Sheet(side, side, look, SEEN.pitch, whole=False))
    x, y = (int(v) for v in rng.integers(0, side - TILE + 1, 2))
    pixels = np.asarray(render(page))[y : y + TILE, x : x + TILE]
    return pixels, text_target(page, (x, y, TILE, TILE))


def page_tiles(page: Document) -> list[tuple[np.ndarray, TextTargets]]:
    """The tiles that the model sees of a page, overview first, as stock preprocessing cuts them."""
    rows, columns, left, top = page.canvas()
    picture = render(page)
    small = picture.resize((TILE, TILE), Image.Resampling.BICUBIC)
    tiles = [(np.asarray(small), text_target(page, (0, 0, page.width, page.height)))]
    canvas = Image.new("RGB", (columns * TILE, rows * TILE))
    canvas.paste(picture, (left, top))
    pixels = np.asarray(canvas)
    for row in range(rows):
        for column in range(columns):
            x, y = column * TILE, row * TILE
            window = (x - left, y - top, TILE, TILE)
            tiles.append((pixels[y : y + TILE, x : x + TILE], text_target(page, window)))
    return tiles


def tinted(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """The tile as a coloured light or a pale film over it would leave it: less contrast, a tint.

    White paper never turns brown: on brown paper the tower's reading is measured.
    """
    left = rng.uniform(0.62, 1) * rng.uniform(0.82, 1, 3)
    left[2] = max(left[2], left[0])
    darker = rng.random() < 0.5
    tile = pixels.astype(np.float64)
    tile = tile * left if darker else 255 - (255 - tile) * left
    return tile.round().astype(np.uint8)


def document_tiles(
    rng: np.random.Generator, count: int, harder: bool = False
) -> Iterator[tuple[np.ndarray, TextTargets, bool]]:
    """`count` training tiles, each with whether it is an overview; up to three of one page.

    The `harder` ones are half of them `tinted`, and a third of the scraps are in small print.
    """
    for pixels, text, overview in _document_tiles(rng, count, harder):
        film = harder and rng.random() < 0.5
        yield tinted(rng, pixels) if film else pixels, text, overview


def _document_tiles(
    rng: np.random.Generator, count: int, harder: bool
) -> Iterator[tuple[np.ndarray, TextTargets, bool]]:
    """The tiles of `document_tiles` before a tint."""
    kinds = list(KINDS)
    left = count
    while left:
        if rng.random() < 0.35:
            page = draw_document(rng, kinds[rng.integers(len(kinds))], SEEN)
            tiles = page_tiles(page)
            chosen = [0] if rng.random() < 0.6 else []
            full = [n for n in range(1, len(tiles)) if tiles[n][1].texts.any()]
            chosen += [int(n) for n in rng.permutation(full)[: 3 - len(chosen)]]
            for n in chosen[:left]:
                yield (*tiles[n], n == 0)
                left -= 1
        else:
            yield (*scrap(rng, small=0.35 * harder), False)
            left -= 1
