"""The grid is stock LLaVA-NeXT's, and the overview's shares are areas."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.image_processing_utils import get_patch_output_size, select_best_resolution
from transformers.models.llava_next.modeling_llava_next import unpad_image

from hired.errors import InputError
from hired.tiles import TileGrid

PINS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
sizes = st.tuples(st.integers(1, 4000), st.integers(1, 4000))


@given(size=sizes)
@settings(max_examples=300, deadline=None)
def test_grid_and_unpad_are_the_stock_models(size):
    grid = TileGrid.fit(size, PINS, 336, 14)
    assert (grid.rows * 336, grid.cols * 336) == tuple(select_best_resolution(size, PINS))
    canvas = torch.arange(grid.rows * grid.cols * 576).view(1, grid.rows * 24, grid.cols * 24)
    top, bottom, left, right = grid.unpadded
    assert torch.equal(unpad_image(canvas, size), canvas[:, top:bottom, left:right])
    top, bottom, left, right = grid.letterbox
    target = (grid.rows * 336, grid.cols * 336)
    image = torch.empty(3, *size).numpy()
    assert (bottom - top, right - left) == get_patch_output_size(image, target, "channels_first")


@given(size=sizes)
@settings(max_examples=200, deadline=None)
def test_counts_are_the_processors(size):
    from conftest import make_tiny

    _, processor = make_tiny()
    grid = TileGrid.fit(size, processor.image_processor.image_grid_pinpoints, 84, 14)
    assert grid.stock == processor._get_number_of_features(*size, 84, 84) - 1
    assert sum(grid.caps) == grid.candidates == grid.stock - grid.newline_rows


@given(size=sizes)
@settings(max_examples=200, deadline=None)
def test_crop_regions_tile_the_overview(size):
    """Every overview patch lies in the crops exactly once, whatever the letterbox."""
    grid = TileGrid.fit(size, PINS, 336, 14)
    total = torch.zeros(24, 24, dtype=torch.float64)
    for index in range(1, grid.tiles):
        rows, cols = (torch.tensor(share, dtype=torch.float64) for share in grid.overlap(index))
        total += torch.outer(rows, cols)
    assert torch.allclose(total, torch.ones_like(total))


def test_fractional_boundaries_by_hand():
    """An 84x200 image on a 1x3 canvas of 84-px tiles with 28-px patches (3 a side).

    It is not scaled (84 / 84 = 1) and lies at 26..226 of 252 pixels. Seen from the image the crops
    cover 0..58, 58..142 and 142..200 pixels; an overview column is 200 / 3 = 66.67 wide. So crop 1
    holds 58 / 66.67 = 0.87 of column 0, crop 2 the other 0.13, all of column 1 and 0.13 of column
    2, crop 3 the rest.
    """
    grid = TileGrid((84, 200), 1, 3, 84, 28)
    assert grid.letterbox == (0, 84, 26, 226)
    assert grid.overlap(1) == ([1, 1, 1], pytest.approx([0.87, 0, 0]))
    assert grid.overlap(2) == ([1, 1, 1], pytest.approx([0.13, 1, 0.13]))
    assert grid.overlap(3) == ([1, 1, 1], pytest.approx([0, 0, 0.87]))
    # unpad on 9 columns: int(200 * 3 / 84) = 7 fit, padding (9 - 7) // 2 = 1 on either side
    assert grid.unpadded == (0, 3, 1, 8)
    assert grid.caps == (9, 6, 9, 6)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 3)])
def test_an_image_without_pixels_is_refused(size):
    with pytest.raises(InputError, match="at least one pixel"):
        TileGrid.fit(size, PINS, 336, 14)


def test_one_partition():
    grid = TileGrid.single((500, 300), 336, 14)
    assert (grid.tiles, grid.candidates, grid.stock, grid.nominal) == (1, 576, 576, 576)
    assert grid.newline_rows == 0
