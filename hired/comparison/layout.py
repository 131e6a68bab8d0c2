"""The places of an image's tiles in a picture of it, and the pixels of each.

Knows grids and pixels, nothing of models or methods. The overview squeezed to a square is on the
left, the letterboxed canvas cut into crops on the right. Where there is one square only, it is
what the model's processor leaves of the image, and what it cuts off lies grey beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hired.tiles import TileGrid, Window

HEIGHT, WIDTH, GAP = 420, 560, 20  # of the canvas at most, and between overview and canvas; pixels
SINGLE = (780, 560)  # of the picture of a single square with what was cut off, at most; pixels
PADDING = (148, 156, 173)
DIM, HATCH, EDGE = (26, 29, 41), (70, 76, 98), (255, 255, 255)
MEAN = (122, 116, 104)  # what a processor pads to a square with: CLIP's mean colour

Pixels = NDArray[np.uint8]
Canvas = NDArray[np.uint32]  # (height, width) of the whole picture, RGBA in the bytes of each
Box = tuple[int, int, int, int]  # left, top, width, height


@dataclass(frozen=True, eq=False)
class Layout:
    """The places of everything in a picture of one image; reuse it to draw many.

    Attributes:
        image: RGB.
        grid: the image's tiles.
    """

    image: Image.Image
    grid: TileGrid

    @cached_property
    def shown(self) -> Window:
        """The part of the image that a single square shows, in its pixels; see `TileGrid.shown`.

        Where it is not known, the square in the middle, as LLaVA-1.5's stock processor leaves it.
        """
        height, width = self.image.height, self.image.width
        if self.grid.shown is None:
            top, left = max(0, height - width) // 2, max(0, width - height) // 2
            return top, height - top, left, width - left
        tall, wide = self.grid.image_size
        top, bottom, left, right = self.grid.shown
        down, across = height / tall, width / wide
        return round(top * down), round(bottom * down), round(left * across), round(right * across)

    @cached_property
    def margins(self) -> tuple[float, float, float, float]:
        """The parts cut off above, below, left and right of a single square, in its edges.

        At most one each: of a long panorama the ends are not drawn.
        """
        top, bottom, left, right = self.shown
        cuts = (top, self.image.height - bottom), (left, self.image.width - right)
        edges = bottom - top, right - left
        above, below, before, after = (
            min(1.0, max(0, cut) / edge)
            for pair, edge in zip(cuts, edges, strict=True)
            for cut in pair
        )
        return above, below, before, after

    @cached_property
    def unit(self) -> int:
        """Edge of a crop or of the single square in the picture, pixels."""
        if self.grid.tiles == 1:
            above, below, before, after = self.margins
            width, height = SINGLE
            return min(HEIGHT, int(width / (1 + before + after)), int(height / (1 + above + below)))
        return min(WIDTH // self.grid.cols, HEIGHT // self.grid.rows)

    @cached_property
    def boxes(self) -> tuple[Box, ...]:
        """The place of each of the T tiles, pixels."""
        grid, unit = self.grid, self.unit
        if grid.tiles == 1:
            above, _, before, _ = self.margins
            return ((round(before * unit), round(above * unit), unit, unit),)
        edge = max(200, grid.rows * unit)
        left, top = edge + GAP, (edge - grid.rows * unit) // 2
        crops = (
            (left + col * unit, top + row * unit, unit, unit)
            for row in range(grid.rows)
            for col in range(grid.cols)
        )
        return ((0, 0, edge, edge), *crops)

    @cached_property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture."""
        if self.grid.tiles == 1:
            (left, top, _, _), (_, below, _, after) = self.boxes[0], self.margins
            return (
                left + self.unit + round(after * self.unit),
                top + self.unit + round(below * self.unit),
            )
        return (
            max(left + width for left, _, width, _ in self.boxes),
            max(top + height for _, top, _, height in self.boxes),
        )

    @cached_property
    def tiles(self) -> tuple[Pixels, ...]:
        """The pixels of each tile at the size it is drawn, letterbox in `PADDING`."""
        grid, unit = self.grid, self.unit
        edge = self.boxes[0][2]
        if grid.tiles == 1:
            return (np.asarray(_cut_out(self.image, self.shown, (edge, edge))),)
        overview = np.asarray(_shrink(self.image, (edge, edge)))
        top, bottom, left, right = (round(side * unit / grid.tile) for side in grid.letterbox)
        canvas = Image.new("RGB", (grid.cols * unit, grid.rows * unit), PADDING)
        inside = max(1, right - left), max(1, bottom - top)
        canvas.paste(_shrink(self.image, inside), (left, top))
        pixels = np.asarray(canvas)
        return (
            overview,
            *(
                pixels[row * unit : (row + 1) * unit, col * unit : (col + 1) * unit]
                for row in range(grid.rows)
                for col in range(grid.cols)
            ),
        )

    @cached_property
    def plain(self) -> Canvas:
        """The picture with every patch kept."""
        return self.assemble(self.tiles)

    @cached_property
    def plain_edge(self) -> Canvas:
        """The same under the light line around what is kept."""
        return self.assemble([_lighten(tile) for tile in self.tiles])

    @cached_property
    def dropped(self) -> Canvas:
        """The picture with every patch dropped: dark, grey and hatched.

        The letterbox, which is no candidate, stays plain grey.
        """
        return self.assemble(self._dimmed)

    @cached_property
    def dropped_edge(self) -> Canvas:
        """The same under the light line around what is kept."""
        return self.assemble([_lighten(tile) for tile in self._dimmed])

    @cached_property
    def _dimmed(self) -> list[NDArray[np.floating]]:
        return [_dim(tile, self.grid, index) for index, tile in enumerate(self.tiles)]

    def assemble(self, tiles: Sequence[NDArray]) -> Canvas:
        """The tiles in their places on the ground, crops parted by a dark and light line."""
        out = self.ground.copy()
        for (left, top, wide, high), tile in zip(self.boxes, tiles, strict=True):
            out[top : top + high, left : left + wide, :3] = tile
            out[top : top + high, left : left + wide, 3] = 255
        for left, top, wide, high in self.boxes[1:]:
            first_row, first_col = top == self.boxes[1][1], left == self.boxes[1][0]
            if not first_row:
                out[top - 2 : top + 2, left : left + wide] = (0, 0, 0, 255)
                out[top - 1 : top + 1, left : left + wide] = (255, 255, 255, 255)
            if not first_col:
                out[top : top + high, left - 2 : left + 2] = (0, 0, 0, 255)
                out[top : top + high, left - 1 : left + 1] = (255, 255, 255, 255)
        return out.view(np.uint32)[..., 0]

    @cached_property
    def ground(self) -> Pixels:
        """The ground under the tiles, RGBA: nothing, or in grey what a single square cuts off."""
        width, height = self.size
        under = np.zeros((height, width, 4), dtype=np.uint8)
        if any(self.margins) and self.grid.tiles == 1:
            top, bottom, left, right = self.shown
            above, below, before, after = self.margins
            tall, wide = bottom - top, right - left
            whole = (
                round(top - above * tall),
                round(bottom + below * tall),
                round(left - before * wide),
                round(right + after * wide),
            )
            pixels = np.asarray(_cut_out(self.image, whole, (width, height)))
            under[..., :3] = 0.3 * pixels.mean(axis=2, keepdims=True) + 0.7 * np.array(PADDING)
            under[..., 3] = 255
        return under


