"""A test of whether a picture could be one of this world's posters, by the look they share.

A rule for warnings, not a classifier: it asks for the three things that `scenes.background` and
`sprites` put into every poster. Light ground fills what objects leave, fine grain lies on it, and
there are solid areas of the eight colours.
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


def looks_like_poster(image: Image.Image) -> bool:
    """Test whether an RGB picture has the ground, the grain and the colours of a poster."""
    look = measure(image)
    return (
        look["explained"] >= EXPLAINED
        and look["ground"] >= GROUND
        and look["solid"] >= SOLID
        and GRAIN[0] <= look["grain"] <= GRAIN[1]
    )


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
