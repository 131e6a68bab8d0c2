"""Another one like this: drawn from a number that a link carries, known like a bundled example."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hired
from hired.shapes.points import NUMBERS, POSTERS, draw_like
from hired.shapes.scenes import render
from hired.web import afresh, form, permalink
from hired.web.afresh import Afresh
from hired.web.engine import Engine
from hired.web.examples import FOLDER, Greeting
from hired.web.export import Record, from_json, to_json
from hired.web.form_changes import FormChanges
from hired.web.handlers import Handlers
from hired.web.permalink import arrive
from hired.web.settings import Settings
from hired.web.share_panel import Recall, _query
from hired.web.uploads import read_image

FORM = form.write(Settings())
SHIPPED = (FOLDER / "recorded" / "shapes.json").read_bytes()


@pytest.fixture(scope="module")
def handlers():
    return Handlers(Engine.holding(*hired.load("shapes")))


@pytest.fixture
def others(tiny):
    return Handlers(Engine.holding(*tiny, name="tiny"))


def test_a_number_draws_the_same_picture_again(handlers) -> None:
    greeting = handlers.greeting
    first = greeting.named("sparse-17")
    Path(first.image).unlink()
    again, fresh = greeting.named("sparse-17"), Greeting(handlers.engine).named("sparse-17")
    assert read_image(again.image) == read_image(fresh.image)
    assert (again.question, again.answer) == (fresh.question, fresh.answer)
    assert again.answer and again.survives is None and "number 17" in again.note
    scene, question = draw_like(POSTERS[0], 17)
    assert (again.question, again.picture) == (question.text, scene)
    assert np.array_equal(np.asarray(Image.open(again.image)), np.asarray(render(scene, 2)))
    assert greeting.named("sparse-18").image != again.image


@pytest.mark.parametrize(
    "key", ["sparse", "sparse-", "sparse-07", f"sparse-{NUMBERS}", "receipt-1", "-1", ""]
)
def test_only_keys_of_points_with_a_number_are_drawn(handlers, key) -> None:
    assert handlers.greeting.afresh.read(key) is None
    found = handlers.greeting.named(key)
    assert found is None or found in handlers.greeting.own


def test_few_files_are_kept(monkeypatch) -> None:
    monkeypatch.setattr(afresh, "FILES", 2)
    drawing = Afresh()
    files = [Path(drawing.draw(f"panorama-{number}").image) for number in (1, 2, 1, 3)]
    assert files[0] == files[2] and [file.exists() for file in files] == [True, False, True, True]


def test_documents_are_drawn_as_posters_are() -> None:
    drawing = Afresh()
    drawn = drawing.draw("shop-3")
    assert drawn.picture.kind == "receipt" and drawn.answer.startswith("The price of")
    assert drawing.another("shop-3").startswith("shop-")
    assert drawing.draw("receipt-3") is None and drawing.another("receipt") is None


def test_the_embedded_model_alone_offers_another(handlers, others) -> None:
    for one in handlers.greeting.own:
        shown = FormChanges(handlers)._offer_another(one.image)
        assert shown["another"]["visible"] is True
        assert FormChanges(others)._offer_another(one.image)["another"]["visible"] is False
    drawn = handlers.greeting.named("count-4")
    assert handlers.greeting.another(drawn.image).startswith("count-")
    assert handlers.greeting.another(handlers.greeting.real[0].image) is None
    assert handlers.greeting.another(None) is None


def test_it_is_another_one_each_time(handlers, monkeypatch) -> None:
    numbers = iter([5, 5, 8])
    monkeypatch.setattr(afresh, "randbelow", lambda most: next(numbers))
    sparse = handlers.greeting.named("sparse")
    assert handlers.greeting.another(sparse.image) == "sparse-5"
    drawn = handlers.greeting.named("sparse-5")
    assert handlers.greeting.another(drawn.image) == "sparse-8"


def test_the_form_is_filled_as_by_an_example_that_was_clicked(handlers, monkeypatch) -> None:
    monkeypatch.setattr(afresh, "randbelow", lambda most: 23)
    changes, sparse = FormChanges(handlers), handlers.greeting.named("sparse")
    filled = changes.draw_another(sparse.image, **FORM)
    drawn = handlers.greeting.named("sparse-23")
    assert filled == changes.choose(drawn, **FORM)
    assert filled["known"] == {drawn.question: drawn.answer}
    assert "Drawn afresh" in filled["note"] and drawn.answer in filled["note"]
    with pytest.raises(Exception, match="no example here"):
        changes.draw_another(None, **FORM)


def test_a_link_brings_the_picture_and_its_known_answer_back(handlers) -> None:
    drawn = handlers.greeting.named("corner-99")
    query = _query(handlers, drawn.image, drawn.question, **FORM)["link"]
    assert "example=corner-99" in query and query.endswith("run=1")
    found = arrive({"example": "corner-99"}, Greeting(handlers.engine), 6, 6)
    assert found.example.key == "corner-99" and not found.told
    assert (found.question, found.known) == (drawn.question, drawn.known)
    assert read_image(found.example.image) == read_image(drawn.image)
    assert "corner-x" in arrive({"example": "corner-x"}, handlers.greeting, 6, 6).told


def test_a_run_of_it_is_brought_back_with_its_picture(handlers, others) -> None:
    drawn = handlers.greeting.named("describe-3")
    image = read_image(drawn.image)
    kept = handlers.greeting.record(drawn.question, drawn.image, image, Settings(), [])
    assert kept.image["example"] == "describe-3" and "foreign" not in kept.image
    assert kept.known == drawn.answer
    assert not handlers.greeting.foreign(drawn.image, image)
    assert permalink.from_query({"example": "describe-3"})[1] == []
    found = Record(**{**vars(kept), "views": [from_json(SHIPPED).views[0]]})
    shown = Recall(handlers).show_record(from_json(to_json(found)))
    assert shown["path"] == drawn.image and "Drawn afresh" in shown["note"]


def test_an_upload_takes_its_question_away(handlers, tmp_path) -> None:
    drawn = handlers.greeting.named("dense-1")
    own = tmp_path / "own.png"
    Image.new("RGB", (40, 40)).save(own)
    changes = FormChanges(handlers)
    assert changes.arrive(str(own), drawn.question)["question"] == ""
    assert changes.arrive(str(own), "Mine?")["question"] == "Mine?"
