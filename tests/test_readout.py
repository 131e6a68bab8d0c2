"""The line over the picture and the number boxes: what is typed is what is read, or refused."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from conftest import make_image

from hired.errors import SettingError
from hired.selectors import HiRED
from hired.web import blocks, form, pictures
from hired.web.engine import Engine
from hired.web.page import build
from hired.web.settings import Settings


@pytest.fixture(scope="module")
def select(tiny):
    preview = Engine.holding(*tiny).get().preview
    return lambda budget, size=(120, 160), **more: preview.select(
        make_image(*size), HiRED(budget=budget, **more)
    )


def test_the_line_gives_one_number_and_the_sum_on_demand(select) -> None:
    shown = pictures.readout(select(0.2), 0.2, "HiRED")
    line, rest = shown.split("<details>")
    assert "HiRED reads 36 tokens instead of 166 (22 %)" in line and "180" not in line
    assert "20 %: 36 of the 180 patches of this image" in rest
    assert "5 views (the whole image and its crops) of 36 patches each" in rest
    assert "newline tokens" in rest and "show only the border" in rest


def test_a_count_is_of_the_whole_image_and_capped_aloud(select) -> None:
    selection = select(5000)
    most = selection.grid.candidates
    shown = pictures.readout(selection, 5000)
    assert f"5,000 asked, but this image has only {most} patches: all are kept." in shown
    assert f"reads {selection.stock} tokens instead of {selection.stock} (100 %)" in shown
    assert "asked, but" not in pictures.readout(select(most), most)
    one = pictures.readout(select(1), 1)
    assert "reads 1 token instead" in one and "(0.6 %)" in one


def test_newlines_that_are_kept_are_counted_in_the_line(select) -> None:
    selection = select(0.2, newline="rows")
    assert selection.newlines
    assert f"reads {selection.kept + selection.newlines} tokens" in pictures.readout(selection, 0.2)


@pytest.mark.parametrize(
    ("lane", "words"),
    [
        ("hired:budget=150%", "Share of all patches, %: a number up to 100; got 150."),
        ("hired:budget=%", "Share of all patches, %: a number up to 100; the box is empty."),
        ("hired:budget=0%", "got 0."),
        ("hired:budget=0", "Patches to keep, per image: a whole number from 1; got 0."),
        ("hired:budget=-5", "got -5."),
        ("hired:budget=2.5", "got 2.5."),
        ("hired:budget=", "Budget: the box is empty. Type a share such as 20% or a count."),
        ("hired:alpha=", "α: the box is empty."),
        ("hired:alpha=7", "alpha is a number from 0 to 1; got '7'"),
        ("random:seed=", "Seed: the box is empty."),
        ("hired:budget=x", "Got 'x'"),
        ("hierd", "Did you mean 'hired'?"),
        ("hired:alpa=0.3", "Did you mean 'alpha'?"),
        (0, "The panes could not be read"),
    ],
)
def test_what_a_row_holds_is_refused_in_words(lane, words) -> None:
    values = form.write(Settings())
    values["panes"] = json.dumps({"lanes": ["full", lane]})
    with pytest.raises(SettingError) as error:
        form.read(**values)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("repeats", 99, "repeats is a whole number from 1 to 9; got 99"),
        ("max_new_tokens", None, "Max new tokens: the box is empty."),
    ],
)
def test_what_a_number_box_holds_reaches_the_form_and_is_refused_in_words(
    tiny, name, value, words
) -> None:
    demo = build(Engine.holding(*tiny))
    block_fn = next(
        fn for fn in demo.fns.values() if getattr(fn.fn, "__name__", "") == "look"
    )  # of the page; the form comes last
    values = form.write(Settings()) | {name: value}
    sent = [*[None] * (len(block_fn.inputs) - len(values)), *values.values()]
    got = asyncio.run(demo.preprocess_data(block_fn, sent, None))
    got = dict(zip(values, got[-len(values) :], strict=True))
    assert got[name] == value
    with pytest.raises(SettingError) as error:
        form.read(**got)
    assert words in str(error.value)


def test_a_program_s_numbers_are_checked_by_its_endpoint(tiny) -> None:
    demo = build(Engine.holding(*tiny))
    public = [fn for fn in demo.fns.values() if fn.api_visibility != "private"]
    assert public
    for fn in public:
        assert not blocks.typed_numbers(SimpleNamespace(**vars(fn)), [1] * len(fn.inputs))
