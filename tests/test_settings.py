"""A setting is declared once, and one line of text brings a method back with all of them."""

import json
from dataclasses import fields

import pytest
from conftest import make_image
from hypothesis import given, settings
from hypothesis import strategies as st
from test_by_hand import picks

from hired.cli import main
from hired.errors import SettingError
from hired.selectors import SELECTORS, build, method, parse
from hired.selectors.by_hand import Patches, write_patches
from hired.settings import (
    Budget,
    Choice,
    Flag,
    Heads,
    Layer,
    Number,
    Whole,
    declarations,
)


def values(setting):
    """Every value a declaration allows."""
    if isinstance(setting, Budget):
        rates = st.floats(0, 1, exclude_min=True)
        return st.one_of(rates, st.integers(1, 999_999_999))
    if isinstance(setting, Layer):
        layers = st.integers(0, 63)
        return st.one_of(st.none(), layers) if setting.auto else layers
    if isinstance(setting, Heads):
        return st.one_of(st.sampled_from(setting.choices), st.integers(0, 63))
    if isinstance(setting, Whole):
        return st.integers(setting.low, setting.high)
    if isinstance(setting, Patches):
        return st.one_of(st.just(""), picks().map(lambda picked: write_patches(*picked)))
    if isinstance(setting, Number):
        return st.floats(setting.low, setting.high)
    if isinstance(setting, Choice):
        return st.sampled_from(setting.choices)
    assert isinstance(setting, Flag), f"no values for {type(setting).__name__}"
    return st.booleans()


@pytest.mark.parametrize("name", list(SELECTORS))
def test_every_field_is_declared_with_words(name):
    declarations_ = declarations(SELECTORS[name])
    assert list(declarations_) == [field.name for field in fields(SELECTORS[name])]
    assert all(one.label and one.help and one.allowed for one in declarations_.values())


@pytest.mark.parametrize("name", list(SELECTORS))
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_lane_as_text_comes_back_exactly(name, data):
    known = method(name).settings()
    chosen = data.draw(st.sets(st.sampled_from(sorted(known)))) if known else set()
    selector = build(name, **{key: data.draw(values(known[key])) for key in chosen})
    again = parse(selector.text)
    assert repr(again) == repr(selector)  # 1 and 1.0 are equal, yet another budget
    assert again.text == selector.text


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("full", "full"),
        ("hired", "hired"),
        ("hired:budget=20%", "hired"),
        (" hired : budget = 640 , alpha=0.30", "hired:budget=640,alpha=0.3"),
        ("hired:init-layer=2,final-layer=auto", "hired:init_layer=2"),
        ("hired:budget=1", "hired:budget=1"),
        ("hired:budget=1.0", "hired:budget=100%"),
        ("random:budget=10%,seed=3", "random:budget=10%,seed=3"),
        ("hired-release:exact=yes,heads=head 3", "hired-release:heads=3,exact=true"),
    ],
)
def test_one_form_for_each_lane(text, same):
    assert parse(text).text == same


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hird", "Did you mean 'hired'?"),
        ("", "method is one of full, hired"),
        ("hired:alpa=0.3", "has no setting 'alpa'.*Did you mean 'alpha'?"),
        (
            "hired:contextual=0.5",
            "has no setting 'contextual'; it has budget, newline, positions, alpha",
        ),
        ("hired:alpha", "'alpha' in 'hired:alpha' is not NAME=VALUE"),
        ("hired:alpha=0,3", "'3' in 'hired:alpha=0,3' is not NAME=VALUE"),
        ("hired:alpha=.1,alpha=.2", "alpha stands twice"),
        ("hired:alpha=nan", "alpha is a number from 0 to 1; got 'nan'"),
        ("hired:alpha=", "alpha is a number from 0 to 1; got ''"),
        ("hired:init_layer=1.5", "init_layer is a layer number from 0 up"),
        ("hired:heads=all", "heads is 'sum', 'max' or the number of one head; got 'all'"),
        ("hired:fuse=maybe", "fuse is True or False; got 'maybe'"),
        ("hired:newline=cols", "newline is one of none, rows; got 'cols'"),
        ("hired:budget=200%", "rate above 0"),
        ("hired:budget=0", "rate above 0"),
        ("random:seed=-1", "seed is a whole number from 0 to 2147483647; got '-1'"),
        ("full:newline=rows", "'full' has no setting 'newline'; it has none"),
        ("prumerge-adaptive:budget=3", "has no setting 'budget'"),
        ("spatial:" + "9" * 400, "not NAME=VALUE"),
        ("random:seed=" + "9" * 400, "seed is a whole number"),
    ],
)
def test_the_wrong_part_is_named(text, says):
    with pytest.raises(SettingError, match=says.replace("?", r"\?")):
        parse(text)


def test_lanes_as_typed_are_the_lanes_that_run(tmp_path, capsys):
    make_image(120, 160).save(tmp_path / "p.png")
    lanes = [
        "hired:budget=200,alpha=0.3",
        "hired:budget=10%,init_layer=1",
        "random:budget=7,seed=3",
    ]
    argv = ["ask", str(tmp_path / "p.png"), "How many shapes?", "--max-new-tokens", "2", "--json"]
    assert main([*argv, *(word for lane in lanes for word in ("--lane", lane))]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["settings"]["lanes"] == lanes == [lane["name"] for lane in record["lanes"]]
    assert [lane["metrics"]["kept_tokens"] for lane in record["lanes"]] == [200, 43, 7]
