"""Where two panes differ: the counts of selections made by hand, and a picture without colour."""

import numpy as np
import pytest
import torch
from PIL import Image

from hired.comparison.layout import Layout
from hired.comparison.overlay import count_difference, draw_difference, draw_plain
from hired.comparison.preview import Preview
from hired.selectors import Selection, candidate_mask
from hired.web.pictures import difference, pair_of

WEIGHTS = (0.2126, 0.7152, 0.0722)
NEITHER, BOTH, FIRST, SECOND = (0, 0), (0, 1), (0, 2), (0, 3)  # patches of the overview


@pytest.fixture(scope="module")
def grid(tiny):
    return Preview(*tiny).fit(Image.new("RGB", (168, 168)))


def keep(grid, *patches) -> Selection:
    """A selection of patches of the overview, by (row, column), and of one in the last crop."""
    mask = torch.zeros(grid.tiles, grid.patches, dtype=torch.bool)
    for row, column in patches:
        mask[0, row * grid.side + column] = True
    mask[-1, 0] = True
    return Selection(grid, mask, mask.sum(dim=1).tolist())


@pytest.fixture(scope="module")
def pair(grid):
    return keep(grid, BOTH, FIRST), keep(grid, BOTH, SECOND, (1, 3))


def patch(picture: Image.Image, layout: Layout, place: tuple[int, int]) -> np.ndarray:
    """A patch of the overview, (h, w, 3) in 0..255, without its rim."""
    edge = layout.boxes[0][2] / layout.grid.side
    down, right = (slice(round(at * edge + 1), round((at + 1) * edge - 1)) for at in place)
    return np.asarray(picture)[down, right, :3].astype(float)


def luminance(pixels) -> np.ndarray:
    """Relative luminance of sRGB colours as WCAG has it, 0 to 1."""
    share = np.asarray(pixels) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4) @ WEIGHTS


def test_counts_add_up_to_what_each_keeps(pair) -> None:
    first, second = pair
    both, one, two = count_difference(first, second)
    assert (both, one, two) == (2, 1, 2)
    assert (both + one, both + two) == (first.kept, second.kept)
    assert count_difference(second, first) == (2, 2, 1)
    assert count_difference(first, first) == (first.kept, 0, 0)


def test_patches_that_never_reach_the_model_do_not_count(tiny) -> None:
    grid = Preview(*tiny).fit(Image.new("RGB", (700, 150)))
    hidden = int((~candidate_mask(grid)).sum())
    every = torch.ones(grid.tiles, grid.patches, dtype=torch.bool)
    first = Selection(grid, every, every.sum(dim=1).tolist())
    second = Selection(grid, every & False, [0] * grid.tiles)
    assert hidden and count_difference(first, second) == (0, grid.nominal - hidden, 0)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_the_four_kinds_are_told_apart_without_colour(grid, pair, grey) -> None:
    layout = Layout(Image.new("RGB", (168, 168), (grey, grey, grey)), grid)
    picture, plain = draw_difference(layout, *pair), draw_plain(layout)
    kinds = [luminance(patch(picture, layout, one)) for one in (NEITHER, BOTH, FIRST, SECOND)]
    neither, both, first, second = kinds
    assert np.array_equal(patch(picture, layout, BOTH), patch(plain, layout, BOTH))
    assert np.ptp(both) == np.ptp(neither) == 0, "no marks on what is the same in both"
    for marked, share in ((first, 3 / 8), (second, 9 / 49)):
        dark, light = marked.min(), marked.max()
        assert (light + 0.05) / (dark + 0.05) >= 3, "as WCAG asks of what is no text"
        assert np.mean(marked == dark) == pytest.approx(share, abs=0.05)
    assert (first == first.min()).any(axis=1).all(), "stripes cross every row of pixels"
    assert not (second == second.min()).any(axis=1).all(), "dots leave rows free"
    if grey:
        assert neither.max() < both.min()


def test_the_picture_comes_with_its_counts_in_words(grid, pair) -> None:
    image = Image.new("RGB", (168, 168))
    told = difference(image, pair, ("HiRED 40 %", "<b>"))
    words = "2 patches kept by both, 1 by HiRED 40 % only, 2 by &lt;b&gt; only"
    assert f'alt="{words}"' in told and "<b>:" not in told
    assert "Kept by both: <b>2</b>" in told
    assert "HiRED 40 % only, striped: <b>1</b>" in told
    assert "&lt;b&gt; only, dotted: <b>2</b>" in told


@pytest.mark.parametrize(
    ("panes", "seen", "pair"),
    [([0, 1], 0, (0, 1)), ([0, 1], 1, (0, 1)), ([1, 2, 3], 3, (1, 3)), ([1, 2, 3], 2, (1, 2)),
     ([1, 2], 0, (1, 2))],
)  # fmt: skip
def test_the_pane_that_is_edited_is_compared_with_the_first_other(panes, seen, pair) -> None:
    assert pair_of(panes, seen) == pair
