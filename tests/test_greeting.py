"""Examples that suit the model, the first answers shown again, and changing the model."""

import copy
import gc
import json
import weakref
from pathlib import Path

import numpy as np
import pytest
import real_examples
from asking import shared
from conftest import make_tiny
from PIL import Image
from test_web import ABOUT, HIRED, STOCK

import hired
from hired.errors import MemoryShortage, ModelError
from hired.shapes.pictures import picture_for, render
from hired.web import engine as engine_module
from hired.web import examples, form, permalink
from hired.web.engine import Engine
from hired.web.examples import REAL, Greeting
from hired.web.export import Record, to_json
from hired.web.handlers import Handlers
from hired.web.limits import Limits
from hired.web.settings import Settings
from hired.web.share_panel import _query
from hired.web.uploads import read_image


@pytest.fixture
def greeting(tiny, tmp_path):
    return Greeting(Engine.holding(*tiny, name="tiny"), tmp_path)


def first_run(greeting, **changes) -> tuple[Record, str, Image.Image]:
    example = greeting.example()
    facts = {"question": example.question, "image": {}, "settings": Settings(),
             "views": [STOCK, HIRED], "about": ABOUT}  # fmt: skip
    return Record(**facts | changes), example.image, read_image(example.image)


def test_larger_models_get_documents_with_known_answers(greeting, tiny) -> None:
    assert greeting.example() == greeting.real[0] and len(greeting.real) >= 4
    assert all(one.answer and one.question and one.note for one in greeting.real)
    assert all(Path(one.image).stat().st_size < 150_000 for one in greeting.real)
    toy = Greeting(Engine.holding(*tiny))
    assert toy.example() == toy.own[0]
    assert toy.example(greeting.real[1].key) == greeting.real[1]


def test_documents_are_drawn_by_the_code_beside_them() -> None:
    listed = json.loads((REAL / "examples.json").read_text())
    assert listed == real_examples.EXAMPLES
    assert real_examples.leaves(14, 2) == listed[2]["answer"]
    assert max(real_examples.RAIN, key=real_examples.RAIN.get) == listed[1]["answer"]
    total = sum(count * price for _, count, price in real_examples.GOODS)
    assert f"{total:.2f}" == listed[0]["answer"]
    drawn = real_examples.draw_street()
    kept = Image.open(REAL / "street.png").convert("RGB")
    assert drawn.size == kept.size
    assert np.abs(np.asarray(drawn, float) - np.asarray(kept, float)).mean() < 8


def test_first_answers_are_shown_to_who_comes_later(greeting) -> None:
    assert greeting.run() is None
    for changes in (
        {"settings": shared(budget=0.3)}, {"question": "another"},
        {"views": [STOCK, STOCK.__class__("hired", "stopped")]},
    ):  # fmt: skip
        greeting.keep(*first_run(greeting, **changes))
    other = greeting.real[1].image
    greeting.keep(first_run(greeting)[0], other, read_image(other))
    assert greeting.run() is None
    run, *shown = first_run(greeting)
    greeting.keep(run, *shown)
    assert greeting.run() == run


def test_the_first_answers_keep_the_servers_limits(greeting) -> None:
    greeting.engine.limits = Limits(new_tokens=5)
    run, *shown = first_run(greeting)
    greeting.keep(run, *shown)
    assert greeting.run() is None, "64 tokens are more than this server gives"
    run, *shown = first_run(greeting, settings=Settings(max_new_tokens=5))
    greeting.keep(run, *shown)
    assert greeting.run() == run and greeting.settings == run.settings


def test_recorded_answers_are_shown_with_date_and_device(greeting, tmp_path) -> None:
    (tmp_path / "tiny.json").write_text("no export")
    assert greeting.run() is None
    (tmp_path / "tiny.json").write_text(to_json(first_run(greeting)[0]))
    handlers = Handlers(greeting.engine)
    handlers.greeting = greeting
    shown = handlers._greet(Settings(), asked=False)
    assert "It shows a 7." in shown["pane_0"]
    assert "A recorded run: 2026-01-02" in shown["verdict"]
    assert "A recorded run" not in handlers._greet(Settings(), asked=True)["verdict"]


def test_link_names_the_example(greeting, tmp_path) -> None:
    handlers, example = Handlers(greeting.engine), greeting.real[2]
    values = form.write(Settings())
    query = _query(handlers, example.image, "Q?", **values)["link"]
    assert query == f"q=Q%3F&example={example.key}&run=1"
    other = tmp_path / Path(example.image).name
    Image.new("RGB", (30, 30)).save(other)
    assert "example" not in _query(handlers, str(other), "Q?", **values)["link"]


