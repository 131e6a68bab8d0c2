"""Pictures that make the points of the examples: from seeds, with one question and its answer."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from hired.models.load import load
from hired.shapes import examples
from hired.shapes.documents import Document, text_patches
from hired.shapes.examples import points_for, write_examples
from hired.shapes.pictures import from_data, render, to_data
from hired.shapes.points import (
    NUMBERS,
    POSTERS,
    READING,
    SCALE,
    Pages,
    candidates,
    draw_like,
)
from hired.shapes.scenes import Scene
from hired.shapes.scoring import content
from hired.shapes.words import build_tokenizer
from hired.web.examples import REAL, read_examples

EVERY = tuple(dict.fromkeys(POSTERS + READING))
PAGES = [point for point in READING if isinstance(point.shown, Pages)]


def test_the_tokenizer_tells_which_points_there_are() -> None:
    assert points_for(load("shapes")[1]) == READING, "the model that ships reads documents"
    assert points_for(SimpleNamespace(tokenizer=SimpleNamespace(get_vocab=dict))) == POSTERS
    assert {point.shown.kind for point in PAGES} == {"receipt", "prices", "board", "chart"}
    assert len(PAGES) == 4 and len(READING) == 6


def test_no_link_to_an_own_example_names_one_of_a_real_model() -> None:
    own = {Path(point.file).stem for point in EVERY}
    assert len(own) == len(EVERY) and not own & {one.key for one in read_examples(REAL)}


@pytest.mark.parametrize("point", EVERY, ids=lambda point: point.file)
def test_a_number_draws_one_picture_with_a_known_answer(point) -> None:
    drawn = [draw_like(point, number) for number in (0, 1, 17, NUMBERS - 1)]
    assert draw_like(point, 17) == drawn[2]
    for picture, question in drawn:
        assert question.kind == point.kind and question.text[0].isupper()
        assert from_data(json.loads(json.dumps(to_data(picture)))) == picture
        assert content(question.answer)
        if isinstance(picture, Document):
            least, most = point.shown.share
            assert least <= text_patches(picture).mean() <= most
        else:
            assert len(picture.things) >= point.shown.count[0]
    assert len({picture for picture, _ in drawn}) == 4


@pytest.mark.parametrize("point", [POSTERS[0], PAGES[0]], ids=lambda point: point.file)
def test_what_is_drawn_is_no_candidate_of_the_bundled_image(point) -> None:
    tried = {picture for picture, _ in candidates(point, 80)}
    assert len(tried) > 8 and not tried & {draw_like(point, number)[0] for number in range(8)}


def answering(monkeypatch, right) -> None:
    """Let a model answer as `right(picture, budget)` says."""

    def answer(model, processor, picture, questions, selector, scale):
        assert scale == SCALE
        said = right(picture, getattr(selector, "budget", None))
        return [questions[0].answer if said else "I only know about nothing."], 100

    monkeypatch.setattr(examples, "answer", answer)


def test_a_reader_gets_documents_whose_points_its_answers_make(monkeypatch, tmp_path) -> None:
    def right(picture, budget):
        full = isinstance(picture, Document) and text_patches(picture).mean() >= 0.3
        full = full or (isinstance(picture, Scene) and len(picture.things) > 20)
        return budget is None or budget >= (0.6 if full else 0.15)

    answering(monkeypatch, right)
    reader = SimpleNamespace(tokenizer=build_tokenizer())
    listed = write_examples(None, reader, tmp_path)
    listed = json.loads(json.dumps(listed))
    assert listed == json.loads((tmp_path / "examples.json").read_text())
    assert [one["file"] for one in listed] == [point.file for point in READING]
    by_file = {one["file"]: one for one in listed}
    assert by_file["shop.png"]["survives"] == 0.15 and by_file["prices.png"]["survives"] == 0.6
    for point in READING:
        entry = by_file[point.file]
        picture = next(p for p, q in candidates(point, 80) if q.text == entry["question"]
                       and point.survives in (None, right(p, 0.2)))  # fmt: skip
        assert from_data(entry["picture"]) == picture
        with Image.open(tmp_path / point.file) as file:
            assert np.array_equal(np.asarray(file), np.asarray(render(picture, SCALE)))


def test_a_point_that_no_answer_makes_is_left_out(monkeypatch, tmp_path) -> None:
    answering(monkeypatch, lambda picture, budget: isinstance(picture, Scene))
    reader = SimpleNamespace(tokenizer=build_tokenizer())
    listed = write_examples(None, reader, tmp_path, tries=6)
    assert [one["file"] for one in listed] == ["sparse.png"]
