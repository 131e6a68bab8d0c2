"""Every setting is reached through the page, every difference and figure explained in its pane."""

import pytest
from test_web import STOCK

from hired.errors import SettingError
from hired.selectors import SELECTORS, build, every_setting, settings_of
from hired.web import render
from hired.web.api import read_panes
from hired.web.pane_state import Case, PaneState
from hired.web.settings import Settings, from_mapping


def test_every_setting_of_every_method_is_reached_and_no_other_name_is_dropped() -> None:
    names = {name for method in SELECTORS for name in settings_of(method)}
    assert names == set(every_setting()) and {"contextual", "fuse"} <= names
    assert not names & set(Settings().as_dict()), "no second list of what methods declare"
    read = from_mapping({"right": "visionzip", "contextual": 0.5})
    assert read.lanes[1].contextual == 0.5
    assert from_mapping({"right": "hired", "fuse": "true"}).lanes[1].fuse is True
    for method in SELECTORS:
        found = from_mapping({"right": method}).lanes[1]
        assert found == build(method), "the page's defaults are the method's"
    with pytest.raises(SettingError, match=r"no setting 'contextal'.*Did you mean 'contextual'\?"):
        from_mapping({"contextal": 0.5})


def test_a_program_s_method_brings_its_own_settings() -> None:
    usual = {"budget": "0.2", "alpha": 0.5, "init_layer": 0, "final_layer": "none", "seed": 0}
    zipped = build("visionzip", contextual=0.3, budget=64)
    for more in ({}, usual):  # which programs of before send with every method
        assert read_panes("visionzip:contextual=0.3,budget=64", more)[1] == zipped
    assert read_panes("visionzip", {"contextual": 0.3, "budget": "64", "alpha": None})[1] == zipped
    for method, given in (("visionzip:seed=3", usual), ("visionzip", usual | {"seed": 3})):
        with pytest.raises(SettingError, match="has no setting 'seed'"):
            read_panes(method, given)


def test_words_that_differ_are_marked_in_the_panes_and_told() -> None:
    there, none = "The circle\nis pink", "There's no circle as pink"
    assert render.mark_words(there, [there.replace("\n", " ")]) == there, "only words count"
    assert render.mark_words(there, [none]) == (
        "<mark>The</mark> circle\n<mark>is</mark> pink"
        '<span class="hidden"> (differs in: The, is)</span>'
    )
    assert render.mark_words(none, [there]).startswith(
        "<mark>There's no</mark> circle <mark>as</mark> pink<span".replace("'", "&#x27;")
    )
    shown = render.side_by_side(
        [PaneState(m, "done", t) for m, t in zip("abc", ("x y", "x", "z y"), strict=True)]
    )
    assert "<mark>x y</mark>" in shown[0], "the first against every other"
    assert "<mark" not in shown[1] and "<mark>z</mark> y" in shown[2]
    still = render.side_by_side(
        [PaneState("full", "done", "x y"), PaneState("hired", "decode", "x")]
    )
    assert "<mark" not in still[0] + still[1], "a word yet to come is no difference"
    toy = render.side_by_side(
        [PaneState("a", "done", "x"), PaneState("b", "done", "y")], Case(foreign=True)
    )
    assert "<mark" not in toy[0] + toy[1]


def test_figures_are_explained_where_they_stand_without_a_mouse() -> None:
    shown = render.pane(STOCK, 0)
    assert '<details class="terms"><summary>What the figures mean</summary>' in shown
    assert "<dt>KV cache</dt><dd>keys and values that the language model keeps" in shown
    assert "<dt>Peak memory</dt><dd>the most that was in use" in shown and "title=" not in shown
