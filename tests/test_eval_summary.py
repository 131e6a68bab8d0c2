"""From recorded answers to shares, intervals, differences and tables, counted by hand."""

import pytest

from hired.bench.accuracy_plan import EVEN
from hired.bench.accuracy_summary import compare, pool, summarise, wilson
from hired.bench.accuracy_tables import explain, make_report
from hired.bench.plan import Entry
from hired.bench.speed_plan import Sweep


def test_intervals():
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


SESSION = {
    "kind": "session", "of": "eval", "session": 0, "date": "2026-11-22T10:00:00+00:00",
    "command": "eval", "device": "cpu", "device_name": "a chip", "threads": 1,
    "versions": {"torch": "2"},
}  # fmt: skip


def a_round(poster, split="sparse", **lanes):
    return {
        "kind": "round", "key": f"{split}-{poster}-{sorted(lanes)}", "split": split, "seed": 0,
        "poster": poster, "kinds": ["digit", "count"],
        "lanes": {
            title.replace("_at_", "@").replace("half", "0.5"): {"right": right, "visual_tokens": n}
            for title, (right, n) in lanes.items()
        },
    }  # fmt: skip


def test_shares_are_counted_by_hand():
    rounds = [
        a_round(0, full=("11", 100), hired_at_half=("10", 40)),
        a_round(1, full=("01", 200), hired_at_half=("00", 60)),
        a_round(1, hired_at_half=("01", 60)),  # asked again: the later counts
    ]
    full, hired = summarise(rounds)
    assert (full.what, full.budget, full.right, full.asked) == ("full", None, 3, 4)
    assert full.by_kind == {"digit": (1, 2), "count": (2, 2)} and full.visual_tokens == 150
    assert (hired.what, hired.budget, hired.accuracy, hired.visual_tokens) == (
        "hired",
        0.5,
        0.5,
        50,
    )
    text = make_report([SESSION, *rounds])
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows[0] == "| `full` |  | 75.0 (30.1–95.4) |"
    assert rows[1] == "| `hired` | 50.0 (15.0–85.0) | as `full` |"
    assert "| `hired` | 50 % | 50 | 50 |" in rows
    assert "a chip" in text and "4 questions about 2 sparse posters" in text


def test_a_difference_is_taken_on_the_posters_that_both_answered():
    rounds = [
        a_round(n, hired_at_half=("11", 9), full=("11" if n else "00", 9), random_at_half=("10", 9))
        for n in range(40)
    ]
    rounds += [a_round(n, hired_at_half=("00", 9)) for n in range(40, 60)]
    hired, full, chance = summarise(rounds)
    assert hired.posters == 60 and full.posters == 40
    found = compare(chance, hired)
    assert (found.value, found.low, found.high) == (-0.5, -0.5, -0.5) and found.clear
    found = compare(full, hired)
    assert found.value == pytest.approx(-1 / 40) and found.low <= found.value <= found.high == 0
    assert not found.clear and compare(full, summarise(rounds[40:])[0]) is None
    text = make_report([SESSION, *rounds])
    assert "(fewer posters: `full` 40, `random@0.5` 40)" in text


def test_splits_are_pooled_and_their_pictures_stay_apart():
    rounds = [
        a_round(0, "board", **{"full": ("11", 10), "hired@0.2": ("10", 2)}),
        a_round(0, "chart", **{"full": ("10", 20), "hired@0.2": ("10", 4)}),
        a_round(1, "chart", **{"full": ("11", 30)}),
    ]
    full, hired = pool(summarise(rounds))
    assert (full.right, full.asked, full.posters, full.visual_tokens) == (5, 6, 3, 20.0)
    assert (hired.right, hired.asked, hired.posters, hired.visual_tokens) == (2, 4, 2, 3.0)
    assert compare(hired, full).value == pytest.approx(-1 / 4)
    assert full.split == "" and (full.what, hired.budget) == ("full", 0.2)


def test_a_rival_is_compared_at_the_same_budget():
    lanes = {"full": ("11", 9), "hired_at_half": ("11", 4), "random_at_half": ("10", 4)}
    text = make_report(
        [SESSION, *(a_round(n, **lanes, **{"spatial@0.2": ("00", 2)}) for n in (0, 1))]
    )
    table = text[text.index("### Against HiRED") :]
    assert "| Method | 50 % |" in table and "| `spatial` |  |" in table
    assert "| `random` | **-50.0** (-50.0 to -50.0) |" in table


