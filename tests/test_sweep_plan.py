"""What a sweep runs: methods, budgets and the values of any setting that a method declares."""

import pytest

from hired.errors import SettingError
from hired.web.settings import Settings
from hired.web.sweep import plan


def test_sweep_plans_budgets_times_values() -> None:
    rows = plan(Settings(), "10% 20% 64", "method", "hired random")
    assert [(row.lanes[-1].name, row.lanes[-1].budget) for row in rows] == [
        ("hired", 0.1), ("hired", 0.2), ("hired", 64),
        ("random", 0.1), ("random", 0.2), ("random", 64),
    ]  # fmt: skip
    assert [row.lanes[-1].alpha for row in plan(Settings(), "0.5", "alpha", "0 0.5 1")] == [
        0.0,
        0.5,
        1.0,
    ]


def test_budgets_of_a_sweep_are_parted_as_people_do() -> None:
    for text in ("5% 10%", "5%, 10%", "5%,10%", "5%;10%", " 5%,\n10%, "):
        assert [row.lanes[-1].budget for row in plan(Settings(), text, "none", "")] == [
            0.05,
            0.1,
        ], text
    assert [row.lanes[-1].budget for row in plan(Settings(), "0,05 12,5%", "none", "")] == [
        0.05,
        0.125,
    ]
    assert [row.lanes[-1].budget for row in plan(Settings(), "5 %, 10 %", "none", "")] == [
        0.05,
        0.1,
    ]


def test_sweep_takes_methods_from_a_list() -> None:
    methods = ["hired", "random", "prumerge-adaptive"]
    rows = plan(Settings(), "10 % 20 %", "alpha", "0 1", methods)
    assert [row.lanes[-1].text for row in rows] == [
        "hired:budget=10%,alpha=0.0",
        "hired:alpha=0.0",
        "hired:budget=10%,alpha=1.0",
        "hired:alpha=1.0",
        "random:budget=10%",
        "random",
        "prumerge-adaptive",
    ]  # what has no such setting, or finds its own count, stands once
    assert [row.lanes[-1].heads for row in plan(Settings(), "0.2", "heads", "sum 1")] == ["sum", 1]
    lanes = plan(Settings(), "10%", "none", "", ["hired:alpha=0.3,heads=max", "random:seed=2"])
    assert [row.texts[1] for row in lanes] == [
        "hired:budget=10%,alpha=0.3,heads=max", "random:budget=10%,seed=2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("budgets", "axis", "values"),
    [("", "none", ""), ("0.2", "alpha", ""), ("0.2", "alpha", "x"), ("0.2", "heads", "mean"),
     ("0.2", "budget", "1"),
     ("0.2 0", "none", ""), ("0.1 " * 61, "none", ""), ("0.2", "method", "nope"),
     ("0.2", "init_layer", "-1")],
)  # fmt: skip
def test_sweep_refuses_in_words(budgets, axis, values) -> None:
    with pytest.raises(SettingError):
        plan(Settings(), budgets, axis, values)


@pytest.mark.timeout(20)  # minutes and gigabytes, where each is looked at or all are multiplied
@pytest.mark.parametrize(
    ("budgets", "values", "methods"),
    [("1 " * 10**6, "0 " * 10**6, ["random"]), ("0.2", "0 " * 10**6, ["random"]),
     ("0.2" + " " * 10**6 + "%" + " " * 10**6 + "0.3 " * 99, "0", ["random"]),
     ("0.2", "0", ["random"] * 10**6), ("0.2 " * 40, "0 " * 40, ["random"] * 40)],
)  # fmt: skip
def test_a_plan_far_too_large_is_refused_at_once(budgets, values, methods):
    with pytest.raises(SettingError, match="a sweep has at most 60"):
        plan(Settings(), budgets, "seed", values, methods)
    with pytest.raises(SettingError, match=r"A budget is a rate .* Got '1111.*'\.$") as caught:
        plan(Settings(), "1" * 10**6, "none", "")
    assert len(str(caught.value)) < 300
