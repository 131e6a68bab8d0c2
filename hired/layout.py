"""Where the tiles of one image lie in a picture of it, and the pixels of each.

Knows grids and pixels, nothing of models or methods. The overview squeezed to a square is on the
left, the letterboxed canvas cut into crops on the right. Where there is one square only, it is
what the model's processor leaves of the image, and what it cuts off lies grey beside it.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hired.tiles import TileGrid, Window

HEIGHT, WIDTH, GAP = 420, 560, 20  # of the canvas at most, and between overview and canvas; pixels
SINGLE = (780, 560)  # of the picture of a single square with what was cut off, at most; pixels
PADDING = (148, 156, 173)
MEAN = (122, 116, 104)  # what a processor pads to a square with: CLIP's mean colour

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # left, top, width, height


@dataclass(frozen=True, eq=False)
class Layout:
    """Where everything lies in a picture of one image; reuse it to draw many.

    Attributes:
        image: RGB.
        grid: the image's tiles.
    """

    image: Image.Image
    grid: TileGrid

    @cached_property
    def shown(self) -> Window:
        """What a single square shows of the image, in its pixels; see `TileGrid.shown`.

        Where nobody knows, what the stock processor of LLaVA-1.5 leaves: the square in the middle.
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
        """What is cut off above, below, left and right of a single square, in its edges.

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
        """Where each of the T tiles lies, pixels."""
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
    def ground(self) -> Pixels:
        """What lies under the tiles, RGBA: nothing, or in grey what a single square cuts off."""
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


def cut_words(grid: TileGrid) -> str:
    """What a single square leaves out of the image, or that it was padded; "" if neither."""
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
