"""Training tiles: targets say what lies under each patch."""

from hired.shapes.scenes import SIDE, TILE, Thing
from hired.shapes.sprites import COLOUR_NAMES, SHAPES
from hired.shapes.train.tile_targets import IGNORE, UNREADABLE, target


def test_target_of_one_object():
    thing = Thing("square", "red", 5, 28, 42, 34)
    found = target([thing], (0, 0, TILE, TILE))
    grid = found.colour.reshape(SIDE, SIDE)
    assert grid[3, 2] == grid[4, 3] == COLOUR_NAMES.index("red") + 1
    assert (grid[:3] == 0).all() and (grid[6:] == 0).all()
    assert found.shape.reshape(SIDE, SIDE)[4, 3] == SHAPES.index("square") + 1
    assert found.digit.reshape(SIDE, SIDE)[4, 3] == 5
    assert found.centre.sum() == 1 and found.centre.reshape(SIDE, SIDE)[4, 3] == 1
    assert found.count == 1 and found.digits.sum() == 1 and found.combos.sum() == 1


def test_squeezed_digit_is_unreadable():
    thing = Thing("circle", "blue", 5, 100, 100, 34)
    found = target([thing], (0, 0, 2 * TILE, 2 * TILE))
    assert set(found.digit[found.colour > 0]) <= {UNREADABLE, IGNORE}
    assert found.digits.sum() == 0 and found.count == 1


def test_object_outside_leaves_no_trace():
    found = target([Thing("circle", "blue", 5, 400, 100, 34)], (0, 0, TILE, TILE))
    assert found.count == 0 and (found.colour == 0).all() and (found.digit == IGNORE).all()
