"""Coverage on posters: measured on the embedded model, told with an area under the curve."""

import numpy as np
import pytest

from hired.bench.coverage import Case, coverage_table, measure_coverage, rank_area, separate
from hired.cli import main
from hired.errors import SettingError


def case(poster: int, right: bool, share: float, kind: str = "digit") -> Case:
    return Case("hired", poster, kind, right, (share, share, share))


def test_the_area_counts_pairs_in_order_and_ties_half():
    right = np.array([True, True, False, False])
    assert rank_area(np.array([0.9, 0.8, 0.1, 0.2]), right) == 1
    assert rank_area(np.array([0.1, 0.2, 0.9, 0.8]), right) == 0
    assert rank_area(np.array([0.5, 0.9, 0.5, 0.1]), right) == pytest.approx(3.5 / 4)


def test_the_interval_is_of_posters_and_holds_the_value():
    cases = [case(poster, poster % 3 > 0, 0.1 * (poster % 5)) for poster in range(30)]
    found = separate(cases)
    assert found is not None
    assert found.low < found.value < found.high


def test_nothing_is_separated_where_nothing_breaks():
    assert separate([case(0, True, 0.5), case(1, True, 0.1)]) is None
    assert "| `hired` | 2 | 0 | 30 / – |  |" in coverage_table(
        [case(0, True, 0.5), case(1, True, 0.1)]
    )


def test_only_answers_to_the_same_kind_of_question_are_compared():
    cases = [case(0, True, 0.2), case(1, False, 0.1), case(2, False, 0.9, "describe")]
    assert separate(cases).value == 1
    assert separate(cases, alike=False).value == 0.5
    assert separate([cases[0], cases[2]]) is None


def test_no_posters_are_refused():
    with pytest.raises(SettingError, match="at least 1"):
        measure_coverage(None, None, {}, 0)


def test_the_command_measures_and_prints_a_line_per_lane(capsys):
    lanes = ["--lane", "full", "--lane", "hired:budget=10%"]
    assert main(["eval", "coverage", "--posters", "1", "--device", "cpu", *lanes]) == 0
    lines = capsys.readouterr().out.splitlines()
    full = next(line for line in lines if line.startswith("| `full`")).split(" | ")
    assert full[2:4] == ["0", "100 / –"]
    assert int(full[1]) >= 3
    assert any(line.startswith("| `hired:budget=10%`") for line in lines)
