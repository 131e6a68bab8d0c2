"""Posters: the places of their objects, their backgrounds, and their making from seeds.

A scene is a description; `render` makes its pixels. Streams (training, validation, test,
examples) draw from disjoint seed sequences: a stream's name is part of the seed's entropy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from hired.shapes.sprites import COLOUR_NAMES, SHAPES, digit_box, sprite

TILE = 168
PATCH = 14
SIDE = TILE // PATCH
GRIDS = ((1, 2), (2, 1), (2, 2), (3, 1), (1, 3))
"""Rows and columns of crops, in the order of `PINPOINTS`."""
PINPOINTS = [[rows * TILE, columns * TILE] for rows, columns in GRIDS]
STREAMS = {"train": 1, "validation": 2, "test": 3, "examples": 4}
SPLITS = {"sparse": 1, "large": 2, "dense": 3, "alike": 4}
"""`dense`, a page full of small objects, and `alike` are for training."""
SMALL = (30, 36)
LARGE = (64, 104)
Pair = tuple[np.ndarray, np.ndarray]
CONTENT_SHARE = 0.08
"""Largest share of a sparse poster's patches (overview and crops) that objects may cover."""


@dataclass(frozen=True)
class Thing:
    """One object: `x`, `y` is the top left corner of its box of `side` px."""

    shape: str
    colour: str
    digit: int
    x: int
    y: int
    side: int

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of the box, (x, y) px."""
        return self.x + self.side / 2, self.y + self.side / 2


@dataclass(frozen=True)
class Scene:
    """A poster of `width` x `height` px; `seed` drives its background."""

    width: int
    height: int
    things: tuple[Thing, ...]
    seed: int

    def canvas(self) -> tuple[int, int, int, int]:
        """Grid rows, columns and the left, top of the poster on the letterboxed canvas.

        Posters are drawn so that one side equals the canvas: nothing is rescaled.
        """
        rows, columns = grid_of(self.width, self.height)
        return rows, columns, (columns * TILE - self.width) // 2, (rows * TILE - self.height) // 2


def grid_of(width: int, height: int) -> tuple[int, int]:
    """Rows and columns of crops that LLaVA-NeXT chooses for a poster (its rule, in integers)."""
    best, key = GRIDS[0], (-1, 0)
    for rows, columns in GRIDS:
        canvas_h, canvas_w = rows * TILE, columns * TILE
        scale = min(canvas_w / width, canvas_h / height)
        fit = int(width * scale) * int(height * scale)
        used = min(fit, width * height)
        candidate = (used, used - canvas_w * canvas_h)
        if candidate > key:
            best, key = (rows, columns), candidate
    return best


def generator(stream: str, split: str, seed: int, index: int) -> np.random.Generator:
    """Random numbers of one poster; streams and splits never share a sequence."""
    return np.random.default_rng([STREAMS[stream], SPLITS[split], seed, index])


def poster_size(rng: np.random.Generator) -> tuple[int, int]:
    """Width and height of a poster: one of the five canvases, half of them letterboxed."""
    while True:
        rows, columns = GRIDS[rng.choice(5, p=(0.18, 0.18, 0.36, 0.14, 0.14))]
        width, height = columns * TILE, rows * TILE
        if rng.random() < 0.5:
            if rng.random() < 0.5:
                width = round(width * rng.uniform(0.62, 0.98))
            else:
                height = round(height * rng.uniform(0.62, 0.98))
        if grid_of(width, height) == (rows, columns):
            return width, height


def _digit_whole(scene: tuple[int, int], thing: Thing) -> bool:
    """Test whether the digit lies inside one crop, a pixel from its border."""
    rows, columns, left, top = Scene(*scene, (), 0).canvas()
    x0, y0, x1, y1 = digit_box(thing.shape, thing.side)
    for low, high, count in (
        (thing.x + left + x0, thing.x + left + x1, columns),
        (thing.y + top + y0, thing.y + top + y1, rows),
    ):
        for border in range(TILE, count * TILE, TILE):
            if low - 1 < border < high + 1:
                return False
    return True


def place(
    rng: np.random.Generator,
    size: tuple[int, int],
    count: int,
    sides: tuple[int, int],
    gap: int = 6,
    whole: bool = True,
    distinct: bool = False,
) -> list[Thing]:
    """Up to `count` objects that do not touch one another, inside a poster of `size` (w, h).

    `whole` keeps every digit inside one crop (an object may straddle crops, its digit may not);
    `distinct` allows each pair of colour and shape once.
    """
    things: list[Thing] = []
    for _ in range(count * 12):
        if len(things) == count:
            break
        side = int(rng.integers(sides[0], sides[1] + 1))
        side -= side % 8 if side > 48 else 0  # few distinct big sprites: they are slow to draw
        if side + 4 > min(size):
            continue
        x = int(rng.integers(2, size[0] - side - 1))
        y = int(rng.integers(2, size[1] - side - 1))
        shape = SHAPES[rng.integers(len(SHAPES))]
        colour = COLOUR_NAMES[rng.integers(len(COLOUR_NAMES))]
        thing = Thing(shape, colour, int(rng.integers(10)), x, y, side)
        if any(
            abs(x + side / 2 - o.centre[0]) < (side + o.side) / 2 + gap
            and abs(y + side / 2 - o.centre[1]) < (side + o.side) / 2 + gap
            for o in things
        ):
            continue
        if distinct and any((o.shape, o.colour) == (shape, colour) for o in things):
            continue
        if not whole or _digit_whole(size, thing):
            things.append(thing)
    return things


def sparse_scene(rng: np.random.Generator) -> Scene:
    """A poster of 1-6 small objects that cover at most `CONTENT_SHARE` of its patches."""
    width, height = poster_size(rng)
    seed = int(rng.integers(2**31))
    count = int(rng.choice(6, p=(0.08, 0.14, 0.2, 0.22, 0.2, 0.16))) + 1
    things = place(rng, (width, height), count, SMALL)
    scene = Scene(width, height, tuple(things), seed)
    while len(things) > 1 and thing_patches(scene).sum() > CONTENT_SHARE * patches(scene):
        things.pop()
        scene = Scene(width, height, tuple(things), seed)
    return scene


def large_scene(rng: np.random.Generator) -> Scene:
    """A poster of 1-5 big objects, where most tokens repeat one another."""
    width, height = poster_size(rng)
    count = int(rng.integers(1, 6))
    things = place(rng, (width, height), count, LARGE, whole=False)
    return Scene(width, height, tuple(things), int(rng.integers(2**31)))


def dense_scene(rng: np.random.Generator) -> Scene:
    """A page of 4-20 small objects, as full as text is."""
    width, height = poster_size(rng)
    room = width * height // (TILE * TILE)
    count = int(rng.integers(4, 5 * max(1, room) + 1))
    things = place(rng, (width, height), count, SMALL)
    return Scene(width, height, tuple(things), int(rng.integers(2**31)))


def alike_scene(rng: np.random.Generator) -> Scene:
    """A sparse poster in two colours: lists go wrong where several objects share a colour."""
    scene = sparse_scene(rng)
    tints = rng.choice(COLOUR_NAMES, 2)
    things = tuple(replace(thing, colour=str(rng.choice(tints))) for thing in scene.things)
    return replace(scene, things=things)


def scene_for(stream: str, split: str, seed: int, index: int) -> Scene:
    """Poster number `index` of a stream: the same arguments always give the same poster."""
    rng = generator(stream, split, seed, index)
    make = {
        "sparse": sparse_scene,
        "large": large_scene,
        "dense": dense_scene,
        "alike": alike_scene,
    }[split]
    return make(rng)


def patches(scene: Scene) -> int:
    """Visual patches of the poster, overview included, letterbox included."""
    rows, columns = grid_of(scene.width, scene.height)
    return (1 + rows * columns) * SIDE * SIDE


def patches_at(width: int, height: int, x: np.ndarray, y: np.ndarray) -> Pair:
    """Numbers (of T * N, overview first) of the overview's and the crops' patches that show points
    of a picture of `width` x `height` px.
    """
    _, columns, left, top = Scene(width, height, (), 0).canvas()
    view = (y * SIDE // height).astype(int) * SIDE + (x * SIDE // width).astype(int)
    row, column = ((y + top) // PATCH).astype(int), ((x + left) // PATCH).astype(int)
    tile = 1 + row // SIDE * columns + column // SIDE
    return view, tile * SIDE**2 + row % SIDE * SIDE + column % SIDE


def covered_patches(
    width: int, height: int, covers: Sequence[Pair], area: float, share: float
) -> np.ndarray:
    """Patches at least a `share` of which each of `covers` covers, points (x and y) that stand for
    `area` px: bool (covers, T, N), overview first, of a picture of `width` x `height` px.
    """
    rows, columns = grid_of(width, height)
    tiles = 1 + rows * columns
    points = np.zeros((len(covers), tiles, SIDE**2))
    for plane, (x, y) in zip(points, covers, strict=True):
        shown = np.concatenate(patches_at(width, height, x, y))
        plane[:] = np.bincount(shown, minlength=plane.size).reshape(plane.shape)
    room = np.full((tiles, 1), float(PATCH**2))
    room[0] = width * height / SIDE**2
    return points * area >= share * room


def thing_patches(scene: Scene, share: float = 0.25) -> np.ndarray:
    """Patches of whose area each object covers at least `share`: bool (things, T, N),
    overview first.
    """
    covers = []
    for thing in scene.things:
        solid = sprite(thing.shape, thing.colour, thing.digit, thing.side)[..., 3] > 127
        down, right = np.nonzero(solid)
        covers.append((right + thing.x + 0.5, down + thing.y + 0.5))
    return covered_patches(scene.width, scene.height, covers, 1, share)


def object_patches(scene: Scene, share: float = 0.25) -> np.ndarray:
    """Patches of which one object covers at least `share`: bool (T, N), overview first."""
    return np.logical_or.reduce(thing_patches(scene, share), axis=0)


def background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A light, textured background with clutter (lines, dots, specks): uint8 (height, width, 3)."""
    base = rng.uniform(218, 252, 3)
    coarse = rng.normal(0, 5, (height // 48 + 2, width // 48 + 2, 3)) + base
    picture = Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8))
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    area = width * height / TILE**2
    for _ in range(rng.poisson(2.2 * area)):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        dx, dy = rng.normal(0, 40, 2) * rng.choice(((1, 0.05), (0.05, 1), (1, 1)))
        grey = int(rng.integers(120, 205))
        pen.line((x, y, x + dx, y + dy), fill=(grey,) * 3, width=int(rng.integers(1, 3)))
    for _ in range(rng.poisson(6 * area)):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.6, 2.4)
        grey = int(rng.integers(110, 200))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(grey,) * 3)
    grain = rng.normal(0, 3, (height, width, 1)).astype(np.float32)
    return np.clip(np.asarray(picture, np.float32) + grain, 0, 255).astype(np.uint8)


