"""The panes of a comparison that is measured several times say which of them goes on."""

import time

from conftest import make_image
from serving import before_each_step

from hired.web.engine import Engine
from hired.web.render import pane
from hired.web.runs import run
from hired.web.settings import Settings
from hired.web.visitors import Stops


def test_each_repeat_tells_its_number_and_the_median_none(tiny) -> None:
    settings = Settings(repeats=3, max_new_tokens=3)
    loaded = Engine.holding(*tiny).get()
    frames = list(run(loaded, make_image(120, 160), "what is it ?", settings, Stops()))
    told = dict.fromkeys((view.turn, view.turns) for views in frames for view in views)
    assert list(told) == [(1, 3), (2, 3), (3, 3), (1, 1)]
    assert "run 2 of 3" in pane(next(view for view, _ in frames if view.turn == 2), 0)
    assert " of 3" not in pane(frames[-1][0], 0)


def test_a_lane_stopped_in_its_first_run_keeps_what_it_said(tiny) -> None:
    settings = Settings(repeats=3, max_new_tokens=40)
    stops, said = Stops(), ""
    loaded, image = Engine.holding(*tiny).get(), make_image(120, 160)
    with before_each_step(tiny[0], lambda _: time.sleep(0.01)):
        for views in run(loaded, image, "what ?", settings, stops):
            if views[1].text:
                stops.lanes[1].set()
            said = said or (views[1].text if views[1].phase == "stopped" else "")
    assert said and (views[1].phase, views[1].text) == ("stopped", said)
    assert (views[0].phase, views[0].repeats) == ("done", 3)
