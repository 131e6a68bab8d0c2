"""Patches that somebody picked, one by one: for asking what an answer becomes without an object."""

import re
import string
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Any, ClassVar

import torch
from torch import Tensor

from hired.encode import Vision
from hired.errors import SettingError
from hired.selectors.base import BUDGET, Selection, Selector, candidate_mask
from hired.settings import Setting, declared
from hired.tiles import TileGrid

ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"  # base64url
BITS = 6  # patches a character holds
RUN = 5  # from so many equal characters on, their number is written: `A~40~`
MOST_TILES, MOST_SIDE = 101, 99
EXAMPLE = "1x2x24.A~12~-.A~40~_8.B"

Picked = tuple[int, int, Tensor]  # rows and columns of crops, bool (T, N)


def write_patches(rows: int, cols: int, mask: Tensor) -> str:
    """Kept patches as text: `ROWSxCOLSxSIDE`, then of each tile its bits as base64url characters.

    Tiles are parted by dots; equal characters are counted and what follows the last kept patch of
    a tile is left out. Letters, digits and `-._~` only, so that it stands in a link as it is.

    Args:
        rows, cols: crops down and across; 0 x 0 when the overview is the only tile.
        mask: bool (T, N), overview first, crops row-major, patches raster.
    """
    side = round(mask.shape[1] ** 0.5)
    return ".".join([f"{rows}x{cols}x{side}", *(_write_tile(row) for row in mask.tolist())])


@lru_cache(64)
def read_patches(text: str) -> Picked:
    """Rows and columns of crops and the mask (T, N) that `write_patches` was given.

    Raises:
        SettingError: it is no such text, says more tiles or patches than an image can have, or
            keeps none.
    """
    head, *tiles = text.split(".")
    found = re.fullmatch(r"(\d{1,2})x(\d{1,2})x(\d{1,2})", head, re.ASCII)
    if not found:
        raise _wrong(
            f"begin with rows x columns of crops x patches along a tile; got {head[:20]!r}"
        )
    rows, cols, side = map(int, found.groups())
    count = 1 + rows * cols
    if not 1 <= side <= MOST_SIDE or count > MOST_TILES or (rows == 0) != (cols == 0):
        raise _wrong(
            f"say how an image is cut, into {MOST_TILES} tiles at most, 0x0 crops where "
            f"there is only the overview; got {head!r}"
        )
    if len(tiles) != count:
        raise _wrong(f"say {count} tiles after {head!r}, each after a dot; got {len(tiles)}")
    mask = torch.tensor([_read_tile(tile, side**2, index) for index, tile in enumerate(tiles)])
    if not mask.any():
        raise SettingError("No patch is picked. Keep at least one.")
    return rows, cols, mask


def _write_tile(kept: list[bool]) -> str:
    bits = "".join("01"[one] for one in kept).rstrip("0")
    bits += "0" * (-len(bits) % BITS)
    letters = "".join(ALPHABET[int(bits[at : at + BITS], 2)] for at in range(0, len(bits), BITS))
    return re.sub(rf"(.)\1{{{RUN - 1},}}", lambda run: f"{run[1]}~{len(run[0])}~", letters)


def _read_tile(text: str, patches: int, index: int) -> list[bool]:
    """The bits of one tile."""
    most, where = ceil(patches / BITS), f"tile {index + 1}"
    parts = re.findall(r"([\w-])(?:~(\d{1,4})~)?", text, re.ASCII)
    if "".join(one + (f"~{run}~" if run else "") for one, run in parts) != text:
        raise _wrong(f"are letters, digits, - and _; {where} is {text[:20]!r}")
    if sum(int(run or 1) for _, run in parts) > most:
        raise _wrong(f"are at most {most} characters a tile of {patches} patches; {where} has more")
    bits = "".join(f"{ALPHABET.index(one):06b}" * int(run or 1) for one, run in parts)
    if "1" in bits[patches:]:
        raise _wrong(f"are {patches} a tile; {where} says more")
    return [bit == "1" for bit in bits[:patches].ljust(patches, "0")]


def _wrong(what: str) -> SettingError:
    return SettingError(f"Picked patches {what}. Such as patches={EXAMPLE}.")