def paste(canvas: np.ndarray, thing: Thing, scale: int = 1) -> None:
    """Draw one object onto `canvas` (uint8 (H, W, 3)) in place; what lies outside is cut off."""
    side = thing.side * scale
    x, y = thing.x * scale, thing.y * scale
    x0, y0 = max(0, x), max(0, y)
    x1, y1 = min(canvas.shape[1], x + side), min(canvas.shape[0], y + side)
    if x0 >= x1 or y0 >= y1:
        return
    pixels = sprite(thing.shape, thing.colour, thing.digit, side)[y0 - y : y1 - y, x0 - x : x1 - x]
    alpha = pixels[..., 3:].astype(np.uint16)
    below = canvas[y0:y1, x0:x1]
    canvas[y0:y1, x0:x1] = (pixels[..., :3] * alpha + below * (255 - alpha)) // 255


def render(scene: Scene, scale: int = 1) -> Image.Image:
    """The poster's pixels at `scale` times its size (an RGB image)."""
    rng = np.random.default_rng(scene.seed)
    canvas = background(rng, scene.width, scene.height)
    if scale != 1:
        size = (scene.width * scale, scene.height * scale)
        canvas = np.asarray(Image.fromarray(canvas).resize(size, Image.Resampling.BICUBIC)).copy()
    for thing in scene.things:
        paste(canvas, thing, scale)
    return Image.fromarray(canvas)
