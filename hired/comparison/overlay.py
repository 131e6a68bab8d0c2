"""A selection and the attention behind it as pictures, and the same in words.

Knows grids, masks and pixels, nothing of models. A picture shows the image as the model sees it.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hired.comparison.layout import Layout, as_image, cut_words, spread
from hired.selectors import Selection, candidate_mask
from hired.tiles import TileGrid

# Dark to bright with steadily rising luminance, so that it reads without colour too.
HEAT = np.array(
    [(8, 8, 32), (52, 20, 92), (112, 30, 110), (172, 45, 96), (222, 82, 66), (247, 143, 36),
     (249, 205, 70), (252, 253, 191)],
    dtype=np.float64,
)  # fmt: skip


# Of two selections: far apart in luminance from each other's marks, so that shapes carry it.
FIRST, SECOND, MARK, ABSENT = (96, 165, 250), (251, 191, 36), (15, 23, 42), (26, 29, 41)


def draw_plain(image: Image.Image | Layout, grid: TileGrid | None = None) -> Image.Image:
    """The image as the model sees it, nothing marked."""
    return as_image(_layout(image, grid).plain)


def draw_kept(image: Image.Image | Layout, selection: Selection) -> Image.Image:
    """The image with everything dropped dimmed, hatched and outlined; RGBA.

    Args:
        image: RGB, or its layout when several pictures are drawn of it.
        selection: what is kept of it.
    """
    layout = _layout(image, selection.grid)
    kept = np.zeros(layout.size[::-1], dtype=bool)
    border = np.zeros_like(kept)
    mask = selection.mask.numpy().reshape(layout.grid.tiles, layout.grid.side, -1)
    for (left, top, edge, _), cells in zip(layout.boxes, mask, strict=True):
        place = slice(top, top + edge), slice(left, left + edge)
        inside, line = spread(cells, edge), border[place]
        kept[place] = inside
        line[:, 1:] |= inside[:, 1:] != inside[:, :-1]
        line[1:] |= inside[1:] != inside[:-1]
    lined = np.where(kept, layout.plain_edge, layout.dropped_edge)
    drawn = np.where(border, lined, np.where(kept, layout.plain, layout.dropped))
    return as_image(drawn)


def draw_difference(
    image: Image.Image | Layout, first: Selection, second: Selection
) -> Image.Image:
    """The image with what two selections of it keep; RGBA. Kept by both is plain, kept by neither
    dimmed; what only the first keeps is striped, what only the second keeps is dotted.
    """
    layout = _layout(image, first.grid)
    drawn = []
    masks = (first.mask.numpy(), second.mask.numpy())
    for index, tile in enumerate(layout.tiles):
        edge, side = tile.shape[0], layout.grid.side
        one, two = (spread(mask[index].reshape(side, side), edge) for mask in masks)
        down, right = np.mgrid[0:edge, 0:edge]
        striped, dotted = (down + right) % 8 < 3, (down % 7 < 3) & (right % 7 < 3)
        faint = (0.25 * tile + 0.75 * np.array(ABSENT)).astype(np.uint8)
        lit = np.where((one | two)[..., None], tile, faint)
        for alone, marks, colour in ((one & ~two, striped, FIRST), (two & ~one, dotted, SECOND)):
            lit = np.where(alone[..., None], 0.35 * tile + 0.65 * np.array(colour), lit)
            lit = np.where((alone & marks)[..., None], np.array(MARK), lit)
        drawn.append(lit.astype(np.uint8))
    return as_image(layout.assemble(drawn))


def count_difference(first: Selection, second: Selection) -> tuple[int, int, int]:
    """Patches that reach the model in both selections, in the first only, in the second only."""
    open_ = candidate_mask(first.grid)
    one, two = first.mask & open_, second.mask & open_
    return int((one & two).sum()), int((one & ~two).sum()), int((two & ~one).sum())


def draw_attention(
    image: Image.Image | Layout, grid: TileGrid, attention: NDArray[np.floating]
) -> Image.Image:
    """CLS attention laid over the image, all tiles on one scale; RGBA.

    Args:
        image: RGB, or its layout.
        grid: its tiles.
        attention: (T, N), not negative.
    """
    layout = _layout(image, grid)
    weights = np.asarray(attention, dtype=np.float64).reshape(grid.tiles, grid.side, grid.side)
    weights = np.where(_candidates(grid), weights, 0.0)
    high = np.quantile(weights, 0.995) or weights.max() or 1.0
    levels = np.sqrt(np.clip(weights / high, 0, 1))  # attention is skewed; a root shows the middle
    drawn = []
    for tile, level in zip(layout.tiles, levels, strict=True):
        grey = tile.mean(axis=2, keepdims=True)
        heat = _heat(spread(level, tile.shape[0]))
        drawn.append((0.3 * grey + 0.7 * heat).astype(np.uint8))
    return as_image(layout.assemble(drawn))


def tile_name(grid: TileGrid, index: int) -> str:
    """`overview`, or `crop 1,2` by row and column."""
    if index == 0:
        return "overview"
    row, col = divmod(index - 1, grid.cols)
    return f"crop {row + 1},{col + 1}"


def count_tiles(selection: Selection) -> list[dict[str, str | int | float]]:
    """Count a tile: its `name`, `kept` patches of its `candidates`, its `share` of all kept."""
    counts = (selection.mask & candidate_mask(selection.grid)).sum(dim=1).tolist()
    total = max(1, sum(counts))
    return [
        {
            "name": tile_name(selection.grid, index),
            "kept": count,
            "candidates": cap,
            "share": count / total,
        }
        for index, (count, cap) in enumerate(zip(counts, selection.grid.caps, strict=True))
    ]


def describe_kept(selection: Selection) -> str:
    """The picture of a selection in words."""
    tiles = "; ".join(
        f"{tile['name']} {tile['kept']} of {tile['candidates']}" for tile in count_tiles(selection)
    )
    return (
        f"{selection.kept} of {selection.nominal} patches are kept and the rest is dimmed and "
        f"hatched. Kept per partition: {tiles}. {cut_words(selection.grid)}"
    ).strip()


def describe_attention(grid: TileGrid, attention: NDArray[np.floating]) -> str:
    """A heat map in words: how attention is spread over the overview's quarters and the tiles."""
    weights = np.asarray(attention, dtype=np.float64).reshape(grid.tiles, grid.side, grid.side)
    weights = np.where(_candidates(grid), weights, 0.0)
    overview, half = weights[0], grid.side // 2
    quarters = {
        "top left": overview[:half, :half],
        "top right": overview[:half, half:],
        "bottom left": overview[half:, :half],
        "bottom right": overview[half:, half:],
    }
    mass = overview.sum() or 1.0
    spread = ", ".join(f"{name} {part.sum() / mass:.0%}" for name, part in quarters.items())
    tile, row, col = np.unravel_index(int(weights.argmax()), weights.shape)
    return (
        f"CLS attention over the overview: {spread}. The most attended patch is in the "
        f"{tile_name(grid, int(tile))}, row {row + 1}, column {col + 1} of {grid.side}."
    )


def _layout(image: Image.Image | Layout, grid: TileGrid | None) -> Layout:
    if isinstance(image, Layout):
        return image
    assert grid is not None
    return Layout(image, grid)


def _candidates(grid: TileGrid) -> NDArray[np.bool_]:
    return candidate_mask(grid).numpy().reshape(grid.tiles, grid.side, grid.side)


def _heat(levels: NDArray[np.floating]) -> NDArray[np.floating]:
    """Levels in [0, 1] to RGB."""
    position = levels * (len(HEAT) - 1)
    low = np.minimum(position.astype(int), len(HEAT) - 2)
    weight = (position - low)[..., None]
    return (1 - weight) * HEAT[low] + weight * HEAT[low + 1]
