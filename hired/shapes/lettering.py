"""One word's pixels in one of the documents' fonts, as a grey mask.

The fonts are those that matplotlib and Pillow bring along: no font file is shipped or fetched.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

OWN = "Pillow"
"""Names the font inside Pillow; all others are files of matplotlib."""
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral",
         "STIXGeneralBol", OWN)  # fmt: skip
HELD_OUT_FONTS = ("DejaVuSerif-Bold", "DejaVuSansMono-Bold")
"""Fonts of no training page; the tower's reading is measured on them too."""
MIDDLE = 0.45
"""Height of a line's middle, from the top of its box, as a share of the box."""


@dataclass(frozen=True)
class Lettered:
    """A word's `mask` (height, width), uint8, and its characters' centres in px from its left."""

    mask: np.ndarray
    centres: tuple[float, ...]


@cache
def _folder() -> Path:
    spec = find_spec("matplotlib")
    assert spec and spec.origin  # a requirement
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


def _open(name: str, size: float) -> ImageFont.FreeTypeFont:
    if name == OWN:
        font = ImageFont.load_default(size)
        assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow was built with FreeType
        return font
    return ImageFont.truetype(_folder() / f"{name}.ttf", size)


@cache
def _font(name: str, height: int) -> tuple[ImageFont.FreeTypeFont, int]:
    """The largest font whose tall and low letters fit into `height` px, and its baseline's y."""
    _, top, _, bottom = _open(name, 200).getbbox("dgT0", anchor="ls")
    size = 200 * height / (bottom - top)
    while True:  # hinting moves edges by up to a pixel
        font = _open(name, size)
        _, top, _, bottom = font.getbbox("dgT0", anchor="ls")
        if bottom - top <= height:
            return font, round(-top)
        size -= 0.2


@cache
def _advance(character: str, font: str, height: int) -> float:
    """Width of one character in px; kerning, less than half a px, is left out."""
    return _font(font, height)[0].getlength(character)


@lru_cache(maxsize=1 << 15)
def letter(text: str, font: str, height: int) -> Lettered:
    """The word in a box `height` px high that fits the font's tallest and lowest letters."""
    face, baseline = _font(font, height)
    width = int(np.ceil(face.getlength(text))) + 1
    picture = Image.new("L", (width, height))
    ImageDraw.Draw(picture).text((0, baseline), text, fill=255, font=face, anchor="ls")
    mask = np.asarray(picture)
    widths = np.array([_advance(character, font, height) for character in text])
    return Lettered(mask, tuple(np.cumsum(widths) - widths / 2))