def test_an_example_is_known_by_its_bytes_else_by_its_pixels(greeting, tmp_path, monkeypatch):
    example = greeting.real[2]
    kept = read_image(example.image)
    again = tmp_path / Path(example.image).name
    kept.save(again, compress_level=1)
    assert again.read_bytes() != Path(example.image).read_bytes()
    assert greeting.shown(str(again)) is example
    again.unlink()
    assert greeting.shown(str(again), kept) is example, "the file is gone, its pixels are not"
    monkeypatch.delattr("hired.web.examples.read_image")  # a run need not decode it for this
    assert greeting.shown(example.image) is example


def test_gradio_s_own_parameters_are_no_settings() -> None:
    class Request:
        query_params = {"__theme": "dark", "budget": "0.3"}  # noqa: RUF012

    assert permalink.read_query(Request()) == {"budget": "0.3"}
    assert permalink.read_query(None) == {}


@pytest.fixture
def switching(monkeypatch):
    """An engine that may switch; loading answers with another tiny model, or fails."""
    alive = weakref.WeakSet()

    def fresh(layers):
        model, processor = make_tiny(layers=layers)
        alive.add(model := copy.deepcopy(model))
        return model, processor

    engine = Engine.holding(*fresh(4), name="tiny")
    engine.may_switch = True
    tries = []

    def load(name, **options):
        tries.append((name, engine.ready))
        if name.endswith("13b-hf"):
            raise ModelError("the hub cannot be reached")
        if name.endswith("8b-hf") or (name == "llava-hf/llava-1.5-7b-hf" and alive):
            half = fresh(5)  # loaded when the memory ran out
            raise MemoryShortage(f"too large after {len(half)} parts")
        if name == "llava-hf/llava-1.5-7b-hf" or not engine.ready:
            assert not alive, "something still holds a model that was let go"
        model, processor = fresh(5)
        model.name_or_path = name
        return model, processor

    monkeypatch.setattr(engine_module, "load", load)
    return engine, tries


def test_switching_there_and_back(switching) -> None:
    engine, tries = switching
    assert list(engine.choices)[-1] == "tiny", "what the server was started with can be chosen"
    assert engine.switch("shapes").preview.layers == 5 and engine.name == "shapes"
    engine.switch("tiny")
    engine.switch("tiny")
    assert engine.name == engine.get().info["name"] == "tiny"
    assert [name for name, _ in tries] == ["shapes", "tiny"]


def test_no_garbage_is_sought_in_the_model_that_stays_and_none_is_left_of_the_old(switching):
    engine, _ = switching
    old = weakref.ref(engine.switch("shapes"))
    assert gc.get_freeze_count() > len(gc.get_objects())
    vars(old())["itself"] = old()  # only the garbage collector sees that nobody needs it
    engine.switch("tiny")
    assert old() is None and gc.get_freeze_count() > len(gc.get_objects())


def test_what_cannot_be_reached_leaves_the_old_model_as_it_is(switching) -> None:
    engine, tries = switching
    before = engine.get()
    with pytest.raises(ModelError, match="reached"):
        engine.switch("llava-hf/llava-1.5-13b-hf")
    assert engine.get() is before and engine.name == "tiny" and len(tries) == 1
    assert gc.get_freeze_count() > len(gc.get_objects()), "lanes search for no garbage in it"


def test_where_both_do_not_fit_the_old_model_goes_first_or_comes_back(switching) -> None:
    engine, tries = switching
    engine.switch("llava-hf/llava-1.5-7b-hf")
    assert [ready for _, ready in tries] == [True, False]
    with pytest.raises(MemoryShortage):
        engine.switch("llava-hf/llama3-llava-next-8b-hf")
    assert engine.ready and engine.get().info["name"] == engine.name == "llava-hf/llava-1.5-7b-hf"


def test_shipped_answers_come_before_a_visitor_s_and_are_of_alternating_runs() -> None:
    greeting = Greeting(Engine())
    shipped = greeting._shipped()
    assert [view.phase for view in shipped.views] == ["done", "done"]
    assert all(len(view.measured("ttft_s")) == view.repeats == 5 for view in shipped.views)
    first = greeting.own[0]
    assert (shipped.image["example"], shipped.known) == (first.key, first.answer)
    assert shipped.about["date"] and shipped.about["device_name"]
    greeting.example = lambda key="": first  # loads no model
    run, *shown = first_run(greeting)
    greeting.keep(run, *shown)
    assert greeting.run() == shipped


def test_a_document_is_foreign_only_to_a_model_that_does_not_read(monkeypatch, tmp_path) -> None:
    toy = Greeting(Engine.holding(*hired.load("shapes")), tmp_path)
    own = tmp_path / "own.png"
    render(picture_for("examples", "board", 3, 1)).save(own)
    image = read_image(str(own))
    assert toy.reads and not toy.foreign(str(own), image)
    photograph = toy.real[0]
    assert toy.foreign(photograph.image, read_image(photograph.image))
    monkeypatch.setattr(examples, "knows_documents", lambda vocabulary: False)
    assert not toy.reads and toy.foreign(str(own), image)
