"""Questions about documents: right answers, nothing asked that a page leaves open."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from hired.cli import main
from hired.shapes import page_questions
from hired.shapes.documents import KINDS, Document, Look, Row
from hired.shapes.page_phrases import KNOWS_PAGES, PAGE_PHRASES
from hired.shapes.page_questions import PAGE_KINDS
from hired.shapes.phrases import ANSWERS_NOTHING, PHRASES
from hired.shapes.pictures import TESTED, ask_about, draw, render
from hired.shapes.questions import KINDS as POSTER_KINDS
from hired.shapes.scenes import STREAMS, scene_for
from hired.shapes.scoring import content
from hired.shapes.words import build_tokenizer

LOOK = Look("DejaVuSans", 15, 0.0, "paper")
RECEIPT = Document("receipt", 168, 336, LOOK, (), 0, total="9.00", rows=(
    Row("bread", ("4.50",)), Row("milk", ("1.25",)), Row("apples", ("1.25",)),
    Row("tea", ("2.00",)),
))  # fmt: skip
BOARD = Document("board", 336, 168, LOOK, (), 0, (
    Row("bern", ("05:10", "7")), Row("oslo", ("14:05", "12")), Row("rome", ("14:06", "7")),
))  # fmt: skip
CHART = Document("chart", 336, 168, LOOK, (), 0, (
    Row("monday", ("45%",)), Row("friday", ("88%",)), Row("sunday", ("60%",)),
))  # fmt: skip
CLOSE = Document("chart", 336, 168, LOOK, (), 0, (
    Row("tea", ("45",)), Row("oil", ("88",)), Row("salt", ("85",)),
))  # fmt: skip
TOKENIZER = build_tokenizer()


def answers(kind, page, tries=200):
    """All (question, answer) pairs of a kind that many draws give."""
    rng = np.random.default_rng(0)
    found = (PAGE_KINDS[kind](page, rng) for _ in range(tries))
    return {(q.text, q.answer) for q in found if q is not None}


@pytest.mark.parametrize("kind, page, question, answer", [
    ("price", RECEIPT, "what does bread cost?", "The price of bread is 4.50."),
    ("costs", RECEIPT, "what costs 4.50?", "4.50 is the price of bread."),
    ("total", RECEIPT, "what is the total?", "The total is 9.00."),
    ("items", RECEIPT, "how many items are there?", "There are 4 items."),
    ("leaves", BOARD, "when does the train to Oslo leave?",
     "The train to Oslo leaves at 14:05."),
    ("platform", BOARD, "which platform does the train to Oslo leave from?",
     "The train to Oslo leaves from platform 12."),
    ("goes", BOARD, "where does the 14:05 go?", "The 14:05 goes to Oslo."),
    ("items", BOARD, "how many trains are there?", "There are 3 trains."),
    ("value", CHART, "what is the value of Monday?", "The value of Monday is 45%."),
    ("highest", CHART, "which bar is the highest?", "The highest bar is Friday."),
    ("exists", RECEIPT, "do you see apples?", "Yes, I see apples."),
    ("exists", BOARD, "do you see a train to Bern?", "Yes, I see a train to Bern."),
    ("line", RECEIPT, "read the line of tea.", "It says tea 2.00."),
    ("line", BOARD, "read the line of Rome.", "It says Rome 14:06 7."),
])  # fmt: skip
def test_right_answers(kind, page, question, answer):
    assert dict(answers(kind, page))[question] == answer


def test_no_question_has_two_right_answers():
    """Where the digit is written is a place, too; which value is the highest, a number."""
    told = {"where": {"where", "goes", "platform"}, "which value": {"value"}, "which line": set()}
    phrases = PHRASES | PAGE_PHRASES
    for opening, kinds in told.items():
        asked = {kind for kind in phrases if any(p.startswith(opening) for p in phrases[kind])}
        assert asked == kinds


def test_only_what_the_page_decides_is_asked():
    assert {a for _, a in answers("costs", RECEIPT)} == {
        "4.50 is the price of bread.", "2.00 is the price of tea.",
    }  # fmt: skip
    assert not answers("highest", CLOSE) and answers("value", CLOSE)
    assert not answers("total", BOARD) and not answers("price", CHART)
    many = tuple(Row(f"{n}", ("1.00",)) for n in range(10))
    assert not answers("items", Document("prices", 168, 336, LOOK, (), 0, many))


@pytest.mark.parametrize("page", [RECEIPT, BOARD, CHART], ids=lambda page: page.kind)
def test_what_is_absent_is_not_on_the_page(page):
    here = {word.lower() for row in page.rows for word in (row.name, *row.numbers)}
    for _, answer in answers("absent", page) | answers("exists", page):
        named = re.findall(r"[\w.:%]*\w", answer.lower())[-1]
        assert (named in here) == answer.startswith("Yes"), answer
    assert {answer[:3] for _, answer in answers("exists", page)} == {"Yes", "No,"}


@pytest.mark.parametrize("page", [RECEIPT, BOARD, CHART], ids=lambda page: page.kind)
def test_everything_else_is_declined(page):
    asked = answers("unknown", page)
    assert {answer for _, answer in asked} == {KNOWS_PAGES} and len(asked) > 60
    counted = f"how many {page_questions.ITEMS[page.kind]} are there?"
    assert page_questions._OWN_WORDS.search(counted), "it has an answer, so it is not declined"
    assert any("circle" in text or "star" in text for text, _ in asked)


def test_posters_decline_what_only_a_document_answers():
    poster = scene_for("validation", "sparse", 0, 1)
    asked = draw(poster, np.random.default_rng(0), ["foreign"] * 40)
    assert {q.answer for q in asked} == {ANSWERS_NOTHING}
    assert "foreign" not in POSTER_KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_sentences_make_the_round_trip_word_by_word(kind):
    for index in range(6):
        page, asked = ask_about(kind, index, 0, "validation")
        assert (page, asked) == ask_about(kind, index, 0, "validation")
        assert {"exists", "line", "unknown"} <= {q.kind for q in asked}
        for question in asked:
            ids = TOKENIZER(question.answer).input_ids
            assert TOKENIZER.decode(ids) == question.answer
            spelled = {t for t in TOKENIZER.convert_ids_to_tokens(ids) if t.startswith("##")}
            assert spelled <= {"##.", "##:", "##%", *(f"##{n}" for n in range(10))}
            assert content(question.answer) or question.kind == "unknown"
    assert render(page, 2).size == (2 * page.width, 2 * page.height)


def test_questions_of_streams_and_numbers_differ():
    asked = [tuple(ask_about("board", n, 0, s)[1]) for s in STREAMS for n in range(4)]
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize("split", TESTED)
def test_two_thousand_questions_take_a_few_hundred_pictures(split):
    asked = [ask_about(split, n)[1] for n in range(12)]
    assert 350 * np.mean([len(many) for many in asked]) >= 2000
    assert all(len({q.kind for q in many}) == len(many) for many in asked)


@pytest.mark.parametrize("split", ["large", "board"])
def test_pictures_are_rendered_with_their_questions(split, tmp_path):
    asked = ["--split", split, "--first", "3", "--count", "2", "--scale", "2"]
    assert main(["shapes", "render", *asked, "--out", str(tmp_path)]) == 0
    listed = json.loads((tmp_path / "questions.json").read_text())
    for index, one in enumerate(listed, 3):
        picture, questions = ask_about(split, index)
        assert Image.open(tmp_path / one["file"]).tobytes() == render(picture, 2).tobytes()
        told = [(q["kind"], q["question"], q["answer"]) for q in one["questions"]]
        assert told == [(q.kind, q.text, q.answer) for q in questions]
    assert len(listed) == 2


def test_content_of_a_page_s_answers():
    assert content("The price of bread is 4.50.") == ("bread", "4.50")
    assert content("The 14:05 goes to Oslo.") == ("14:05", "oslo")
    assert content("I see no train at 14:06.") != content("I see no train at 14:05.")
    assert content("The price of bread is 4.50.") != content("The price of bread is 4.05.")
    assert content("The price of bread is 4.50.") != content("The price of bread is 4:50.")
    assert content("The value of Monday is 45%.") == ("monday", "45%")
    assert content("The value of Monday is 45.") == ("monday", "45")
