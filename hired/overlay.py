"""A selection and the attention behind it as pictures, and the same in words.

Knows grids, masks and pixels, nothing of models. A picture shows the image as the model sees it.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hired.layout import PADDING, Layout, Pixels, cut_words
from hired.selectors import Selection, candidate_mask
from hired.tiles import TileGrid

DIM, HATCH, EDGE = (26, 29, 41), (70, 76, 98), (255, 255, 255)
# Dark to bright with steadily rising luminance, so that it reads without colour too.
HEAT = np.array(
    [(8, 8, 32), (52, 20, 92), (112, 30, 110), (172, 45, 96), (222, 82, 66), (247, 143, 36),
     (249, 205, 70), (252, 253, 191)],
    dtype=np.float64,
)  # fmt: skip


def draw_plain(image: Image.Image | Layout, grid: TileGrid | None = None) -> Image.Image:
    """The image as the model sees it, nothing marked."""
    layout = _layout(image, grid)
    return _assemble(layout, list(layout.tiles))


def draw_kept(image: Image.Image | Layout, selection: Selection) -> Image.Image:
    """The image with everything dropped dimmed, hatched and outlined; RGBA.

    Args:
        image: RGB, or its layout when several pictures are drawn of it.
        selection: what is kept of it.
    """
    layout = _layout(image, selection.grid)
    mask = selection.mask.numpy().reshape(layout.grid.tiles, layout.grid.side, -1)
    shown = _candidates(layout.grid)
    drawn = [
        _dim(tile, kept, inside)
        for tile, kept, inside in zip(layout.tiles, mask, shown, strict=True)
    ]
    return _assemble(layout, drawn)


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
        heat = _heat(_spread(level, tile.shape[0]))
        drawn.append((0.3 * grey + 0.7 * heat).astype(np.uint8))
    return _assemble(layout, drawn)


def tile_name(grid: TileGrid, index: int) -> str:
    """`overview`, or `crop 1,2` by row and column."""
    if index == 0:
        return "overview"
    row, col = divmod(index - 1, grid.cols)
    return f"crop {row + 1},{col + 1}"


def count_tiles(selection: Selection) -> list[dict[str, str | int | float]]:
    """Per tile: `name`, `kept` patches that reach the model, `candidates`, `share` of all kept."""
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


def _spread(cells: NDArray, edge: int) -> NDArray:
    """(side, side) -> (edge, edge), each cell a block."""
    index = np.arange(edge) * len(cells) // edge
    return cells[index][:, index]


def _dim(tile: Pixels, kept: NDArray[np.bool_], inside: NDArray[np.bool_]) -> Pixels:
    """Dropped patches dark, grey and hatched; a light line around what is kept.

    The letterbox, which is no candidate, stays plain grey.
    """
    edge = tile.shape[0]
    mask = _spread(kept, edge)
    grey = tile.mean(axis=2, keepdims=True)
    dropped = 0.22 * grey + 0.78 * np.array(DIM)
    rows, cols = np.indices((edge, edge), sparse=True)
    dropped[(rows + cols) % 9 == 0] = HATCH
    dropped = np.where(_spread(inside, edge)[..., None], dropped, np.array(PADDING))
    out = np.where(mask[..., None], tile, dropped)
    border = np.zeros_like(mask)
    border[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    border[1:] |= mask[1:] != mask[:-1]
    out[border] = 0.25 * out[border] + 0.75 * np.array(EDGE)
    return out.astype(np.uint8)


def _heat(levels: NDArray[np.floating]) -> NDArray[np.floating]:
    """Levels in [0, 1] to RGB."""
    position = levels * (len(HEAT) - 1)
    low = np.minimum(position.astype(int), len(HEAT) - 2)
    weight = (position - low)[..., None]
    return (1 - weight) * HEAT[low] + weight * HEAT[low + 1]


def _assemble(layout: Layout, tiles: list[Pixels]) -> Image.Image:
    """The tiles in their places on a transparent ground, crops parted by a dark and light line."""
    out = layout.ground.copy()
    for (left, top, wide, high), tile in zip(layout.boxes, tiles, strict=True):
        out[top : top + high, left : left + wide, :3] = tile
        out[top : top + high, left : left + wide, 3] = 255
    for left, top, wide, high in layout.boxes[1:]:
        first_row, first_col = top == layout.boxes[1][1], left == layout.boxes[1][0]
        if not first_row:
            out[top - 2 : top + 2, left : left + wide] = (0, 0, 0, 255)
            out[top - 1 : top + 1, left : left + wide] = (255, 255, 255, 255)
        if not first_col:
            out[top : top + high, left - 2 : left + 2] = (0, 0, 0, 255)
            out[top : top + high, left - 1 : left + 1] = (255, 255, 255, 255)
    return Image.fromarray(out)
