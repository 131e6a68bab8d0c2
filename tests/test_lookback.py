"""Coverage where it is asked for: rows of a sweep, answers of the API, exported files."""

import csv
import io
import json
import threading
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest
from conftest import make_image

from hired.comparison.explain import explain
from hired.errors import InputError, ModelError, SettingError
from hired.selectors import parse
from hired.web import export, gaze_panel, sweep_tab, tab_run
from hired.web import sweep as sweep_module
from hired.web.api import Endpoints
from hired.web.engine import Engine
from hired.web.handlers import Handlers
from hired.web.settings import Settings
from hired.web.sweep import plan, sweep

QUESTION, LANES = "what is in the picture ?", ("full", "hired:budget=10%", "random:budget=30%")
COLUMN = "of what stock looked at, %"


@pytest.fixture(scope="module")
def engine(tiny):
    return Engine.holding(*tiny, name="tiny")


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    make_image(120, 160).save(path)
    return str(path)


@pytest.fixture(scope="module")
def found(engine, picture):
    """What the library tells of the same prompt."""
    loaded = engine.get()
    lanes = map(parse, LANES)
    given = loaded.model, loaded.processor, picture, QUESTION
    return explain(*given, list(lanes), max_new_tokens=4)


def last(frames):
    return list(frames)[-1]


def swept(engine, **options):
    rows = plan(Settings(max_new_tokens=4), "10% 100%", "none", "", ["hired", "random"])
    image = make_image(120, 160)
    return last(sweep(engine.get(), image, QUESTION, rows, threading.Event(), **options))


def test_rows_of_a_sweep_tell_it_where_it_is_asked_for(engine, found) -> None:
    plain = swept(engine).rows
    assert all("coverage" not in row and "words" not in row for row in plain)
    assert COLUMN not in sweep_tab._table(plain)["headers"]
    rows = swept(engine, coverage=True).rows
    assert rows[1]["coverage"] == round(found.coverage(LANES[1]), 4) < 1
    assert [one["word"] for one in rows[1]["words"]] == [word.text for word in found.words]
    assert [row["coverage"] for row in rows if row["budget"] in ("stock", 1.0)] == [1.0] * 3
    table = sweep_tab._table(rows)
    place = table["headers"].index(COLUMN)
    assert [line[place] for line in table["data"][:2]] == [100, round(100 * rows[1]["coverage"], 1)]
    line = list(csv.DictReader(io.StringIO(export.rows_to_csv(rows))))[1]
    assert json.loads(line["words"]) == rows[1]["words"]
    assert float(line["coverage"]) == rows[1]["coverage"]


def test_a_sweep_goes_on_without_it_and_says_why(engine, monkeypatch) -> None:
    def blind(*_, **__):
        raise ModelError("This <attention> cannot be read.")

    monkeypatch.setattr(sweep_module, "look_back", blind)
    done = swept(engine, coverage=True)
    assert [row["coverage"] for row in done.rows] == [None] * 5 and not done.note
    told = tab_run.show_progress(done, ended=True)
    assert "5 of 5 runs measured. No coverage: This &lt;attention&gt; cannot be read." in told


def test_the_api_tells_it_after_the_run(engine, picture, found) -> None:
    asked = {"lanes": " ".join(LANES), "max_new_tokens": 4}
    without = last(Endpoints(engine).compare(picture, QUESTION, **asked))["details"]
    assert not any("coverage" in lane for lane in without["lanes"])
    told = last(Endpoints(engine).compare(picture, QUESTION, coverage=True, **asked))
    stock, *lanes = told["details"]["lanes"]
    assert stock["coverage"] == 1
    for lane in lanes:
        assert lane["coverage"] == round(found.coverage(lane["lane"]), 4)
        told = [one["coverage"] for one in lane["words"]]
        assert told == [round(share, 4) for _, share in found.shares(lane["lane"])]
    options = {"budgets": "10%", "methods": "hired", "max_new_tokens": 4}
    rows = last(Endpoints(engine).sweep(picture, QUESTION, coverage=True, **options))["rows"]
    assert rows[1]["coverage"] == lanes[0]["coverage"]


def test_a_model_elsewhere_is_said_before_anything_runs(engine, picture, monkeypatch) -> None:
    away = replace(engine.get(), servers=object())
    monkeypatch.setattr(engine, "start", lambda: away)
    with pytest.raises(gr.Error, match="not on this machine"):
        next(Endpoints(engine).compare(picture, QUESTION, coverage=True))
    rows = plan(Settings(), "10%", "none", "")
    with pytest.raises(SettingError, match="not on this machine"):
        next(sweep(away, make_image(90, 90), QUESTION, rows, threading.Event(), coverage=True))


def test_files_of_a_run_tell_it_once_somebody_looked_back(engine, picture, found) -> None:
    asked = {"lanes": " ".join(LANES), "max_new_tokens": 4}
    kept = last(Endpoints(engine).compare(picture, QUESTION, **asked))["details"]
    told = gaze_panel.answer(Handlers(engine), picture, export.from_json(kept))
    assert "data-map=" in told["box"]
    made, table, text = (Path(told[name]["value"]).read_text("utf-8") for name in export.FILES)
    lanes = json.loads(made)["lanes"]
    assert "coverage" not in lanes[0], "the stock model keeps all there is"
    assert lanes[1]["coverage"] == round(found.coverage(LANES[1]), 4)
    again = export.as_dict(export.from_json(made))["lanes"]
    assert again == lanes
    lines = list(csv.DictReader(io.StringIO(table)))
    assert json.loads(lines[1]["words"]) == lanes[1]["words"] and lines[0]["coverage"] == ""
    assert f"| coverage | – | {lanes[1]['coverage']:.3f} |" in text
    assert "coverage" not in export.to_markdown(export.from_json(json.dumps(kept)))


@pytest.mark.parametrize(
    "words", ["one", {"word": "a"}, [{"word": "a"}], [{"coverage": 1}], [["a", 1]], [1]]
)
def test_words_that_are_none_are_refused_in_words(engine, picture, words) -> None:
    kept = last(Endpoints(engine).compare(picture, QUESTION, max_new_tokens=2))["details"]
    kept["lanes"][1]["words"] = words
    with pytest.raises(InputError, match="not a comparison"):
        export.from_json(json.dumps(kept))
