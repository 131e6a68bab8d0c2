"""The Benchmarks tab on a record that bench made, and what the page itself costs."""

import json

import pytest

from hired.bench.plan import Entry
from hired.bench.results import SHIPPED
from hired.bench.speed import run_sweep
from hired.bench.speed_figures import draw_figures
from hired.bench.speed_plan import Sweep
from hired.bench.speed_summary import Row
from hired.bench.speed_tables import describe_overhead
from hired.cli import main
from hired.web import accuracy, benchmarks_tab, overhead
from hired.web.benchmarks_tab import EMPTY, HEADS, choose, open_tab, read_results
from hired.web.engine import Engine
from hired.web.settings import Settings


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    """Two groups of a real sweep, and a file that is no record."""
    folder = tmp_path_factory.mktemp("results")
    sweep = Sweep(models=("tiny",), methods=(Entry("hired"),), budgets=(0.2, 30), batches=(1, 2),
                  repeats=1, warm_up=0, new_tokens=2, image_size=(168, 168))  # fmt: skip
    run_sweep(
        sweep, folder / "bench.jsonl", "python -m hired bench --x", "cpu", models={"tiny": tiny}
    )
    (folder / "broken.jsonl").write_text("no json\nat all\n")
    return folder


def test_without_records_it_says_so(tmp_path) -> None:
    choice, streaming, about, table, *plots = open_tab(tmp_path)
    assert about == EMPTY and "python -m hired bench" in about and not streaming
    assert len(plots) == 3 and not any(one["visible"] for one in (choice, table, *plots))


def test_records_are_a_sortable_table_and_plots(folder) -> None:
    choice, _, about, table, *plots = open_tab(folder)
    assert len(choice["choices"]) == 2 and "batch 1" in choice["choices"][0][0]
    device, day = read_results(folder)[0].title.split(" · ")[-1].rsplit(", ", 1)
    assert device in about and day in about and "python -m hired bench --x" in about
    rows = [dict(zip(HEADS, row, strict=True)) for row in table["value"]]
    assert [(row["method"], row["kept"]) for row in rows] == [
        ("full", "all"), ("hired", "20 %"), ("hired", "30"),
    ]  # fmt: skip
    assert [row["visual tokens"] for row in rows] == [180 + 12, 36, 30]
    numbers = [value for row in rows for value in list(row.values())[2:]]
    assert all(isinstance(value, int | float) for value in numbers), "text does not sort"
    assert rows[0]["speed-up"] == 1 and rows[0]["first token, ms"] > 0
    assert all(one["visible"] for one in plots)
    assert len(choose(folder, 1)[1]["value"]) == 3
    assert choose(folder, 7)[0] == EMPTY


def lines_of(plot):
    """What a plot was given: line -> x -> (y, words)."""
    drawn = json.loads(plot["value"])["lines"]
    return {
        line["name"]: {point["x"]: (point["y"], point["words"]) for point in line["points"]}
        for line in drawn
    }


def test_plots_have_the_numbers_of_the_table(folder) -> None:
    _, _, _, table, gains, phases, memory = open_tab(folder)
    rows = [dict(zip(HEADS, row, strict=True)) for row in table["value"]]
    lines = lines_of(gains)
    assert list(lines) == ["full", "hired", "estimate"]
    for row in rows:
        tokens = row["visual tokens"]
        for name, column in ((row["method"], "speed-up"), ("estimate", "estimate")):
            y, words = lines[name][tokens]
            assert y == pytest.approx(row[column], rel=1e-2)
            told = float(words.partition("×")[0])  # of the value before it was rounded
            assert told == pytest.approx(y, abs=0.0056) and f"{tokens} visual tokens" in words
    bars = json.loads(phases["value"])["bars"]
    assert [bar["name"] for bar in bars] == ["full", "hired, 20 %", "hired, 30"]
    for row, bar in zip(rows, bars, strict=True):
        assert list(bar["parts"]) == ["preprocess", "vision", "select", "prefill"]
        told = row["first token, ms"] / 1e3
        assert sum(bar["parts"].values()) == pytest.approx(told, rel=0.02, abs=4e-4)
    held = lines_of(memory)["KV cache, at the end"]
    for row in rows:
        y, words = held[row["visual tokens"]]
        assert y == pytest.approx(row["KV cache, MB"], abs=0.01) and row["method"] in words


def test_a_method_looks_the_same_in_every_plot(folder) -> None:
    looks: dict[str, set] = {}
    plots = open_tab(folder)[4], accuracy.open_accuracy(SHIPPED)[2]
    for plot in plots:
        for line in json.loads(plot["value"])["lines"]:
            looks.setdefault(line["name"], set()).add((line["place"], line["style"]))
    assert all(len(found) == 1 for found in looks.values())
    places = [place for found in looks.values() for place, style in found if style == "line"]
    assert len(set(places)) == len(places) > 10


