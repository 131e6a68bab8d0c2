"""What holds for every method, over sizes from 1x1 to 4000x300 and all settings."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hired.encode import Vision
from hired.errors import SettingError
from hired.selectors import SELECTORS, build, candidate_mask, fitting, settings_of
from hired.tiles import TileGrid

PINS = [[84, 168], [168, 84], [168, 168], [84, 252], [252, 84]]
DEPTH = 4
EXACT = [name for name, cls in SELECTORS.items() if cls.fixed_count]


def see(size, seed, single=False):
    """A vision of random attention; some seeds are all zero, some full of ties."""
    grid = TileGrid.single(size, 84, 14) if single else TileGrid.fit(size, PINS, 84, 14)
    generator = torch.Generator().manual_seed(seed)
    shape = (grid.tiles, 3, grid.patches)
    attention = {layer: torch.rand(shape, generator=generator) for layer in range(DEPTH)}
    if seed % 4 == 0:
        attention = {layer: torch.zeros(shape) for layer in range(DEPTH)}
    if seed % 4 == 1:
        attention = {layer: (seen * 3).round() for layer, seen in attention.items()}
    features, keys = torch.rand(2, grid.tiles, grid.patches, 8, generator=generator)
    received = {layer: seen.mean(dim=1) for layer, seen in attention.items()}
    return Vision(grid, features, attention, DEPTH - 2, keys=keys, received=received)


sizes = st.one_of(
    st.tuples(st.integers(1, 4000), st.integers(1, 300)),
    st.tuples(st.integers(1, 300), st.integers(1, 4000)),
)
budgets = st.one_of(st.floats(0, 1, exclude_min=True), st.integers(1, 400))


@pytest.mark.parametrize("name", EXACT)
@given(
    size=sizes,
    budget=budgets,
    alpha=st.floats(0, 1),
    layers=st.tuples(st.integers(0, 3), st.one_of(st.none(), st.integers(0, 3))),
    heads=st.sampled_from(["sum", "max", 0, 2]),
    newline=st.sampled_from(["none", "rows"]),
    seed=st.integers(0, 50),
    single=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_invariants(name, size, budget, alpha, layers, heads, newline, seed, single):
    shared = {
        "budget": budget,
        "alpha": alpha,
        "init_layer": layers[0],
        "final_layer": layers[1],
        "object_share": alpha,
        "object_layer": layers[0],
        "deep_layer": layers[1],
        "heads": heads,
        "newline": newline,
        "seed": seed,
    }
    selector = build(name, **fitting(name, shared))
    vision = see(size, seed, single)
    grid, selection = vision.grid, selector.select(vision)
    mask, open_ = selection.mask, candidate_mask(grid)

    wanted = budget if isinstance(budget, int) else max(1, int(budget * grid.nominal + 1e-9))
    if "budget" not in settings_of(name):
        wanted = grid.nominal
    assert (
        selection.kept == min(wanted, grid.candidates) == int(mask.sum()) == sum(selection.budgets)
    )
    assert not (mask & ~open_).any()
    assert mask.shape == (grid.tiles, grid.patches) and mask.dtype == torch.bool
    for tile in range(grid.tiles):
        kept, dropped = (
            selection.scores[tile][mask[tile]],
            selection.scores[tile][open_[tile] & ~mask[tile]],
        )
        assert len(kept) == selection.budgets[tile] <= grid.caps[tile]
        if len(kept) and len(dropped):
            assert kept.min() >= dropped.max()
    again = selector.select(see(size, seed, single))
    assert torch.equal(again.mask, mask)
    if selection.kept == grid.candidates:
        assert selection.visual_tokens == grid.stock and selection.features is None
    else:
        assert selection.newlines == (grid.newline_rows if newline == "rows" else 0)


def test_counts_depend_on_the_size_alone():
    for name in EXACT:
        counts = {
            build(name, **fitting(name, {"budget": 0.3}))
            .select(see((120, 160), seed))
            .visual_tokens
            for seed in range(8)
        }
        assert len(counts) == 1, name


def test_ties_keep_the_lower_raster_index():
    vision = see((84, 168), seed=4)  # all zero
    selection = build("hired", budget=9, alpha=1 / 3).select(vision)
    assert selection.budgets == [3, 3, 3]
    assert all(row.nonzero().flatten().tolist() == [0, 1, 2] for row in selection.mask)


def test_alpha_moves_the_budget_between_overview_and_crops():
    vision = see((168, 168), seed=2)
    assert build("hired", budget=20, alpha=0.0).select(vision).budgets[0] == 0
    assert build("hired", budget=20, alpha=1.0).select(vision).budgets == [20, 0, 0, 0, 0]
    assert build("hired", budget=50, alpha=1.0).select(vision).budgets[0] == 36  # its cap


def test_random_is_seeded_and_spatial_is_even():
    vision = see((168, 168), seed=2)
    masks = [build("random", budget=0.2, seed=seed).select(vision).mask for seed in (0, 0, 1)]
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])
    kept = build("spatial", budget=0.25).select(vision).mask.flatten().nonzero().flatten()
    assert set(kept.diff().tolist()) == {4}


def test_content_follows_the_attention():
    """Eq. 1: a crop's score is the overview's attention inside the crop."""
    grid = TileGrid.fit((168, 168), PINS, 84, 14)
    overview = torch.zeros(2, 6, 6)
    overview[0, :3, :3], overview[1, 3:, 3:] = 2.0, 1.0
    overview = overview.flatten(1)
    assert build("hired").content(grid, overview) == [18.0, 0.0, 0.0, 9.0]
    assert build("hired", heads="max").content(grid, overview) == [18.0, 0.0, 0.0, 9.0]
    assert build("hired", heads=1).content(grid, overview) == [0.0, 0.0, 0.0, 9.0]


@pytest.mark.parametrize(
    "settings",
    [
        {"alpha": -0.1}, {"alpha": 1.1}, {"alpha": float("nan")}, {"alpha": True}, {"alpha": "x"},
        {"init_layer": -1}, {"init_layer": None}, {"init_layer": 1.0}, {"final_layer": -2},
        {"final_layer": True}, {"heads": "mean"}, {"heads": -1}, {"heads": True}, {"heads": None},
        {"fuse": 1},
        {"fuse": "false"},
        {"newline": "all"}, {"budget": 0}, {"budget": 1.01},
    ],
    ids=str,
)  # fmt: skip
def test_bad_settings_are_refused(settings):
    with pytest.raises(SettingError, match="got"):
        build("hired", **settings)


def test_settings_can_be_given_in_the_papers_order():
    hired = SELECTORS["hired"](0.3, 0.4, 1, 2, "max", newline="rows")
    got = (hired.budget, hired.alpha, hired.init_layer, hired.final_layer, hired.heads)
    assert got == (0.3, 0.4, 1, 2, "max") and hired.newline == "rows"


def test_the_register():
    assert list(SELECTORS)[:2] == ["full", "hired"]
    assert {"random", "spatial", "hired-release"} <= set(SELECTORS)
    for name, cls in SELECTORS.items():
        assert cls.name == name and cls.title and cls.paper and cls.summary and cls.__doc__
        assert cls().select(see((120, 160), 3)).kept > 0
    with pytest.raises(SettingError, match="full, hired"):
        build("fastest")
    assert tuple(settings_of("hired")) == (
        "budget",
        "newline",
        "positions",
        "alpha",
        "init_layer",
        "final_layer",
        "heads",
        "fuse",
    )


def test_settings_by_position_come_in_the_papers_order():
    given = (0.2, 0.5, 0, None, "sum")
    assert SELECTORS["hired"](*given) == build("hired")
    assert SELECTORS["hired-release"](*given, True) == build("hired-release", exact=True)
    with pytest.raises(TypeError):
        SELECTORS["hired"](*given, True)  # fuse is no setting of the paper


def test_a_word_is_no_truth_value():
    with pytest.raises(SettingError, match="exact is True or False; got 'false'"):
        build("hired-release", exact="false")
