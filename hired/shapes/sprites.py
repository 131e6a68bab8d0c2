"""One object's pixels: a coloured shape with a digit on it, as an RGBA array.

Knows nothing of posters. Sprites are drawn at four times their size and averaged down, and
cached, because a poster needs thousands of them and there are few distinct ones.
"""

from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SHAPES = ("circle", "square", "triangle", "diamond", "star", "heart")
COLOURS = {
    "red": (214, 32, 40),
    "green": (24, 148, 62),
    "blue": (36, 76, 214),
    "yellow": (250, 208, 10),
    "orange": (247, 128, 12),
    "purple": (128, 44, 160),
    "pink": (246, 128, 196),
    "black": (28, 28, 30),
}
COLOUR_NAMES = tuple(COLOURS)
DARK_DIGIT_ON = frozenset({"yellow", "orange", "pink"})
"""Colours light enough that their digit is drawn dark; all others carry a white one."""

SUPERSAMPLE = 4
DIGIT_HEIGHT = {"circle": 0.56, "square": 0.60, "triangle": 0.48, "diamond": 0.50, "star": 0.48,
                "heart": 0.52}  # fmt: skip
"""Height of a digit as a share of its object's side."""
DIGIT_CENTRE = {"circle": 0.5, "square": 0.5, "triangle": 0.66, "diamond": 0.5, "star": 0.54,
                "heart": 0.44}  # fmt: skip
"""Vertical centre of the digit as a share of the side, from the top."""


def outline(shape: str, side: float) -> list[tuple[float, float]]:
    """Polygon of `shape` in a box of `side` pixels, as (x, y) corners.

    Raises KeyError for an unknown shape.
    """
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    if shape == "circle":
        points = np.stack([0.5 + 0.5 * np.sin(turn), 0.5 - 0.5 * np.cos(turn)], 1)
    elif shape == "star":
        angle = np.arange(10) * np.pi / 5
        radius = np.where(np.arange(10) % 2 == 0, 0.54, 0.31)
        points = np.stack([0.5 + radius * np.sin(angle), 0.53 - radius * np.cos(angle)], 1)
    elif shape == "heart":
        x = 16 * np.sin(turn) ** 3
        y = 13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)
        points = np.stack([0.5 + x / 33, 0.46 - y / 31], 1)
    else:
        corners = {
            "square": [(0.04, 0.04), (0.96, 0.04), (0.96, 0.96), (0.04, 0.96)],
            "triangle": [(0.5, 0.0), (1.0, 0.96), (0.0, 0.96)],
            "diamond": [(0.5, 0.0), (1.0, 0.5), (0.5, 1.0), (0.0, 0.5)],
        }
        points = np.array(corners[shape])
    return [(float(x) * side, float(y) * side) for x, y in points]


@cache
def _font(height: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font (no font file is needed), scaled so that a digit is `height` px tall."""
    probe = ImageFont.load_default(200).getbbox("8")
    font = ImageFont.load_default(200 * height / (probe[3] - probe[1]))
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow was built with FreeType
    return font


def digit_box(shape: str, side: int) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the digit on an object of `side` px, from the object's corner."""
    height = DIGIT_HEIGHT[shape] * side
    centre = DIGIT_CENTRE[shape] * side
    return (
        side / 2 - 0.36 * height,
        centre - height / 2,
        side / 2 + 0.36 * height,
        centre + height / 2,
    )


@lru_cache(maxsize=16384)
def sprite(shape: str, colour: str, digit: int, side: int) -> np.ndarray:
    """RGBA pixels of one object: uint8 (side, side, 4), read-only."""
    big = side * SUPERSAMPLE
    mask = Image.new("L", (big, big), 0)
    ImageDraw.Draw(mask).polygon(outline(shape, big), fill=255)
    picture = Image.new("RGB", (big, big), COLOURS[colour])
    _, top, _, bottom = digit_box(shape, side)
    height = round((bottom - top) * SUPERSAMPLE)
    stroke = max(1, round(height * 0.045))
    pen = ImageDraw.Draw(picture)
    ink = (20, 20, 20) if colour in DARK_DIGIT_ON else (255, 255, 255)
    font = _font(height - 2 * stroke)
    centre = (big / 2, (top + bottom) / 2 * SUPERSAMPLE)
    left, up, right, down = pen.textbbox((0, 0), str(digit), font=font, stroke_width=stroke)
    corner = (centre[0] - (left + right) / 2, centre[1] - (up + down) / 2)
    pen.text(corner, str(digit), fill=ink, font=font, stroke_width=stroke, stroke_fill=ink)
    picture.putalpha(mask)
    pixels = np.asarray(picture.resize((side, side), Image.Resampling.BOX))
    pixels.flags.writeable = False
    return pixels
