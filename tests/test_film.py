"""The budget film: its frames are the selections, its breaking point the first lost answer."""

import json
import re
from html import unescape

import pytest
from asking import shared
from conftest import make_image
from test_sweep_tab import make_row

from hired.web import sweep_results
from hired.web.engine import Engine
from hired.web.examples import read_examples
from hired.web.film_tab import LADDER, breaking_point, draw_film, plan_film
from hired.web.settings import Settings, from_mapping


def make_rows(planned, lost_below):
    rows = [make_row("full", "stock", 166, True)]
    for settings in planned:
        budget = settings.lanes[-1].budget
        rows.append(make_row("hired", budget, 18, budget >= lost_below))
    return rows


@pytest.mark.parametrize(
    ("lost_below", "index", "told"),
    [(0.4, LADDER.index(35), "It breaks at 35 %; at 40 % it still holds."),
     (0.0, None, "The answer holds down to 1 %."),
     (2.0, 0, "The answer is lost already at 100 %.")],
)  # fmt: skip
def test_film_marks_where_the_answer_breaks(tiny, lost_below, index, told) -> None:
    engine, image = Engine.holding(*tiny), make_image(120, 160)
    planned = plan_film(shared(left="full", right="hired", repeats=3))
    assert [round(settings.lanes[-1].budget * 100) for settings in planned] == list(LADDER)
    assert {(settings.lanes[-1].name, settings.repeats) for settings in planned} == {("hired", 1)}
    rows = make_rows(planned, lost_below)
    assert breaking_point(rows[1:]) == index
    shown = draw_film(engine.get(), image, planned, rows)
    assert told in shown and shown.count("broken") == (index is not None)
    film = json.loads(unescape(re.search(r'data-film="([^"]+)"', shown)[1]))
    assert len(film["frames"]) == len(LADDER) and len(film["boxes"]) == 5
    for settings, frame in zip(planned, film["frames"], strict=True):
        kept = engine.get().preview.select(image, settings.lanes[-1])
        assert frame["mask"].count("1") == kept.mask.sum() and len(frame["mask"]) == 180
        assert frame["mark"] == ("right" if settings.lanes[-1].budget >= lost_below else "wrong")
    assert film["frames"][0]["words"].startswith("✓ 100 %" if lost_below < 1 else "✗ 100 %")


def test_a_film_stopped_midway_shows_what_there_is(tiny) -> None:
    engine, image = Engine.holding(*tiny), make_image(120, 160)
    planned = plan_film(Settings())
    shown = draw_film(engine.get(), image, planned, make_rows(planned, 0)[:4])
    assert 'max="2"' in shown and "holds down to 80 %" in shown
    assert draw_film(engine.get(), image, planned, make_rows(planned, 0)[:1]) == ""


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [({}, "The answer holds down to 80 %."),
     ({3: {"error": "out of memory"}}, "The answer holds down to 90 %."),
     ({2: {"error": "out of memory"}, 3: {"correct": False}}, "at 100 % it still holds"),
     ({1: {"error": "out of memory"}, 2: {"correct": False}}, "lost already at 90 %"),
     ({key: {"error": "out of memory"} for key in (1, 2, 3)}, "There is no answer to judge."),
     ({key: {"correct": None, "agrees": None} for key in (0, 1, 2, 3)}, "no answer to judge."),
     ({0: {"error": "out of memory", "correct": None, "agrees": None}} |
      {key: {"correct": None, "agrees": None} for key in (1, 2, 3)}, "no answer to judge.")],
)  # fmt: skip
def test_a_frame_without_an_answer_or_without_stock_s_is_not_judged(tiny, spoilt, told) -> None:
    engine, image = Engine.holding(*tiny), make_image(120, 160)
    planned = plan_film(Settings())[:3]
    rows = make_rows(planned, 0)
    for index, changes in spoilt.items():
        rows[index] |= changes
    shown = draw_film(engine.get(), image, planned, rows)
    assert told in shown and ("stock to compare with" in shown) == (0 in spoilt)


def test_the_recorded_film_is_of_the_first_example() -> None:
    kept = sweep_results.recorded("shapes", "film")
    assert kept["question"] == read_examples()[0].question
    planned = [from_mapping(settings).lanes[-1] for settings in kept["planned"]]
    assert [round(lane.budget * 100) for lane in planned] == list(LADDER)
    assert kept["rows"][1]["correct"] and not kept["rows"][-1]["correct"], "the answer breaks"
