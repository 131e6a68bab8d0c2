"""Posters: deterministic, disjoint between streams, small and sparse as the world promises."""

import numpy as np
import pytest

from hired.shapes.scenes import (
    CONTENT_SHARE,
    GRIDS,
    PINPOINTS,
    SIDE,
    TILE,
    Scene,
    grid_of,
    patches,
    patches_at,
    render,
    scene_for,
    thing_patches,
)
from hired.shapes.sprites import COLOURS, SHAPES, digit_box, sprite

SPARSE = [scene_for("validation", "sparse", 3, i) for i in range(120)]


def test_same_seed_same_pixels():
    first, second = (render(scene_for("test", "sparse", 1, 4)) for _ in range(2))
    assert np.array_equal(np.asarray(first), np.asarray(second))


@pytest.mark.parametrize("split", ["sparse", "large"])
def test_streams_splits_and_seeds_are_disjoint(split):
    scenes = [
        scene_for(stream, split, seed, index)
        for stream in ("train", "validation", "test", "examples")
        for seed in range(3)
        for index in range(25)
    ]
    assert len({(s.things, s.seed) for s in scenes}) == len(scenes)


@pytest.mark.parametrize(("size", "point", "view", "crop"), [
    ((336, 336), (0, 0), (0, 0), (1, 0, 0)),
    ((336, 336), (335.5, 335.5), (11, 11), (4, 11, 11)),
    ((336, 336), (168, 28), (1, 6), (2, 2, 0)),
    ((336, 200), (0, 50), (3, 0), (1, 8, 0)),  # on the border of two; 68 px of bars above
    ((336, 200), (40.5, 199.5), (11, 1), (3, 7, 2)),
    ((504, 112), (167.5, 0), (0, 3), (1, 2, 11)),
])  # fmt: skip
def test_a_point_lies_in_one_patch_of_the_overview_and_one_of_a_crop(size, point, view, crop):
    x, y = np.array(point, float)[:, None]
    [overview], [number] = patches_at(*size, x, y)
    assert divmod(overview, SIDE) == view
    tile, patch = divmod(number, SIDE**2)
    assert (tile, *divmod(patch, SIDE)) == crop


def test_objects_are_small_and_content_is_sparse():
    crop, overview = [], []
    for scene in SPARSE:
        assert 1 <= len(scene.things) <= 6
        covered = thing_patches(scene)
        assert covered.sum() <= CONTENT_SHARE * patches(scene) or len(covered) == 1
        overview += [one[0].sum() for one in covered]
        crop += [one[1:].sum() for one in covered]
    assert np.mean([3 <= n <= 9 for n in crop]) > 0.95
    assert np.mean([n <= 4 for n in overview]) > 0.9
    assert 1 <= np.median(overview) <= 2


def test_alike_posters_are_sparse_ones_in_two_colours():
    scenes = [scene_for("train", "alike", 0, i) for i in range(60)]
    assert max(len({t.colour for t in s.things}) for s in scenes) == 2
    for scene in scenes:
        covered = thing_patches(scene).sum()
        assert covered <= CONTENT_SHARE * patches(scene) or len(scene.things) == 1
    names = [[t.colour for t in s.things] for s in scenes if len(s.things) > 2]
    assert len(names) > 20 and all(len(set(n)) < len(n) for n in names)


def test_every_digit_lies_whole_in_one_crop():
    for scene in SPARSE:
        _, _, left, top = scene.canvas()
        for thing in scene.things:
            x0, y0, x1, y1 = digit_box(thing.shape, thing.side)
            assert int((thing.x + left + x0) // TILE) == int((thing.x + left + x1) // TILE)
            assert int((thing.y + top + y0) // TILE) == int((thing.y + top + y1) // TILE)


def test_all_grids_letterboxes_and_border_crossings_occur():
    assert {grid_of(s.width, s.height) for s in SPARSE} == set(GRIDS)
    sizes = [[s.height, s.width] for s in SPARSE]
    assert 20 < sum(size not in PINPOINTS for size in sizes) < 100
    crossing = 0
    for scene in SPARSE:
        _, _, left, top = scene.canvas()
        for t in scene.things:
            across = (t.x + left) // TILE != (t.x + t.side + left) // TILE
            crossing += across or (t.y + top) // TILE != (t.y + t.side + top) // TILE
    assert crossing > 5


def test_grid_is_the_one_transformers_chooses():
    choose = pytest.importorskip("transformers.image_processing_utils").select_best_resolution
    rng = np.random.default_rng(0)
    for width, height in rng.integers(20, 900, (300, 2)):
        rows, columns = grid_of(int(width), int(height))
        assert list(choose((height, width), PINPOINTS)) == [rows * TILE, columns * TILE]


def test_scaled_poster_shows_the_same_scene():
    scene = SPARSE[0]
    small, big = render(scene), render(scene, 2).resize((scene.width, scene.height))
    assert np.abs(np.asarray(small, float) - np.asarray(big, float)).mean() < 6


def test_every_sprite_has_its_colour_and_a_digit_that_stands_out():
    for shape in SHAPES:
        for colour, rgb in COLOURS.items():
            pixels = sprite(shape, colour, 8, 34).astype(int)
            solid = pixels[pixels[..., 3] == 255][:, :3]
            plain = (np.abs(solid - rgb).sum(1) < 12).mean()
            ink = (np.abs(solid - rgb).sum(1) > 150).mean()
            assert plain > 0.45 and 0.06 < ink < 0.5


def test_empty_scene_renders():
    assert render(Scene(336, 168, (), 1)).size == (336, 168)