def test_lane_without_numbers_keeps_its_place_and_its_reason(folder, tmp_path) -> None:
    lines = [json.loads(line) for line in (folder / "bench.jsonl").read_text().splitlines()]
    for line in lines[1:]:
        del line["lanes"][0]["metrics"]
        line["lanes"][0]["error"] = "ran out of memory"
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    about, table, *_ = choose(tmp_path, 0)
    assert "`full` ran out of memory" in about
    assert table["value"][0][2:] == [None] * (len(HEADS) - 2)


def test_overhead_of_the_page_is_measured_in_turns(tiny, tmp_path) -> None:
    engine = Engine.holding(*tiny, name="random:tiny")
    record = overhead.measure(engine, Settings(max_new_tokens=6), 2)
    assert len(record["plain_s"]) == len(record["page_s"]) == 2
    assert min(record["plain_s"] + record["page_s"]) > 0 and record["events"] > 4
    assert record["image"]["name"].endswith((".jpg", ".png")) and record["image"]["width"] > 100
    (tmp_path / "overhead.json").write_text(json.dumps(record))
    words = benchmarks_tab.read_overhead(tmp_path)
    assert (
        "median of 2 pairs" in words and "random:tiny" in words and record["device_name"] in words
    )
    even = record | {"plain_s": [10.0, 10.0, 10.0], "page_s": [10.1, 10.3, 10.2], "load": 0.0}
    assert "**2.0%** longer" in describe_overhead(even) and "1.0% to 3.0%" in describe_overhead(
        even
    )
    assert "Other programs ran" in describe_overhead(even | {"load": 99.0})


def test_overhead_refuses_in_words(capsys) -> None:
    assert main(["overhead", "--repeats", "0"]) == 2
    assert "repeats is at least 1" in capsys.readouterr().err


def test_overhead_record_that_is_none_is_left_out(tmp_path) -> None:
    (tmp_path / "overhead.json").write_text('{"kind": "overhead"}')
    assert benchmarks_tab.read_overhead(tmp_path) == ""


def test_a_group_in_which_nothing_could_be_measured(folder, tmp_path) -> None:
    lines = [json.loads(line) for line in (folder / "bench.jsonl").read_text().splitlines()]
    for line in lines[1:]:
        for lane in line["lanes"]:
            del lane["metrics"]
            lane["error"] = "ran out of memory"
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    about, table, *plots = choose(tmp_path, 0)
    assert about.count("ran out of memory") == 3 and len(table["value"]) == 3
    assert len(plots) == 3 and not any(one["visible"] for one in plots)
    assert draw_figures(lines, tmp_path, "a") == []


def test_a_method_that_finds_its_own_count_says_so() -> None:
    row = Row("prumerge-adaptive", None, 0, 1, {}, error="no")
    assert benchmarks_tab.cells(row)[1] == "its own"
    assert benchmarks_tab.cells(Row("full", None, 0, 1, {}, error="no"))[1] == "all"


def test_a_page_that_costs_nothing_is_said_in_words() -> None:
    words = ("name", "dtype", "device_name", "date")
    facts = dict.fromkeys(words, "x") | dict.fromkeys(("new_tokens", "events", "bytes", "load"), 1)
    facts |= {"cores": 2, "versions": {"torch": "2"}}
    assert "**1.0%** less than" in describe_overhead(facts | {"page_s": [0.99], "plain_s": [1.0]})
    assert "**2.0%** longer" in describe_overhead(facts | {"page_s": [1.02], "plain_s": [1.0]})


def test_accuracy_comes_first_from_the_richest_record(tmp_path) -> None:
    richest, *others = accuracy.read_accuracy(SHIPPED)
    assert all(len(richest.scores) >= len(one.scores) for one in others) and others
    assert {"full", "hired", "random"} <= {one.what for one in richest.scores}
    choice, about, plot, table = accuracy.open_accuracy(SHIPPED)
    assert choice["value"] == 0 and richest.about in about
    assert "python -m hired eval" in about and "/tmp" not in about and "| `hired` |" in table
    drawn = json.loads(plot["value"])["lines"]
    assert {line["name"] for line in drawn} == {one.what for one in richest.scores}
    for line in drawn:
        ordered = sorted(richest.scores, key=lambda one: one.visual_tokens)
        mine = [one for one in ordered if one.what == line["name"]]
        assert line["style"] == ("level" if line["name"] == "full" else "line")
        assert len(line["points"]) == len(mine)
        for one, point in zip(mine, line["points"], strict=True):
            right = round(100 * one.accuracy, 1)
            assert point["low"] < right == point["y"] < point["high"]
            assert point["x"] == round(one.visual_tokens)
            assert f"{right} % right ({point['low']} to {point['high']})" in point["words"]
    nothing = accuracy.open_accuracy(tmp_path)
    assert nothing[1] == accuracy.EMPTY and not nothing[2]["visible"]


def test_speed_opens_on_the_richest_record() -> None:
    sizes = [len(result.group.rows) for result in read_results(SHIPPED)]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > sizes[-1]
    assert "/tmp" not in "".join(one.about for one in read_results(SHIPPED))
