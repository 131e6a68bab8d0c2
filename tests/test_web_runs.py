"""Runs behind the page on a real tiny model: stops, order, repeats, sweeps, manners."""

import threading
import time

import pytest
from asking import shared
from conftest import make_image
from serving import before_each_step

from hired.comparison.lane import Lane
from hired.comparison.run import device_turn
from hired.errors import ModelError, SettingError
from hired.selectors import SELECTORS, build
from hired.web import engine as engine_module
from hired.web import explain_tab, form, pictures, runs
from hired.web import sweep as sweep_module
from hired.web.engine import Engine
from hired.web.handlers import Handlers
from hired.web.limits import Limits
from hired.web.pane_state import PaneState
from hired.web.runs import run
from hired.web.settings import Settings
from hired.web.sweep import plan, sweep
from hired.web.sweep_results import plot
from hired.web.sweep_tab import COLUMNS, _cells
from hired.web.visitors import Stops

QUESTION = "what is in the picture ?"


@pytest.fixture(scope="module")
def engine(tiny):
    return Engine.holding(*tiny)


@pytest.fixture(scope="module")
def image():
    return make_image(120, 160)


def last(frames):
    return list(frames)[-1]


def test_order_does_not_move_the_panes(engine, image) -> None:
    plain, swapped = (
        last(run(engine.get(), image, QUESTION, Settings(swap=swap, max_new_tokens=6), Stops()))
        for swap in (False, True)
    )
    assert [view.method for view in swapped] == ["full", "hired"]
    assert [view.text for view in swapped] == [view.text for view in plain]


def test_swapped_run_begins_with_the_second_pane(engine, image) -> None:
    settings = Settings(swap=True, max_new_tokens=4)
    for views in run(engine.get(), image, QUESTION, settings, Stops()):
        if views[0].phase == "done":
            break
        if views[1].phase != "waiting":
            assert views[0].phase == "waiting" or views[1].ended


def test_a_lane_that_a_preview_met_is_marked(engine, image) -> None:
    """A preview waits for a while only; what was measured meanwhile is not compared."""
    loaded = engine.get()

    def metrics(meet):
        lane, long = Lane("a", build("hired")), {"max_new_tokens": 60, "min_new_tokens": 60}
        steps = loaded.compare(image, QUESTION, [lane], **long)
        for step in steps:
            if step.phase == "decode":
                meet()
        return step.metrics

    def preview():
        with device_turn(0):
            pass

    assert not metrics(lambda: None).contended
    assert metrics(preview).contended
    assert not metrics(lambda: None).contended


def test_a_new_image_is_not_looked_at_beside_a_lane_that_is_measured(engine, monkeypatch) -> None:
    preview, seen, new = engine.get().preview, make_image(60, 61), make_image(60, 62)
    preview.look(seen)
    looking = threading.Thread(target=preview.look, args=(new,))
    with device_turn(60):
        looking.start()
        looking.join(0.3)
        assert looking.is_alive() and not preview.knows(new)
        preview.look(seen)
        monkeypatch.setattr(engine_module, "PATIENCE_S", 0.1)
        preview.look(make_image(60, 63))
    looking.join()
    assert preview.knows(new)


def test_three_panes_raced(engine, image) -> None:
    settings = shared(third="random", race=True, max_new_tokens=5)
    views = last(run(engine.get(), image, QUESTION, settings, Stops()))
    assert [view.method for view in views] == ["full", "hired", "random"]
    assert all(view.phase == "done" and view.metrics["contended"] for view in views)


def test_repeats_give_medians(engine, image) -> None:
    settings = Settings(repeats=3, max_new_tokens=3)
    views = last(run(engine.get(), image, QUESTION, settings, Stops()))
    assert [view.repeats for view in views] == [3, 3]


def test_one_side_stops_alone(engine, image) -> None:
    stops = Stops()
    for views in run(engine.get(), image, QUESTION, Settings(max_new_tokens=60), stops):
        if views[0].text:
            stops.lanes[0].set()
    assert [view.phase for view in views] == ["stopped", "done"]
    assert views[0].text and views[0].metrics["new_tokens"] < 60


def test_stopped_repeats_do_not_begin_again(engine, image) -> None:
    stops, started = Stops(), time.perf_counter()
    settings = Settings(repeats=9, max_new_tokens=300)
    for views in run(engine.get(), image, QUESTION, settings, stops):
        if views[0].text:
            stops.everything.set()
    assert [view.phase for view in views] == ["stopped", "stopped"]
    assert time.perf_counter() - started < 60


