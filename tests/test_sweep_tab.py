"""The sweep as people see it: its grid, what a cell opens, the plots, the recorded one."""

import json
import re

import pytest
from asking import shared
from test_web import ABOUT, METRICS

from hired.cli import main
from hired.web import export, sweep_results
from hired.web.examples import read_examples
from hired.web.pane_state import PaneState
from hired.web.sweep import Progress, plan
from hired.web.sweep_plots import draw_sweep
from hired.web.sweep_results import grid, outcome, plot

LINES = [("full", "stock", 166, True), ("hired", 0.1, 18, False), ("hired", 0.2, 36, True),
         ("random", 0.1, 18, False), ("prumerge-adaptive", "its own", 40, True)]  # fmt: skip


def make_row(method, budget, tokens, correct, **more):
    numbers = {"visual_tokens": tokens, "ttft_s": tokens / 100, "tokens_per_s": 50.0,
               "kv_cache_bytes": tokens * 1000}  # fmt: skip
    words = {"text": "It shows a 7." if correct else "It shows a 1.", "error": None}
    row = {"method": method, "budget": budget, "correct": correct, "agrees": correct, "alpha": 0.5}
    return row | numbers | words | more


ROWS = [make_row(*line) for line in LINES]


def test_grid_shows_right_and_wrong_over_method_and_budget() -> None:
    shown = grid(ROWS)
    heads = re.findall(r'<th scope="col">(.*?)</th>', shown)
    assert heads == ["Method", "10 %", "20 %", "its own"]
    assert re.findall(r'class="outcome (\w+)" data-row="(\d)"', shown) == [
        ("right", "0"), ("wrong", "1"), ("right", "2"), ("wrong", "3"), ("right", "4"),
    ]  # fmt: skip
    assert 'aria-label="HiRED at 10 %: wrong. Open this run."' in shown
    assert grid([]) == ""


@pytest.mark.parametrize(
    ("change", "found"),
    [({"correct": None}, "same"), ({"correct": None, "agrees": False}, "differs"),
     ({"correct": None, "agrees": None}, "alone"),
     ({"error": "no memory"}, "failed"), ({}, "right")],
)  # fmt: skip
def test_an_answer_that_nobody_knows_is_neither_right_nor_wrong(change, found) -> None:
    assert outcome(ROWS[0] | change) == found


def test_the_legend_stands_beside_the_lines(monkeypatch) -> None:
    """Outside of every plot, with each method's title once."""
    from matplotlib.figure import Figure

    seen = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (seen.append(self), save(self, *a, **k))
    )
    plot(ROWS)
    (figure,) = seen
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert all(not box.overlaps(axes.get_window_extent()) for axes in figure.axes)
    assert not any(axes.get_legend() for axes in figure.axes)
    titles = [text.get_text() for text in legend.get_texts()]
    assert titles == ["HiRED", "Random", "PruMerge, adaptive", "Stock"]


def test_plots_have_a_line_per_method_and_hollow_marks_where_it_is_wrong() -> None:
    plots = draw_sweep([row | {"coverage": row["visual_tokens"] / 166} for row in ROWS], "none")
    assert all(one["visible"] for one in plots.values())
    stock, hired, *others = json.loads(plots["plot_coverage"]["value"])["lines"]
    assert (stock["name"], stock["style"], stock["points"][0]["y"]) == ("Stock", "level", 100)
    assert [line["name"] for line in others] == ["Random", "PruMerge, adaptive"]
    assert [(one["x"], one["hollow"]) for one in hired["points"]] == [(18, True), (36, False)]
    assert "10.8 % at 10 %, 18 visual tokens ✗ wrong" in hired["points"][0]["words"]
    assert json.loads(plots["plot_kv_cache_bytes"]["value"])["lines"][1]["points"][1]["y"] == 0.036
    assert not draw_sweep(ROWS, "none")["plot_coverage"]["visible"]
    assert not draw_sweep([ROWS[0] | {"ttft_s": None}, *ROWS[1:]], "none")["plot_ttft_s"]["visible"]


def test_a_cell_opens_the_run_behind_it() -> None:
    planned = plan(shared(third="random", repeats=2), "10% 20%", "none", "", ["hired", "random"])
    names = ["full", "hired", "hired", "random", "random"]
    views = [
        PaneState(name, "done", f"answer {n}", metrics=METRICS) for n, name in enumerate(names)
    ]
    rows = [{"text": view.text} for view in views]
    size = {"name": "a.png", "height": 3, "width": 4}
    kept = sweep_results.keep(
        "which?", "7", size, "none", planned, Progress(rows, 5, 0, "", views), ABOUT
    )
    kept = json.loads(json.dumps(kept))
    opened = export.from_json(sweep_results.run_at(kept, 4))
    assert (opened.question, opened.image, opened.about["date"]) == ("which?", size, ABOUT["date"])
    assert opened.settings == shared(left="full", right="random", budget=0.2, repeats=2)
    assert [view.text for view in opened.views] == ["answer 0", "answer 4"]
    stock = export.from_json(sweep_results.run_at(kept, 0))
    assert [view.text for view in stock.views] == ["answer 0", "answer 1"]


def test_the_recorded_sweep_is_of_the_first_example() -> None:
    kept = sweep_results.recorded("shapes")
    first = read_examples()[0]
    assert (kept["question"], kept["answer"]) == (first.question, first.answer)
    assert len(kept["rows"]) == len(kept["lanes"]) == len(kept["planned"]) + 1 > 20
    assert kept["rows"][0]["correct"] and {row["repeats"] for row in kept["rows"]} == {3}
    assert kept["date"] and kept["device_name"]
    stock, *rows = (row["coverage"] for row in kept["rows"])
    assert stock == 1 and all(0 < share <= 1 for share in rows) and min(rows) < 0.2
    assert sweep_results.recorded("no such model") is None


def test_recording_measures_and_writes(tmp_path, monkeypatch, tiny) -> None:
    from hired.web import recorder
    from hired.web.engine import Engine

    monkeypatch.setattr(recorder, "Engine", lambda name: Engine.holding(*tiny, name=name))
    monkeypatch.setattr(recorder, "BUDGETS", "50 %")
    assert main(["record", "--repeats", "1", "--to", str(tmp_path)]) == 0
    kept = sweep_results.recorded("shapes", folder=tmp_path)
    assert [row["budget"] for row in kept["rows"]] == ["stock", *[0.5] * len(recorder.METHODS)]
    assert all(row["ttft_s"] > 0 and 0 < row["coverage"] <= 1 for row in kept["rows"])
    assert not any(
        "coverage" in row for row in sweep_results.recorded("shapes", "film", tmp_path)["rows"]
    )