@dataclass(frozen=True, kw_only=True)
class Patches(Setting):
    """Picked patches as text, see `write_patches`; empty for all.

    Attributes:
        longest: characters such a text may have.
    """

    allowed = "empty for all, or as the page and ByHand.of write them"
    longest: ClassVar[int] = 12_000

    def fit(self, value: Any) -> str:
        """The shortest text of the same patches."""
        if not isinstance(value, str):
            raise TypeError
        if len(value) > self.longest:
            raise _wrong(f"are at most {self.longest} characters; got {len(value)}")
        return value and write_patches(*read_patches(value))

    def tell(self, name: str, value: str) -> str:
        """`120 patches`; the text itself is nothing to read."""
        return f"{int(read_patches(value)[2].sum())} patches" if value else "all patches"


@dataclass(frozen=True)
class ByHand(Selector):
    """Exactly the patches that were picked, on every image that is cut as theirs was.

    Attributes:
        budget: how many are picked; it follows from `patches`.
        patches: which, as `of` and the page write them; empty for every candidate.
    """

    budget: float | int = declared(1.0, BUDGET)
    patches: str = declared(
        "", Patches(label="Patches", help="the picked patches; empty for all of them")
    )

    name: ClassVar[str] = "hand"
    title: ClassVar[str] = "By hand"
    paper: ClassVar[str] = "picked by a person, no paper"
    summary: ClassVar[str] = "The patches that you pick in the picture, one by one."
    unused: ClassVar[tuple[str, ...]] = ("budget",)
    general: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check the settings and count the patches."""
        super().__post_init__()
        picked = int(read_patches(self.patches)[2].sum()) if self.patches else 1.0
        object.__setattr__(self, "budget", picked)

    @classmethod
    def of(cls, grid: TileGrid, mask: Tensor, **settings: Any) -> "ByHand":
        """The patches of a mask, bool (T, N), on images cut as `grid` says.

        Args:
            grid: the tiles, such as `Selection.grid`.
            mask: overview first, crops row-major, patches raster.
            settings: `newline` and `positions`.

        Raises:
            SettingError: the mask has another shape, keeps nothing, or keeps patches that show
                nothing of the image.
        """
        if mask.dtype != torch.bool or mask.shape != (grid.tiles, grid.patches):
            raise SettingError(
                f"mask is bool ({grid.tiles}, {grid.patches}), tiles x patches; got "
                f"{str(mask.dtype).removeprefix('torch.')} {tuple(mask.shape)}."
            )
        made = cls(patches=write_patches(grid.rows, grid.cols, mask), **settings)
        made.mask(grid)
        return made

    @classmethod
    def from_selection(cls, selection: Selection) -> "ByHand":
        """The patches that another method kept, to go on from; not what it merged into them."""
        mask = selection.mask & candidate_mask(selection.grid)
        own = {"newline": selection.newline, "positions": selection.positions}
        return cls.of(selection.grid, mask, **own)

    def mask(self, grid: TileGrid) -> Tensor:
        """The picked patches, bool (T, N).

        Raises:
            SettingError: they were picked on an image that is cut otherwise.
        """
        open_ = candidate_mask(grid)
        if not self.patches:
            return open_
        rows, cols, mask = read_patches(self.patches)
        ours, side = (grid.rows, grid.cols, grid.side), round(mask.shape[1] ** 0.5)
        if ours != (rows, cols, side):
            raise SettingError(
                f"The patches were picked on an image of {_cut(rows, cols, side)}; this one is cut "
                f"into {_cut(*ours)}. Pick them on this image, or take the one they were picked on."
            )
        if lost := int((mask & ~open_).sum()):
            raise SettingError(
                f"{lost} of the picked patches lie in the border of this image, which the model "
                f"does not read. Pick them on this image, or take the one they were picked on."
            )
        return mask

    def total(self, grid: TileGrid) -> int:
        """Number of picked patches."""
        return int(self.mask(grid).sum())

    def budgets(self, grid: TileGrid, overview: Tensor | None) -> list[int]:
        """Number of picked patches in each tile, known before anything is encoded."""
        return self.mask(grid).sum(dim=1).tolist()

    def scores(self, vision: Vision) -> Tensor:
        """1 of what is picked, 0 of all else."""
        return self.mask(vision.grid).float()


def _cut(rows: int, cols: int, side: int) -> str:
    """`an overview and 2 x 2 crops of 24 x 24 patches each`."""
    crops = f" and {rows} x {cols} crops" if rows else ""
    return f"an overview{crops} of {side} x {side} patches{' each' if rows else ''}"