def as_image(canvas: Canvas) -> Image.Image:
    """A picture as PIL takes it, RGBA."""
    return Image.fromarray(canvas[..., None].view(np.uint8))


def spread(cells: NDArray, edge: int) -> NDArray:
    """(side, side) -> (edge, edge), each cell a block."""
    index = np.arange(edge) * len(cells) // edge
    return cells[index][:, index]


def cut_words(grid: TileGrid) -> str:
    """Tell what a single square leaves out of the image, or that it was padded; "" if neither."""
    if grid.tiles > 1 or grid.shown is None:
        return ""
    (height, width), (top, bottom, left, right) = grid.image_size, grid.shown
    sides = " and ".join(
        words
        for words, cut in (
            ("at the top and bottom", max(0, top, height - bottom)),
            ("on the left and right", max(0, left, width - right)),
        )
        if cut
    )
    if not sides:
        return ""
    seen = (min(bottom, height) - max(top, 0)) * (min(right, width) - max(left, 0))
    return (
        f"The model sees only the middle of this image: {1 - seen / (height * width):.0%} of it, "
        f"{sides}, was cut off by the model's image processor and is grey here."
    ).replace("%", " %")


def _dim(tile: Pixels, grid: TileGrid, index: int) -> NDArray[np.floating]:
    """A tile without any patch, not yet rounded."""
    edge = tile.shape[0]
    inside = np.zeros((grid.side, grid.side), dtype=bool)
    top, bottom, left, right = grid.window(index)
    inside[top:bottom, left:right] = True
    grey = tile.mean(axis=2, keepdims=True)
    dropped = 0.22 * grey + 0.78 * np.array(DIM)
    rows, cols = np.indices((edge, edge), sparse=True)
    dropped[(rows + cols) % 9 == 0] = HATCH
    return np.where(spread(inside, edge)[..., None], dropped, np.array(PADDING))


def _lighten(tile: NDArray) -> NDArray[np.floating]:
    return 0.25 * tile + 0.75 * np.array(EDGE)


def _shrink(
    image: Image.Image, size: tuple[int, int], box: tuple[int, int, int, int] | None = None
) -> Image.Image:
    return image.resize(size, Image.Resampling.BICUBIC, box, reducing_gap=2.0)  # fast for photos


def _cut_out(image: Image.Image, window: Window, size: tuple[int, int]) -> Image.Image:
    """A window of the image at a size; what lies beyond the image's borders is `MEAN`."""
    top, bottom, left, right = window
    if min(top, left) >= 0 and bottom <= image.height and right <= image.width:
        return _shrink(image, size, (left, top, right, bottom))
    across, down = size[0] / (right - left), size[1] / (bottom - top)
    inside = (max(0, left), max(0, top), min(right, image.width), min(bottom, image.height))
    place = (round((inside[0] - left) * across), round((inside[1] - top) * down))
    end = (round((inside[2] - left) * across), round((inside[3] - top) * down))
    out = Image.new("RGB", size, MEAN)
    part = max(1, end[0] - place[0]), max(1, end[1] - place[1])
    out.paste(_shrink(image, part, inside), place)
    return out
