"""The box "What did it look at?": offered after a run, filled when asked for, inert as HTML."""

import re
from dataclasses import replace

import pytest
from conftest import make_image

from hired.selectors import parse
from hired.web import gaze_panel, uploads
from hired.web.engine import Engine
from hired.web.export import Record
from hired.web.handlers import Handlers
from hired.web.limits import Limits
from hired.web.settings import Settings


@pytest.fixture(scope="module")
def engine(tiny):
    return Engine.holding(*tiny, name="tiny")


def test_every_word_brings_its_map_and_the_share_that_each_lane_kept(engine) -> None:
    lanes = [parse("full"), parse("hired:budget=10%"), parse("random:budget=30%")]
    told = gaze_panel.show_looks(engine.get(), make_image(90, 150), "what is it ?", lanes, 3)[0]

    assert told.count('class="looked"') == 3
    assert re.search(
        r"Of what the stock model looked at for «.+?», HiRED kept \d+ %, .+ \d+ %", told
    )
    assert "looked at when it wrote" in told
    assert told.count('aria-pressed="true"') == 1
    assert len(re.findall('tabindex="0"', told)) == 3
    assert "Crossed: HiRED dropped it." in told


def test_two_lanes_of_one_method_are_told_apart_by_their_settings(engine) -> None:
    lanes = [parse("hired:budget=10%"), parse("hired:budget=50%")]
    told = gaze_panel.show_looks(engine.get(), make_image(90, 150), "what is it ?", lanes, 2)[0]
    assert re.search(r"hired:budget=10% kept \d+ %, hired:budget=50% kept \d+ %", told)


def test_stock_alone_is_shown_without_shares(engine) -> None:
    told, _ = gaze_panel.show_looks(
        engine.get(), make_image(90, 150), "what is it ?", [parse("full")], 2
    )
    assert "<small>" not in told.partition("Bright patches")[0].rpartition("<p>")[0]
    assert "Crossed" not in told


def test_nothing_is_offered_before_a_run_or_of_another_picture(engine, tmp_path) -> None:
    handlers = Handlers(engine)
    assert gaze_panel.offer(handlers, None, None)["box"] == ""
    pasted = [tmp_path / folder / "clipboard.png" for folder in "ab"]
    for seed, path in enumerate(pasted):
        path.parent.mkdir()
        make_image(60, 80, seed).save(path)
    mine, other = map(str, pasted)
    image = uploads.keep_picture(mine, make_image(60, 80))
    run = Record("what ?", image, Settings(), [], {"model": engine.name})
    assert gaze_panel.offer(handlers, other, run)["box"] == "", "another of this name and size"
    assert "What did it look at?" in gaze_panel.offer(handlers, mine, run)["box"]
    assert "about another picture" in gaze_panel.answer(handlers, other, run)["box"]
    away = replace(run, about={"model": "another"})
    assert gaze_panel.offer(handlers, mine, away)["box"] == "", "its model is not here"


@pytest.mark.parametrize(("limits", "says"), [
    ({"new_tokens": 2}, "The answer may have"), ({"question": 5}, "The question has"),
    ({"pixels_mp": 1}, "megapixels"),
])  # fmt: skip
def test_a_record_that_was_brought_keeps_to_the_limits(tiny, tmp_path, limits, says) -> None:
    engine = Engine.holding(*tiny, name="tiny")
    engine.limits = Limits(**limits)
    path = str(tmp_path / "large.png")
    make_image(1000, 1100).save(path)
    image = uploads.keep_picture(path, make_image(1000, 1100))
    run = Record("what is it ?", image, Settings(), [], {"model": "tiny"})
    assert says in gaze_panel.answer(Handlers(engine), path, run)["box"]
