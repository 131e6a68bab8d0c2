"""A document's pixels: ground, rules, bars, words, a slight turn, stamps and noise."""

import math

import numpy as np
from PIL import Image, ImageDraw

from hired.shapes.documents import Document
from hired.shapes.lettering import letter

CONTRAST = 105
"""Least distance between ink and ground, in grey levels."""


def _colours(rng: np.random.Generator, ground: str) -> tuple[np.ndarray, np.ndarray]:
    """Ground and ink, RGB."""
    dark = ground == "board" or (ground == "screen" and rng.random() < 0.4)
    if ground == "kraft":
        return rng.uniform((178, 150, 110), (210, 182, 140)), rng.uniform(10, 50, 3)
    if dark:
        base = rng.uniform(8, 55, 3)
        ink = np.array(((255, 190, 40), (240, 240, 235), (250, 230, 90), (150, 240, 160)))
        return base, ink[rng.integers(4)] * rng.uniform(0.8, 1)
    base = rng.uniform(214, 254) + rng.uniform(-10, 4, 3)
    ink = rng.uniform(0, 100) + rng.uniform(-25, 25, 3)
    return base, np.clip(ink, 0, base.min() - CONTRAST)


def _ground(rng: np.random.Generator, ground: str, base: np.ndarray, w: int, h: int) -> np.ndarray:
    """The empty page: float32 (h, w, 3)."""
    if ground == "screen":
        ramp = np.linspace(0, rng.uniform(-14, 14), h, dtype=np.float32)[:, None, None]
        return np.broadcast_to(base.astype(np.float32), (h, w, 3)) + ramp
    spread = 5 if ground == "paper" else 3
    coarse = rng.normal(0, spread, (h // 40 + 2, w // 40 + 2, 3)) + base
    picture = Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8))
    return np.asarray(picture.resize((w, h), Image.Resampling.BICUBIC), np.float32)


def _lines(rng: np.random.Generator, page: Document, scale: int) -> Image.Image:
    """Rules and bars as an RGBA layer that is turned with the page."""
    layer = Image.new("RGBA", (page.width * scale, page.height * scale))
    pen = ImageDraw.Draw(layer)
    grey = int(rng.integers(110, 190))
    for y in page.rules:
        if rng.random() < 0.8:
            pen.line((6 * scale, y * scale, (page.width - 6) * scale, y * scale),
                     fill=(grey, grey, grey, 255), width=scale)  # fmt: skip
    tint = tuple(int(c) for c in rng.integers(60, 200, 3))
    for bar in page.bars:
        pen.rectangle([side * scale for side in (bar.left, bar.top, bar.right, bar.bottom)],
                      fill=(*tint, 255))  # fmt: skip
    return layer


def _stamp(rng: np.random.Generator, page: Document, scale: int) -> Image.Image:
    """A round or square stamp, thin enough to be read through, and specks."""
    layer = Image.new("RGBA", (page.width * scale, page.height * scale))
    pen = ImageDraw.Draw(layer)
    for _ in range(rng.poisson(page.width * page.height / 9000)):
        x, y = rng.uniform(0, page.width) * scale, rng.uniform(0, page.height) * scale
        r = rng.uniform(0.4, 1.2) * scale
        grey = int(rng.integers(90, 200))
        pen.ellipse((x - r, y - r, x + r, y + r), fill=(grey, grey, grey, 190))
    if rng.random() < 0.3:
        x, y = rng.uniform(0, page.width) * scale, rng.uniform(0, page.height) * scale
        r = rng.uniform(16, 40) * scale
        tint = ((190, 40, 50, 90), (50, 60, 180, 90))[rng.integers(2)]
        draw = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        draw(
            (x - r, y - r * 0.7, x + r, y + r * 0.7), outline=tint, width=max(1, round(1.5 * scale))
        )
    return layer


def _text(page: Document, scale: int) -> Image.Image:
    """All words as one grey mask."""
    plane = np.zeros((page.height * scale, page.width * scale), np.uint8)
    for word in page.words:
        mask = letter(word.text, page.look.font, word.height * scale).mask
        x, y = word.x * scale, word.y * scale
        part = plane[y : y + mask.shape[0], x : x + mask.shape[1]]
        np.maximum(part, mask[: part.shape[0], : part.shape[1]], out=part)
    return Image.fromarray(plane)


def _turn(layer: Image.Image, degrees: float) -> Image.Image:
    """The layer turned about its middle, as `documents.turned` turns points."""
    if not degrees:
        return layer
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = layer.width / 2, layer.height / 2
    back = (cosine, sine, x - cosine * x - sine * y, -sine, cosine, y + sine * x - cosine * y)
    return layer.transform(layer.size, Image.Transform.AFFINE, back, Image.Resampling.BICUBIC)


def render(page: Document, scale: int = 1) -> Image.Image:
    """The page's pixels at `scale` times its size (an RGB image)."""
    rng = np.random.default_rng(page.seed)
    base, ink = _colours(rng, page.look.ground)
    canvas = _ground(rng, page.look.ground, base, page.width, page.height)
    if scale != 1:
        size = (page.width * scale, page.height * scale)
        smooth = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
        canvas = np.asarray(smooth.resize(size, Image.Resampling.BICUBIC), np.float32)
    if page.rules or page.bars:
        canvas = _over(canvas, _turn(_lines(rng, page, scale), page.look.turn))
    alpha = np.asarray(_turn(_text(page, scale), page.look.turn), np.float32)[..., None] / 255
    canvas = canvas + (ink.astype(np.float32) - canvas) * alpha
    canvas = _over(canvas, _stamp(rng, page, scale))
    grain = rng.standard_normal((page.height, page.width), np.float32) * rng.uniform(1, 5)
    canvas = canvas + np.kron(grain, np.ones((scale, scale), np.float32))[..., None]
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))


def _over(canvas: np.ndarray, layer: Image.Image) -> np.ndarray:
    """The layer laid over the canvas."""
    pixels = np.asarray(layer, np.float32)
    alpha = pixels[..., 3:] / 255
    return canvas + (pixels[..., :3] - canvas) * alpha
