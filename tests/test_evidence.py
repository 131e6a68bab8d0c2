"""What runs can show: the rule on made-up ranges, and on recorded timings of equal lanes."""

import json
from itertools import combinations
from math import comb

import pytest
from asking import shared

from hired.bench.results import SHIPPED
from hired.comparison.evidence import ENOUGH, contrast, tokens_per_s
from hired.web.identical import CLAIMS, MOST, RECORD, claims, describe, to_json
from hired.web.runs import order_of
from hired.web.settings import Settings

FAST, SLOW = [1.0, 1.1, 1.2, 1.3, 1.4], [2.0, 2.1, 2.2, 2.3, 2.4]


@pytest.fixture(scope="module")
def record():
    return json.loads((SHIPPED / RECORD.name).read_text(encoding="utf-8"))


def test_ranges_apart_in_five_runs_show_a_difference_and_its_spread() -> None:
    seen = contrast(SLOW, FAST)
    assert seen.shown and seen.ratio == pytest.approx(2.2 / 1.2)
    assert (seen.low, seen.high) == pytest.approx((2.0 / 1.4, 2.4 / 1.0))
    back = contrast(FAST, SLOW)
    assert back.shown and back.high < 1


@pytest.mark.parametrize(
    ("base", "other"),
    [(SLOW[:4], FAST), ([100.0], [1.0]), ([*SLOW[:4], 1.35], FAST),
     ([1.04] * 5, [1.0] * 5)],
    ids=["four runs", "one run", "overlap", "four percent"],
)  # fmt: skip
def test_less_shows_nothing(base, other) -> None:
    assert not contrast(base, other).shown and not contrast(other, base).shown


def test_nothing_measured_is_no_contrast() -> None:
    assert contrast([], FAST) is None and contrast([0.0], [1.0]) is None
    assert contrast([None], [1.0]) is None
    assert tokens_per_s(15, 9.0) is None and tokens_per_s(16, 9.0) == 9.0


def test_chance_alone_claims_in_fewer_than_one_of_twenty() -> None:
    """Every way to deal ten different samples to two lanes, for three quantities."""
    samples = [1.1**power for power in range(2 * ENOUGH)]
    told = 0
    for chosen in combinations(range(2 * ENOUGH), ENOUGH):
        base = [samples[place] for place in chosen]
        other = [samples[place] for place in set(range(2 * ENOUGH)) - set(chosen)]
        told += contrast(base, other).shown
    assert told == 2 and len(CLAIMS) * told / comb(2 * ENOUGH, ENOUGH) < MOST


@pytest.mark.parametrize("repeats", [1, ENOUGH])
def test_equal_lanes_are_said_to_differ_in_at_most_one_of_twenty_recorded(record, repeats) -> None:
    """The recorded times differ; what is claimed of them does not."""
    count, of = claims(record)[repeats]
    assert of >= 30 and count / of <= MOST
    apart = [contrast(*(lane["ttft_s"] for lane in one["lanes"])) for one in record["comparisons"]]
    assert sum(not 0.95 < one.ratio < 1.05 for one in apart) > 10, "noise would be told as fact"


def test_a_record_of_equal_lanes_is_read_as_it_was_written(record) -> None:
    assert json.loads(to_json(record)) == record
    told = describe(record)
    assert f"**{claims(record)[1][0]} of 30** claim a difference" in told and "cores" in told


def test_who_begins_changes_from_repeat_to_repeat() -> None:
    orders = [order_of(Settings(), turn) for turn in range(4)]
    assert orders == [[0, 1], [1, 0], [0, 1], [1, 0]]
    assert order_of(Settings(swap=True), 0) == [1, 0]
    three = [order_of(shared(third="random"), turn)[0] for turn in range(3)]
    assert sorted(three) == [0, 1, 2]
