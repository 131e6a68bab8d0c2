"""Coverage on posters: measured on the embedded model, told with an area under the curve."""

import re

import numpy as np
import pytest

from hired.bench.accuracy import run_plan
from hired.bench.accuracy_plan import Plan
from hired.bench.coverage import Case, cases_in, cover, coverage_table, kinds_table, separate
from hired.bench.plan import expand
from hired.bench.results import read_lines, rounds_in
from hired.cli import main
from hired.comparison.explain import explain
from hired.models.load import load
from hired.shapes.pictures import ask_about, render
from hired.shapes.questions import Question


def case(poster: int, right: bool, share: float, kind: str = "digit") -> Case:
    return Case("hired@0.2", (0, poster), kind, right, (share, share, share))


@pytest.mark.parametrize(
    ("shares", "area"),
    [((0.9, 0.8, 0.1, 0.2), 1), ((0.1, 0.2, 0.9, 0.8), 0), ((0.5, 0.9, 0.5, 0.1), 3.5 / 4)],
)
def test_the_area_counts_pairs_in_order_and_ties_half(shares, area):
    right = (True, True, False, False)
    cases = [case(0, *pair) for pair in zip(right, shares, strict=True)]
    assert separate(cases).value == pytest.approx(area)


def test_the_interval_is_that_of_posters_drawn_one_by_one():
    rng = np.random.default_rng(5)
    cases = [case(n % 12, bool(rng.random() < 0.6), round(float(rng.random()), 1), kind)
             for n in range(90) for kind in ("digit", "where")]  # fmt: skip
    areas = []
    for _ in range(400):
        drawn = rng.integers(12, size=12)
        won = pairs = 0.0
        for kind in ("digit", "where"):
            mine = [
                one for n in drawn for one in cases if one.poster == (0, n) and one.kind == kind
            ]
            ups, downs = (
                np.array([one.coverage[0] for one in mine if one.right is right])
                for right in (True, False)
            )
            gap = ups[:, None] - downs
            won, pairs = won + (gap > 0).sum() + (gap == 0).sum() / 2, pairs + gap.size
        areas.append(won / pairs)
    found = separate(cases)
    assert found.low == pytest.approx(np.quantile(areas, 0.025), abs=0.02)
    assert found.high == pytest.approx(np.quantile(areas, 0.975), abs=0.02)


def test_the_interval_is_of_posters_and_holds_the_value():
    cases = [case(poster, poster % 3 > 0, 0.1 * (poster % 5)) for poster in range(30)]
    found = separate(cases)
    assert found is not None
    assert found.low < found.value < found.high


def test_nothing_is_separated_where_nothing_breaks():
    assert separate([case(0, True, 0.5), case(1, True, 0.1)]) is None
    assert "| `hired` 20 % | 2 | 0 | 30 / – |  |" in coverage_table(
        [case(0, True, 0.5), case(1, True, 0.1)]
    )


def test_only_answers_to_the_same_kind_of_question_are_compared():
    cases = [case(0, True, 0.2), case(1, False, 0.1), case(2, False, 0.9, "describe")]
    assert separate(cases).value == 1
    assert separate([cases[0], cases[2]]) is None
    assert [row.split(" | ")[1:3] for row in kinds_table(cases).splitlines()[2:]] == [
        ["1", "1"], ["0", "1"], ["1", "2"],
    ]  # fmt: skip


def test_without_coverage_a_record_has_no_cases(rounds):
    assert {case.title for case in cases_in(rounds, "sparse")} == {"hired@0.1", "random@0.1"}
    assert cases_in(rounds[:2], "sparse") == [] and cases_in(rounds, "large") == []


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A record without coverage, gone on with: coverage, and one more method."""
    path = tmp_path_factory.mktemp("eval") / "coverage.jsonl"
    plan = Plan(methods=expand(["hired"]), budgets=(0.1,), splits=("sparse",), posters=2)
    run_plan(plan, path, device="cpu")
    asked = "--methods hired random --budgets 10% --splits sparse --posters 2 --device cpu".split()
    assert main(["eval", "--coverage", *asked, "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def rounds(path):
    return rounds_in(read_lines(path, "eval"))


def test_every_answer_has_its_coverage_and_what_had_none_is_measured_again(rounds):
    without, with_ = rounds[:2], rounds[2:]
    assert not any("coverage" in lane for one in without for lane in one["lanes"].values())
    assert [one["poster"] for one in with_] == [0, 1]
    for one in with_:
        assert set(one["lanes"]) == {"full", "hired@0.1", "random@0.1"}
        for lane in one["lanes"].values():
            assert len(lane["coverage"]) == len(lane["right"]) == len(one["kinds"])
        assert all(share == [1, 1, 1] for share in one["lanes"]["full"]["coverage"])
        for mean, new, least in one["lanes"]["hired@0.1"]["coverage"]:
            assert 0 <= least <= new <= 1 and 0 < mean < 1


def test_coverage_is_what_explain_tells_of_the_stock_answer(rounds):
    scene, [question, *_] = ask_about("sparse", 0)
    words = explain(
        *load("shapes", device="cpu"), render(scene), question.text, ["hired:budget=10%"]
    )
    [told] = words.as_dict()["coverage"].values()
    found = rounds[2]["lanes"]["hired@0.1"]["coverage"][0]
    assert found[0] == pytest.approx(told, abs=1e-3)
    assert min(each for _, each in words.shares(*words.kept)) <= found[2] + 1e-4


def test_cases_are_answers_that_stock_gives_right(rounds):
    right = sum(one["lanes"]["full"]["right"].count("1") for one in rounds[2:])
    for title in ("hired@0.1", "random@0.1"):
        cases = [case for case in cases_in(rounds, "sparse") if case.title == title]
        assert len(cases) == right
        assert {case.poster for case in cases} == {("sparse", 0, 0), ("sparse", 0, 1)}


def test_a_silent_answer_has_no_coverage():
    assert cover((), Question("digit", "what digit ?", "4"), None) is None


def test_the_report_has_a_line_per_lane(path, capsys):
    assert main(["eval", "report", str(path)]) == 0
    told = capsys.readouterr().out.split("### Coverage on sparse posters\n\n")[1]
    assert re.search(r"^\| `hired` 10 % \| \d+ \| \d+ \| \d+ / ", told, re.MULTILINE)
    assert "| `random` 10 % |" in told and "`full`" not in told.split("\n\n")[0]
    assert "\n| digit |" in told and "\n| all |" in told and "bootstrap over posters" in told
