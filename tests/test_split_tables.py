"""Splits beside each other, and beside what the paper reports, counted by hand."""

from test_eval_summary import a_round

from hired.bench.accuracy_summary import summarise
from hired.bench.split_tables import kept_table, published_scores, split_table

ROUNDS = [
    a_round(0, "board", **{"full": ("11", 9), "hired@0.2": ("10", 9), "spatial@0.2": ("00", 9)}),
    a_round(1, "board", **{"spatial@0.4": ("10", 9), "full": ("11", 9)}),
    a_round(0, "chart", **{"full": ("00", 9), "hired@0.2": ("00", 9)}),
    a_round(0, **{"full": ("11", 9), "hired@0.2": ("11", 9), "hired@0.4": ("11", 9)}),
    a_round(1, **{"full": ("10", 9), "hired@0.2": ("10", 9), "hired@0.4": ("11", 9)}),
]


def rows(table: str) -> dict[str, list[str]]:
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    return {first: rest for first, *rest in cells}


def test_splits_stand_below_each_other_in_their_own_order() -> None:
    found = rows(split_table(summarise(ROUNDS)))
    assert list(found)[2:] == ["Sparse posters", "Departure boards", "Bar charts"]
    head = [
        "Questions",
        "`full`",
        "`hired` 40 %",
        "`hired` 20 %",
        "`random` 20 %",
        "`spatial` 20 %",
    ]
    assert found["Pictures"] == head
    assert found["Sparse posters"][:3] == ["4", "75.0 (30.1–95.4)", "100.0 (51.0–100.0)"]
    assert found["Departure boards"][2:] == ["", "50.0 (9.5–90.5)", "", "0.0 (0.0–65.8)"]


def test_what_is_kept_of_the_full_score_stands_beside_the_paper_s() -> None:
    found = rows(kept_table(summarise(ROUNDS)))
    assert found[""] == ["`hired` 40 %", "`hired` 20 %", "`random` 40 %", "`spatial` 40 %"]
    assert found["Sparse posters, here"] == ["133", "100", "", ""]
    assert found["Departure boards, here"] == ["", "50", "", "50"]
    assert found["Bar charts, here"] == [""] * 4  # nothing was right
    # 68.7, 60.8 and 58.9 of 73.4
    assert found["DocVQA, published"] == ["94", "83", "", "80"]
    assert rows(published_scores())["HiRED 20 %"][3] == "60.8"


def test_tokens_in_their_places_have_columns_where_they_were_measured() -> None:
    placed = a_round(3, "board", **{"full": ("11", 9), "hired:positions=original@0.2": ("11", 9)})
    found = rows(kept_table(summarise([*ROUNDS, placed])))
    assert found[""][2:4] == ["`hired:positions=original` 20 %", "`random` 40 %"]
    assert found["Departure boards, here"][1:3] == ["50", "100"]
    assert found["DocVQA, published"][2] == ""


def test_a_split_without_the_stock_model_is_left_out() -> None:
    alone = a_round(3, "large", **{"hired@0.2": ("10", 9)})
    assert split_table(summarise([*ROUNDS, alone])) == split_table(summarise(ROUNDS))
