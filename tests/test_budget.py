"""Exact integers, worked by hand and held over random input."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hired.budget import (
    allocate,
    check_budget,
    parse_budget,
    show_budget,
    split_budget,
    total_budget,
)
from hired.errors import SettingError
from hired.tiles import TileGrid


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("1.0", 1.0), (" 576 ", 576), ("0.2", 0.2), ("0,2", 0.2), ("20%", 0.2),
     ("1e-1", 0.1), ("-1", -1), (1, 1)],
)  # fmt: skip
def test_a_typed_budget_keeps_its_kind(text, value):
    parsed = parse_budget(text)
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(
    "text", ["", "all", "²", "%", "1/2", "much", "1e", None, "nan%%", [], "--3"]
)
def test_what_is_no_number_is_explained(text):
    with pytest.raises(SettingError, match="1 is one token"):
        parse_budget(text)


@pytest.mark.parametrize("budget", [True, False, 0, -1, 0.0, -0.2, 1.5, 2.0, math.nan, "0.2", None])
def test_bad_budgets_are_refused_with_the_value(budget):
    with pytest.raises(SettingError, match=r"got .*" + str(budget).replace(".", r"\.")):
        check_budget(budget)


def test_one_is_a_token_and_one_point_zero_everything():
    assert total_budget(check_budget(1), 2880, 2300) == 1
    assert total_budget(check_budget(1.0), 2880, 2300) == 2300
    assert total_budget(0.2, 2880, 2880) == 576
    assert total_budget(0.29, 100, 100) == 29  # 28.999999999999996 in floats
    assert total_budget(0.0001, 144, 144) == 1  # a rate that gives 0 keeps 1
    assert total_budget(5000, 2880, 2300) == 2300


def test_largest_remainder_by_hand():
    # quotas 3.33 each: one left over, to the earliest
    assert allocate(10, [1, 1, 1], [9, 9, 9]) == [4, 3, 3]
    # quotas 4.5, 2.7, 1.8: floors 4, 2, 1; remainders .5, .7, .8: two left, to the last two
    assert allocate(9, [0.5, 0.3, 0.2], [9, 9, 9]) == [4, 3, 2]


def test_what_a_capped_crop_cannot_take_goes_to_the_others_in_proportion():
    # quotas 8, 1, 1 with cap 4: 6 shared 1:1
    assert allocate(10, [8, 1, 1], [4, 9, 9]) == [4, 3, 3]
    # after the first fills, 12 over 3:1 is 9, 3: the second fills at 6, the third takes 6
    assert allocate(16, [8, 3, 1], [4, 6, 9]) == [4, 6, 6]


def test_degenerate_scores():
    assert allocate(6, [0, 0, 0], [2, 4, 6]) == [1, 2, 3]  # by free candidates
    assert allocate(6, [math.nan, math.inf, -1], [4, 4, 4]) == [2, 2, 2]
    assert allocate(5, [1, 0, 0], [3, 2, 2]) == [3, 1, 1]
    assert allocate(0, [1, 1], [3, 3]) == [0, 0]
    assert allocate(0, [], []) == []


def test_overview_and_crops_lend_to_each_other():
    assert split_budget(10, 0.5, [1, 1], [16, 16, 16]) == [5, 3, 2]
    assert split_budget(40, 1.0, [1, 1], [16, 16, 16]) == [16, 12, 12]  # overview full
    assert split_budget(20, 0.0, [1, 1], [16, 4, 4]) == [12, 4, 4]  # crops full
    assert split_budget(7, 0.3, [], [16]) == [7]  # one partition: all of it, for any alpha
    assert split_budget(10, 0.7, [1], [16, 16]) == [7, 3]  # 0.7 * 10 is 7.000000000000001


def test_salience_in_one_quadrant_by_hand():
    """A letterboxed 2x2: all init attention in the top-left quadrant of the overview.

    480x640 on 672x672: 504x672 pixels, bars of 84 above and below. The crop boundary (336) lies at
    (336 - 84) / 504 = half of the overview, so the top-left crop takes all of it: content 1, 0, 0,
    0. B = 0.2 * 2880 = 576, overview 288, and crop 1 takes 288 of its 24 * 18 = 432 candidates.
    The release would have split the same attention over two bands of rows.
    """
    grid = TileGrid.fit((480, 640), [[672, 672]], 336, 14)
    rows, cols = grid.overlap(1)
    assert (sum(rows), sum(cols)) == (12.0, 12.0)
    attention = [[1.0 if i < 12 and j < 12 else 0.0 for j in range(24)] for i in range(24)]
    content = []
    for index in range(1, 5):
        rows, cols = grid.overlap(index)
        content.append(
            sum(rows[i] * attention[i][j] * cols[j] for i in range(24) for j in range(24))
        )
    assert content == [144.0, 0.0, 0.0, 0.0]
    assert grid.caps == (576, 432, 432, 432, 432)
    assert split_budget(576, 0.5, content, grid.caps) == [288, 288, 0, 0, 0]
    # at 50 % crop 1 is full at 432 and the other 288 go by free candidates, 96 each
    assert split_budget(1440, 0.5, content, grid.caps) == [720 - 144, 432, 144, 144, 144]


tiles = (
    st.integers(1, 6)
    .flatmap(
        lambda count: st.tuples(
            st.lists(st.integers(0, 50), min_size=count, max_size=count),
            st.lists(
                st.floats(allow_nan=True, allow_infinity=True),
                min_size=count - 1,
                max_size=count - 1,
            ),
        )
    )
    .filter(lambda pair: sum(pair[0]) > 0)
)


@settings(deadline=None)
@given(tiles=tiles, alpha=st.floats(0, 1), share=st.floats(0, 1))
def test_shares_are_exact_within_caps_and_stable(tiles, alpha, share):
    caps, scores = tiles
    total = round(share * sum(caps))
    first = split_budget(total, alpha, scores, caps)
    assert sum(first) == total
    assert all(0 <= got <= cap for got, cap in zip(first, caps, strict=True))
    assert first == split_budget(total, alpha, scores, caps)


@settings(deadline=None)
@given(
    scores=st.lists(st.floats(0.01, 10), min_size=2, max_size=5),
    total=st.integers(0, 100),
)
def test_without_caps_nobody_is_a_whole_token_off_its_share(scores, total):
    got = allocate(total, scores, [1000] * len(scores))
    for count, score in zip(got, scores, strict=True):
        assert abs(count - total * score / sum(scores)) < 1 + 1e-9


def test_a_comma_is_a_decimal_one_and_no_thousands():
    assert parse_budget("0,125") == 0.125 and parse_budget("12,5%") == 0.125
    for text in ("1,000", "12,288"):
        with pytest.raises(SettingError, match=f"Got '{text}'"):
            parse_budget(text)
    assert (show_budget(1.0), show_budget(1), show_budget(0.125)) == ("100 %", "1", "12.5 %")
