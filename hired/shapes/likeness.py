"""Tests of whether a picture could be one of this world's, by the look that its makers give all.

Rules for warnings, no classifiers. A poster has what `scenes.background` and `sprites` put into
every one: light ground fills what objects leave, fine grain lies on it, and there are solid areas
of the eight colours. A document has what `printing` does: one ground, ink that stands out from it
on a small part of the page, and grain.
"""

import numpy as np
from PIL import Image

from hired.shapes.sprites import COLOURS

SIDE = 672  # px of a larger picture's middle that are looked at
LIGHT, TINT = 190, 60  # ground: its darkest channel at least, its channels' spread at most
NEAR = 60.0  # distance in RGB from one of the eight colours
EXPLAINED = 0.95  # share of a poster's pixels that is ground, its grey clutter or a known colour
GROUND = 0.6  # least share of ground
SOLID = 60  # least number of pixels with eight neighbours of the same known colour
GRAIN = (0.6, 9.0)  # root mean square between neighbours on the ground, in grey levels
PAGE_GROUND = 0.6  # least share of a document's pixels within `PLAIN` of their median, in RGB
PLAIN = 40.0
INK = (0.003, 0.4)  # share of the pixels nearer to the ink than to the ground
APART = 90.0  # least distance of ink and ground


def looks_like_poster(image: Image.Image) -> bool:
    """Test whether an RGB picture has the ground, the grain and the colours of a poster."""
    look = measure(image)
    return (
        look["explained"] >= EXPLAINED
        and look["ground"] >= GROUND
        and look["solid"] >= SOLID
        and GRAIN[0] <= look["grain"] <= GRAIN[1]
    )


def looks_like_page(image: Image.Image) -> bool:
    """Test whether an RGB picture has the ground, the ink and the grain of a document."""
    look = measure_page(image)
    return (
        look["ground"] >= PAGE_GROUND
        and look["apart"] >= APART
        and INK[0] <= look["ink"] <= INK[1]
        and GRAIN[0] <= look["grain"] <= GRAIN[1]
    )


def measure_page(image: Image.Image) -> dict[str, float]:
    """Measure the ground's share, the ink's, their distance, and the grain in grey levels."""
    pixels = np.asarray(_middle(image), np.float32)
    away = np.linalg.norm(pixels - np.median(pixels.reshape(-1, 3), axis=0), axis=2)
    apart = float(np.quantile(away, 0.995))
    ground = away <= PLAIN
    steps = np.abs(np.diff(pixels.mean(2), axis=1))[ground[:, 1:] & ground[:, :-1]]
    return {
        "ground": float(ground.mean()),
        "apart": apart,
        "ink": float((away > apart / 2).mean()),
        "grain": float(np.quantile(steps, 0.75)) if steps.size else 0.0,  # drawn larger: half are 0
    }


def measure(image: Image.Image) -> dict[str, float]:
    """Measure shares of pixels, the number of solid ones and the grain in grey levels."""
    pixels = np.asarray(_middle(image), np.float32)  # (H, W, 3)
    low, high = pixels.min(2), pixels.max(2)
    ground = (low >= LIGHT) & (high - low <= TINT)
    clutter = (high - low <= TINT / 2) & (low >= 95)
    distances = np.stack([np.linalg.norm(pixels - colour, axis=2) for colour in COLOURS.values()])
    nearest = np.where(distances.min(0) <= NEAR, distances.argmin(0), -1)
    steps = np.diff(pixels.mean(2), axis=1)[ground[:, 1:] & ground[:, :-1]]
    return {
        "explained": float((ground | clutter | (nearest >= 0)).mean()),
        "ground": float(ground.mean()),
        "solid": float(_solid(nearest).sum()),
        "grain": float(np.sqrt(np.median(steps**2))) if steps.size else 0.0,
    }


def _middle(image: Image.Image) -> Image.Image:
    """The picture itself, or its middle where it is large: resizing would take the grain away."""
    width, height = image.size
    wide, high = min(width, SIDE), min(height, SIDE)
    left, top = (width - wide) // 2, (height - high) // 2
    return image.crop((left, top, left + wide, top + high))


def _solid(nearest: np.ndarray) -> np.ndarray:
    """Pixels whose eight neighbours all have the same known colour: bool (H, W)."""
    same = nearest >= 0
    for axis in (0, 1):
        whole = same.copy()
        for shift in (-1, 1):
            moved = np.roll(nearest, shift, axis)
            whole &= (moved == nearest) & np.roll(same, shift, axis)
        same = whole
    return same