def test_the_ablations_have_a_table_of_their_own():
    rounds = [a_round(0, full=("11", 9), hired_at_half=("11", 4), **{
        f"{EVEN}@0.5": ("10", 4), "hired:alpha=0.3@0.5": ("00", 4)})]  # fmt: skip
    text = make_report([SESSION, *rounds])
    table = text[text.index("one part changed") :]
    assert "| `hired` | as the paper has it | 100.0" in table
    assert f"| `{EVEN}` | crops share alike" in table
    assert "| `hired:alpha=0.3` | overview's share 0.3 | 0.0" in table
    assert explain("hired:init_layer=3,heads=max") == "crops' shares by layer 3; heads: max"


def test_original_positions_stand_beside_packed_tokens():
    lanes = {"full": ("11", 9), "hired@0.2": ("10", 2), "hired:positions=original@0.2": ("11", 2)}
    lanes |= {"random@0.2": ("10", 2), "random:positions=original@0.2": ("00", 2)}
    text = make_report([SESSION, *(a_round(n, **lanes) for n in (0, 1))])
    table = text[text.index("### Original position IDs, sparse posters") :].split("\n### ")[0]
    assert "| Method | 20 %, packed | 20 %, original | 20 %, gained |" in table
    assert "| `hired` | 50.0 | 100.0 | **+50.0** (+50.0 to +50.0) |" in table
    assert "| `random` | 50.0 | 0.0 | **-50.0** (-50.0 to -50.0) |" in table
    others = text.split("### Original position IDs")[0]
    assert "positions" not in others, "methods stand beside each other as their papers have them"


def test_a_count_of_one_is_not_a_rate_of_one():
    both = Sweep(methods=(Entry("hired"),), budgets=(1.0, 1, 1)).entries
    assert [repr(entry.budget) for entry in both] == ["None", "1.0", "1"]
    lanes = {"full": ("11", 9), "hired@1": ("00", 1), "hired-release@1.0": ("11", 8)}
    lanes |= {"hired-release@1": ("10", 1), "hired:alpha=0.3@1": ("10", 1)}
    text = make_report([SESSION, *(a_round(n, **lanes) for n in (0, 1))])
    parts = text.split("\n### ")
    table, against = parts[1], parts[2]
    changed = next(part for part in parts if part.startswith("HiRED with one part"))
    assert table.count("| 100 % | 1 |") == 1
    rows = {line.split(" |")[0]: line.split(" | ") for line in table.splitlines()}
    assert rows["| `hired`"][1] == "as `full`" and rows["| `hired`"][2].startswith("0.0")
    assert rows["| `hired-release`"][1].startswith("100.0")
    assert rows["| `hired-release`"][2].startswith("50.0")
    assert "+50.0" in against and "100 %" not in against
    assert "sparse, 1 " in changed and "100 %" not in changed


def test_every_command_of_a_record_is_told():
    again = SESSION | {"session": 1, "command": "eval --ablations"}
    text = make_report([SESSION, a_round(0, full=("11", 9)), again, SESSION | {"session": 2}])
    assert "```bash\neval\neval --ablations\n```" in text


def test_partitions_are_told_apart():
    rounds = [a_round(n, full=("11", 9), hired_at_half=("10", 4)) for n in range(12)]
    text = make_report([SESSION, *rounds])
    table = text[text.index("### By partitions, sparse posters, %") :]
    rows = [
        line.split(" | ") for line in table.splitlines() if line.startswith(("| 3", "| 4", "| 5"))
    ]
    assert "| Partitions | Posters | `full` | `hired` 50 % |" in table
    assert sum(int(row[1]) for row in rows) == 12 and len(rows) > 1
    assert all(row[2:] == ["100.0", "50.0 |"] for row in rows)


def test_partitions_that_a_lane_has_not_seen_stay_empty():
    first = a_round(0, full=("11", 9), hired_at_half=("10", 4))
    rounds = [first, *(a_round(n, full=("11", 9)) for n in range(1, 12))]
    text = make_report([SESSION, *rounds])
    table = text[text.index("### By partitions, sparse posters, %") :]
    lines = [line for line in table.splitlines() if line.startswith(("| 3", "| 4", "| 5"))]
    assert len(lines) > 1 and sum(line.endswith("| 50.0 |") for line in lines) == 1
    assert sum(line.endswith("|  |") for line in lines) == len(lines) - 1