def test_closing_a_run_frees_the_device(engine, image) -> None:
    frames = run(engine.get(), image, QUESTION, Settings(max_new_tokens=500), Stops())
    for views in frames:
        if views[0].text:
            break
    frames.close()
    views = last(run(engine.get(), image, QUESTION, Settings(max_new_tokens=2), Stops()))
    assert [view.phase for view in views] == ["done", "done"]


def test_frames_take_a_small_share_of_the_time(monkeypatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(runs, "perf_counter", lambda: clock[0])
    told = [PaneState("full", "decode", "a"), PaneState("hired", "waiting")]
    word = [PaneState("full", "decode", "a b"), told[1]]
    phase = [PaneState("full", "done", "a"), told[1]]
    tick = [PaneState("full", "decode", "a", elapsed_s=9.0), told[1]]
    pace = runs.Pace()
    pace.took(seconds=0.02)
    clock[0] += 0.6
    assert pace.due(told, word) and pace.due(told, tick)
    pace.took(seconds=0.02)
    clock[0] += 0.3
    assert not pace.due(told, word), "20 ms of every 300 ms would be 7 %"
    assert pace.due(told, phase), "a new phase does not wait"
    pace.took(seconds=0.02)
    clock[0] += 0.03
    assert not pace.due(told, phase), "nobody sees what lasts 30 ms"
    first = [told[0], PaneState("hired", "decode", "a")]
    assert pace.due(told, first), "a first word does not wait"
    clock[0] += 0.06
    assert pace.due(told, phase)
    pace.took(seconds=0.001)
    clock[0] += 0.1
    assert pace.due(told, word) and not pace.due(told, tick)


def test_visitors_switch_only_where_they_may(tiny) -> None:
    engine = Engine.holding(*tiny)
    with pytest.raises(ModelError, match="keeps its model"):
        engine.switch("shapes")
    engine.may_switch = True
    with pytest.raises(ModelError, match="model is one of"):
        engine.switch("../../etc")


def test_sweep_measures_every_row_and_compares_with_stock(engine, image) -> None:
    rows = plan(Settings(max_new_tokens=4), "20% 100%", "method", "hired random")
    stop = threading.Event()
    frames = list(sweep(engine.get(), image, QUESTION, rows, stop, "yes", name="a.png"))
    assert sorted({len(frame.rows) for frame in frames}) == [0, 1, 2, 3, 4, 5]
    done = frames[-1].rows
    assert [row["method"] for row in done] == ["full", "hired", "hired", "random", "random"]
    full = [row for row in done if row["budget"] == 1.0]
    assert all(row["agrees"] and row["visual_tokens"] == 166 for row in full)
    assert all(row["correct"] is False for row in done)
    for row in done:
        assert (row["model"], row["image"]) == (engine.get().info["name"], "a.png")
        assert (row["image_height"], row["image_width"]) == (image.height, image.width)
        assert row["date"][:2] == "20" and row["date"].endswith("+00:00")
    assert frames[-1].left_s == 0
    assert plot(done, "method").size[0] > 600


def test_sweep_honours_repeats(engine, image) -> None:
    rows = plan(Settings(max_new_tokens=2, repeats=3), "20%", "none", "")
    steps = []
    with before_each_step(engine.get().model, steps.append):
        done = last(sweep(engine.get(), image, QUESTION, rows, threading.Event()))
    assert [row["repeats"] for row in done.rows] == [3, 3]
    assert [view.repeats for view in done.views] == [3, 3]
    assert len(steps) >= 2 * 3 * 2, "two lanes, three runs, two tokens"


def test_cancelled_sweep_keeps_what_is_done(engine, image) -> None:
    stop = threading.Event()
    rows = plan(Settings(max_new_tokens=3), "10% 20% 30% 40%", "none", "")
    seen = []
    for progress in sweep(engine.get(), image, QUESTION, rows, stop):
        seen.append(progress)
        if len(progress.rows) == 2:
            stop.set()
    assert len(seen[-1].rows) == 2


def test_a_row_of_a_sweep_ends_when_nobody_listens_or_it_is_too_late(engine, image, monkeypatch):
    monkeypatch.setattr(sweep_module, "TICK_S", 0.0)
    rows = plan(Settings(max_new_tokens=300), "20%", "none", "")
    passes, model = [], engine.get().model
    with before_each_step(model, passes.append):
        frames = sweep(engine.get(), image, QUESTION, rows, threading.Event())
        assert [next(frames).rows for _ in range(3)] == [[], [], []]
        frames.close()
        assert len(passes) < 300
    soon = Limits(seconds=1)
    with before_each_step(model, lambda _: time.sleep(0.02)):
        end = last(sweep(engine.get(), image, QUESTION, rows, threading.Event(), "", soon))
    assert end.rows == [] and "Stopped after 1 s" in end.note


def test_a_row_that_fails_says_why_and_the_others_are_measured(engine, image, monkeypatch):
    """Stock runs out first: it is the baseline, and the rows for which one came still count."""
    long = "what " * 790  # too much beside stock's visual tokens
    text = engine.get().model.config.get_text_config()
    monkeypatch.setattr(text, "max_position_embeddings", 900)
    rows = plan(Settings(max_new_tokens=1), "10 20 100%", "none", "")
    end = last(sweep(engine.get(), image, long, rows, threading.Event(), "yes"))
    assert [bool(row["error"]) for row in end.rows] == [True, False, False, True]
    assert "at most 900" in end.rows[0]["error"] and end.rows[0]["ttft_s"] is None
    assert end.rows[1]["ttft_s"] > 0 and end.rows[1]["agrees"] is None
    assert plot(end.rows).size[0] > 100
    cells = [dict(zip(COLUMNS, _cells(row, COLUMNS), strict=True)) for row in end.rows]
    assert "at most 900" in cells[0]["text"] and cells[0]["kv_cache_bytes"] is None
    assert [cell["budget"] for cell in cells] == ["stock", "10", "20", "100 %"]


def test_a_method_that_finds_its_own_count_is_told_so(engine, image) -> None:
    rows = plan(Settings(max_new_tokens=1), "20%", "method", "prumerge-adaptive")
    end = last(sweep(engine.get(), image, QUESTION, rows, threading.Event()))
    assert [row["budget"] for row in end.rows] == ["stock", "its own"]
    kept = pictures.select(engine.get(), image, shared(right="prumerge-adaptive"))[1]
    assert "Its own count" in pictures.readout(kept, None)
    stock = pictures.select(engine.get(), image, shared(right="full"))[1]
    assert "Its own count" not in pictures.readout(stock, None), "stock finds no count"
    assert f"No budget: {stock.kept} of the 180" in pictures.readout(stock, None)


def test_sweep_says_what_cannot_be(engine, image) -> None:
    rows = plan(Settings(max_new_tokens=3), "20%", "init_layer", "40")
    with pytest.raises(SettingError, match="init_layer"):
        list(sweep(engine.get(), image, QUESTION, rows, threading.Event()))


@pytest.mark.parametrize("name", SELECTORS)
def test_every_method_has_a_picture(engine, image, name) -> None:
    settings = shared(right=name, budget=0.3)
    selection, lane = pictures.select(engine.get(), image, settings)[1], settings.lanes[1]
    for mode in pictures.MODES[:3]:
        shown = pictures.preview(engine.get(), image, lane, selection, mode, lane.title)
        assert shown.count('class="spot"') == 5 and 'alt="' in shown
    assert "of the 180 patches" in pictures.readout(selection, lane.budget)


@pytest.mark.parametrize("mode", pictures.MODES)
def test_a_moved_slider_selects_once(tiny, image, tmp_path, monkeypatch, mode) -> None:
    engine = Engine.holding(*tiny)
    looked = engine.get().preview
    selections, select = [], looked.select
    monkeypatch.setattr(looked, "select", lambda *asked: selections.append(1) or select(*asked))
    image.save(path := tmp_path / "a.png")
    for tick in (1, 2):
        shown = Handlers(engine).preview(str(path), mode, **form.write(Settings()))
        assert "data:image/webp" in shown["picture"] and "of the 180 patches" in shown["readout"]
        assert shown["small"].count("data:image/webp") == 2
        assert len(selections) == 2 * tick, "once a pane"


def test_walk_says_this_image_s_numbers(engine, image) -> None:
    text = explain_tab.walk(engine.get(), image, shared(budget=0.2, alpha=0.25))
    assert text.count("<li>") == 5 and "36 tokens in all" in text and "α = 0.25" in text
    assert "<td>9</td>" in text  # a quarter of 36 for the overview
