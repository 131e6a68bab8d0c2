"""The tiles of an image: grid, canvas, letterbox, unpad. Integers only, no tensors.

Knows nothing of models. Everything here is a function of the image size and the model's
constants, which is why the number of visual tokens can be told before a pixel is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil

from hired.errors import InputError

Window = tuple[int, int, int, int]  # top, bottom, left, right; bottom and right excluded


@dataclass(frozen=True)
class TileGrid:
    """One image cut into an overview and `rows` x `cols` crops of a letterboxed canvas.

    Attributes:
        image_size: (height, width) of the image, pixels.
        rows, cols: crop grid; 0 x 0 when the overview is the only tile (LLaVA-1.5).
        tile: edge of a tile, pixels.
        patch: edge of a ViT patch, pixels.
        shown: what a single square shows of the image, as top, bottom, left, right in pixels of
            the image; beyond its borders where the square is padded. None where it is not known.
    """

    image_size: tuple[int, int]
    rows: int
    cols: int
    tile: int
    patch: int
    shown: Window | None = None

    @classmethod
    def fit(
        cls, image_size: Sequence[int], pinpoints: Sequence[Sequence[int]], tile: int, patch: int
    ) -> "TileGrid":
        """The anyres grid stock LLaVA-NeXT picks for an image (Liu et al. 2024, "anyres").

        Takes the pinpoint with the largest effective resolution, then the least waste, then the
        earliest. `image_size` and `pinpoints` are (height, width) in pixels.

        Raises:
            InputError: a side of the image is smaller than one pixel.
        """
        height, width = _checked(image_size)
        best = max(pinpoints, key=lambda pin: _fitness(height, width, *pin))
        return cls((height, width), best[0] // tile, best[1] // tile, tile, patch)

    @classmethod
    def single(
        cls, image_size: Sequence[int], tile: int, patch: int, shown: Window | None = None
    ) -> "TileGrid":
        """One partition only, as in LLaVA-1.5."""
        return cls(_checked(image_size), 0, 0, tile, patch, shown)

    @property
    def side(self) -> int:
        """Patches along a tile's edge."""
        return self.tile // self.patch

    @property
    def patches(self) -> int:
        """N, patches per tile."""
        return self.side**2

    @property
    def tiles(self) -> int:
        """T, tiles with the overview."""
        return 1 + self.rows * self.cols

    @property
    def nominal(self) -> int:
        """T·N, what a budget rate is a share of."""
        return self.tiles * self.patches

    @cached_property
    def letterbox(self) -> Window:
        """The window of the resized image on the canvas, in pixels (as the processor pastes it)."""
        height, width = self.image_size
        canvas_h, canvas_w = self.rows * self.tile, self.cols * self.tile
        scale_h, scale_w = canvas_h / height, canvas_w / width
        if scale_w < scale_h:
            new_h, new_w = min(ceil(height * scale_w), canvas_h), canvas_w
        else:
            new_h, new_w = canvas_h, min(ceil(width * scale_h), canvas_w)
        top, left = (canvas_h - new_h) // 2, (canvas_w - new_w) // 2
        return top, top + new_h, left, left + new_w

    @cached_property
    def unpadded(self) -> Window:
        """The window that stock `unpad_image` leaves of the canvas, in patches."""
        height, width = self.image_size
        canvas_h, canvas_w = self.rows * self.side, self.cols * self.side
        if self.tiles == 1:
            return 0, 0, 0, 0
        if width / height > canvas_w / canvas_h:
            new_h = int(round(height * (canvas_w / width), 7))
            pad = (canvas_h - new_h) // 2
            return pad, canvas_h - pad, 0, canvas_w
        new_w = int(round(width * (canvas_h / height), 7))
        pad = (canvas_w - new_w) // 2
        return 0, canvas_h, pad, canvas_w - pad

    def window(self, index: int) -> Window:
        """The candidate patches of tile `index` (0 = overview) as a window inside the tile."""
        if index == 0:
            return 0, self.side, 0, self.side
        row, col = divmod(index - 1, self.cols)
        top, bottom, left, right = self.unpadded
        return (
            *_clip(top - row * self.side, bottom - row * self.side, self.side),
            *_clip(left - col * self.side, right - col * self.side, self.side),
        )

    @cached_property
    def caps(self) -> tuple[int, ...]:
        """Candidates of each of the T tiles: patches that show some of the image."""
        windows = (self.window(index) for index in range(self.tiles))
        return tuple((bottom - top) * (right - left) for top, bottom, left, right in windows)

    @property
    def candidates(self) -> int:
        """Patches that can be kept: all of the overview, and of the crops what unpad leaves."""
        return sum(self.caps)

    @property
    def newline_rows(self) -> int:
        """Newline tokens stock LLaVA-NeXT adds: one per unpadded canvas row, none for one tile."""
        top, bottom, _, _ = self.unpadded
        return bottom - top

    @property
    def stock(self) -> int:
        """Visual tokens stock LLaVA feeds to the language model, newlines included."""
        return self.candidates + self.newline_rows

    def overlap(self, index: int) -> tuple[list[float], list[float]]:
        """The share of each overview patch row and column that lies in crop `index` (1-based).

        The share of overview patch (i, j) inside the crop is `rows[i] * cols[j]`, by area: the
        overview is the un-letterboxed image squeezed to a square, so the crop's window is mapped
        back through the letterbox (HiRED, section 4.2; the fractional boundaries are ours).
        """
        row, col = divmod(index - 1, self.cols)
        top, bottom, left, right = self.letterbox
        return (
            _shares(row * self.tile, self.tile, top, bottom, self.side),
            _shares(col * self.tile, self.tile, left, right, self.side),
        )


def _checked(image_size: Sequence[int]) -> tuple[int, int]:
    height, width = (int(side) for side in image_size)
    if height < 1 or width < 1:
        raise InputError(
            f"An image needs at least one pixel on each side; got height {height} and "
            f"width {width}. Use another image."
        )
    return height, width


def _fitness(height: int, width: int, pin_h: int, pin_w: int) -> tuple[int, int]:
    scale = min(pin_w / width, pin_h / height)
    effective = min(int(width * scale) * int(height * scale), width * height)
    return effective, effective - pin_h * pin_w


def _clip(low: int, high: int, side: int) -> tuple[int, int]:
    low, high = min(max(low, 0), side), min(max(high, 0), side)
    return low, max(low, high)


def _shares(start: int, length: int, low: int, high: int, side: int) -> list[float]:
    """Share of each of `side` equal cells of [low, high) that lies in [start, start + length)."""
    # In units of 1/side pixel everything is an integer, so the only rounding is the division.
    span = high - low
    first, last = (start - low) * side, (start + length - low) * side
    cells = ((cell * span, (cell + 1) * span) for cell in range(side))
    return [max(0, min(last, end) - max(first, begin)) / span for begin, end in cells]
