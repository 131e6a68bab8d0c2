"""Training tiles of the vision stage: 168-px pictures with a target per patch and per tile.

Two kinds, as the tower meets them in anyres inputs: crops (native size, objects cut off at
borders, letterbox bars) and overviews (a whole poster squeezed to a square). Most are denser
than posters so that each carries more to learn from; sparse and empty ones are mixed in.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from hired.shapes.scenes import (
    GRIDS,
    LARGE,
    PATCH,
    SIDE,
    SMALL,
    TILE,
    Thing,
    background,
    paste,
    place,
)
from hired.shapes.sprites import COLOUR_NAMES, SHAPES, digit_box, sprite

MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
IGNORE = -100
UNREADABLE = 10
READABLE_SIDE = 22
"""Smallest apparent side, in px, of an object whose digit counts as readable."""
N = SIDE * SIDE
COMBOS = len(SHAPES) * len(COLOUR_NAMES)


@dataclass(frozen=True)
class Targets:
    """The objects of a tile. Patch arrays are (N,); 0 is background in `shape` and `colour`.

    `digit`: 0-9, `UNREADABLE`, or `IGNORE`. `centre`: the patch holds an object's centre.
    `xy`: (N, 2) centre of the object under the patch, in tiles. `combos`: (48,) objects per
    colour and shape; `digits`: (10,) readable digits; `count`: objects in the tile.
    """

    shape: np.ndarray
    colour: np.ndarray
    digit: np.ndarray
    centre: np.ndarray
    xy: np.ndarray
    combos: np.ndarray
    digits: np.ndarray
    count: int


class Backgrounds:
    """A pool of big backgrounds that tiles cut random windows from (drawing each is slow).

    Each is drawn when it is first needed; the seed's `entropy` and its number decide how it looks.
    """

    def __init__(self, entropy: list[int], size: int = 192) -> None:
        self.entropy = entropy
        self.pool: list[np.ndarray | None] = [None] * size

    def cut(self, rng: np.random.Generator, width: int, height: int) -> np.ndarray:
        """A random (height, width, 3) window, possibly mirrored; a fresh array."""
        number = int(rng.integers(len(self.pool)))
        big = self.pool[number]
        if big is None:
            big = background(np.random.default_rng([*self.entropy, number]), 560, 560)
            self.pool[number] = big
        x, y = rng.integers(560 - width + 1), rng.integers(560 - height + 1)
        window = big[y : y + height, x : x + width]
        return window[:: rng.choice((1, -1)), :: rng.choice((1, -1))].copy()


def target(things: list[Thing], window: tuple[float, float, float, float]) -> Targets:
    """Targets of the tile that shows the `window` (left, top, width, height in px) of a scene."""
    left, top, width, height = window
    sx, sy = TILE / width, TILE / height
    shape, colour = np.zeros(N, np.int64), np.zeros(N, np.int64)
    digit = np.full(N, IGNORE, np.int64)
    centre, xy = np.zeros(N, np.float32), np.zeros((N, 2), np.float32)
    combos, digits, count = np.zeros(COMBOS, np.float32), np.zeros(10, np.float32), 0
    best = np.zeros(N)
    for thing in things:
        ys, xs = np.nonzero(sprite(thing.shape, thing.colour, thing.digit, thing.side)[..., 3] > 99)
        px, py = (xs + 0.5 + thing.x - left) * sx, (ys + 0.5 + thing.y - top) * sy
        inside = (px >= 0) & (px < TILE) & (py >= 0) & (py < TILE)
        if not inside.any():
            continue
        seen = inside.mean()
        where = (py[inside] // PATCH).astype(int) * SIDE + (px[inside] // PATCH).astype(int)
        share = np.bincount(where, minlength=N) * (sx * sy / PATCH**2)
        under = (share > best) & (share > 0.02)
        best = np.maximum(best, share)
        sure = share >= 0.1
        kind, tint = SHAPES.index(thing.shape), COLOUR_NAMES.index(thing.colour)
        readable = _readable(thing, window)
        shape[under] = np.where(sure, kind + 1 if seen > 0.4 else IGNORE, IGNORE)[under]
        colour[under] = np.where(sure, tint + 1, IGNORE)[under]
        label = IGNORE if readable is None else thing.digit if readable else UNREADABLE
        digit[under] = np.where(sure, label, IGNORE)[under]
        cx, cy = (thing.centre[0] - left) * sx, (thing.centre[1] - top) * sy
        xy[under] = (cx / TILE, cy / TILE)
        if 0 <= cx < TILE and 0 <= cy < TILE:
            centre[int(cy // PATCH) * SIDE + int(cx // PATCH)] = 1
        if seen > 0.4:
            combos[tint * len(SHAPES) + kind] += 1
            count += 1
        if readable:
            digits[thing.digit] += 1
    return Targets(shape, colour, digit, centre, xy, combos, digits, count)


def _readable(thing: Thing, window: tuple[float, float, float, float]) -> bool | None:
    """Tell whether the digit can be read in the window; None where that is open (cut in part)."""
    left, top, width, height = window
    if thing.side * min(TILE / width, TILE / height) < READABLE_SIDE:
        return False
    x0, y0, x1, y1 = digit_box(thing.shape, thing.side)
    x0, x1 = x0 + thing.x - left, x1 + thing.x - left
    y0, y1 = y0 + thing.y - top, y1 + thing.y - top
    seen_x = max(0.0, min(x1, width) - max(x0, 0)) / (x1 - x0)
    seen_y = max(0.0, min(y1, height) - max(y0, 0)) / (y1 - y0)
    seen = seen_x * seen_y
    return True if seen > 0.97 else False if seen < 0.6 else None


def crop_tile(rng: np.random.Generator, grounds: Backgrounds) -> tuple[np.ndarray, Targets]:
    """A crop: objects at native size, some cut off at the borders, sometimes letterbox bars."""
    draw = rng.random()
    margin = 24
    size = (TILE + 2 * margin, TILE + 2 * margin)
    if draw < 0.16:
        things = place(rng, (TILE + 140, TILE + 140), int(rng.integers(1, 4)), LARGE, whole=False)
        margin = 70
    elif draw < 0.42:
        things = place(rng, size, int(rng.integers(0, 5)), SMALL, gap=2, whole=False)
    else:
        things = place(rng, size, int(rng.integers(5, 17)), (27, 40), gap=1, whole=False)
    canvas = grounds.cut(rng, TILE, TILE)
    moved = [Thing(t.shape, t.colour, t.digit, t.x - margin, t.y - margin, t.side) for t in things]
    for thing in moved:
        paste(canvas, thing)
    if rng.random() < 0.25:
        moved = _letterbox(rng, canvas, moved)
    return canvas, target(moved, (0, 0, TILE, TILE))


def _letterbox(rng: np.random.Generator, canvas: np.ndarray, things: list[Thing]) -> list[Thing]:
    """Blacken a bar at one side; objects that it would cut are painted over and dropped."""
    bar, side = int(rng.integers(4, 80)), rng.integers(4)
    areas: list[Any] = [np.s_[:bar], np.s_[-bar:], np.s_[:, :bar], np.s_[:, -bar:]]
    area = areas[side]
    low = (bar if side == 2 else -99, bar if side == 0 else -99)
    high = (TILE - bar if side == 3 else 999, TILE - bar if side == 1 else 999)
    kept = []
    for t in things:
        x0, y0 = t.x, t.y
        if x0 >= low[0] and y0 >= low[1] and x0 + t.side <= high[0] and y0 + t.side <= high[1]:
            kept.append(t)
        else:
            y, x = slice(max(0, y0), max(0, y0 + t.side)), slice(max(0, x0), max(0, x0 + t.side))
            canvas[y, x] = 235
    canvas[area] = 0
    return kept


def overview_tile(rng: np.random.Generator, grounds: Backgrounds) -> tuple[np.ndarray, Targets]:
    """An overview: a poster of any of the five grids squeezed to a tile."""
    rows, columns = GRIDS[rng.choice(5, p=(0.18, 0.18, 0.36, 0.14, 0.14))]
    width, height = columns * TILE, rows * TILE
    if rng.random() < 0.6:
        width, height = round(width * rng.uniform(0.6, 1)), round(height * rng.uniform(0.6, 1))
    draw = rng.random()
    if draw < 0.2:
        things = place(rng, (width, height), int(rng.integers(1, 7)), LARGE, whole=False)
    elif draw < 0.5:
        things = place(rng, (width, height), int(rng.integers(0, 7)), SMALL, whole=False)
    else:
        most = 8 * rows * columns
        things = place(rng, (width, height), int(rng.integers(6, most)), SMALL, whole=False)
    canvas = grounds.cut(rng, width, height)
    for thing in things:
        paste(canvas, thing)
    small = Image.fromarray(canvas).resize((TILE, TILE), Image.Resampling.BICUBIC)
    return np.asarray(small), target(things, (0, 0, width, height))


def normalise(pixels: np.ndarray) -> np.ndarray:
    """uint8 (..., H, W, 3) to CLIP-normalised float32 (..., 3, H, W)."""
    return np.moveaxis((pixels.astype(np.float32) / 255 - MEAN) / STD, -1, -3)
