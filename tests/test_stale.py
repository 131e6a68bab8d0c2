"""Answers to what is no longer asked are known as such, and a change taken back is none."""

from dataclasses import replace

import pytest
from asking import shared
from conftest import make_image
from test_web import ABOUT, HIRED, STOCK

from hired.web import stale, uploads
from hired.web.export import Record, from_json, to_json
from hired.web.settings import Settings

QUESTION = "Which digit?"


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a.png"
    make_image(60, 80).save(path)
    return str(path)


@pytest.fixture
def kept(picture):
    image = uploads.keep_picture(picture, make_image(60, 80))
    return Record(QUESTION, image, Settings(), [STOCK, HIRED], ABOUT)


@pytest.mark.parametrize(
    ("change", "words"),
    [({}, []), ({"budget": 0.3}, ["budget"]), ({"budget": 64}, ["budget"]),
     ({"right": "random"}, ["methods"]), ({"third": "random"}, ["methods"]),
     ({"alpha": 0.3}, ["settings"]), ({"init_layer": 2}, ["settings"]),
     ({"max_new_tokens": 5}, ["settings"]), ({"repeats": 5, "swap": True}, []),
     ({"budget": 0.3, "heads": "max"}, ["budget", "settings"])],
    ids=str,
)  # fmt: skip
def test_a_change_of_the_settings_is_named(kept, picture, change, words) -> None:
    asked = shared(**change)
    assert (
        stale.changes_since(kept, picture, f" {QUESTION} ", asked, small=False, model="shapes")
        == words
    )


def test_a_change_of_picture_or_question_is_named(kept, picture, tmp_path) -> None:
    other = tmp_path / "b.png"
    make_image(60, 81).save(other)
    usual = Settings()
    assert stale.changes_since(kept, str(other), QUESTION, usual, small=False, model="shapes") == [
        "picture"
    ]
    assert stale.changes_since(kept, None, QUESTION, usual, small=False, model="shapes") == [
        "picture"
    ]
    assert stale.changes_since(kept, None, QUESTION, usual, small=True, model="shapes") == [], (
        "its thumbnail is shown"
    )
    assert stale.changes_since(kept, picture, "Another?", usual, small=False, model="shapes") == [
        "question"
    ]


def test_the_notice_says_what_the_answers_are_of_and_offers_run(kept, picture) -> None:
    said = stale.notice(kept, None, "Another?", shared(budget=0.5), False, "shapes")
    assert "Answers at 20 %, before the change of the picture, question and budget." in said
    assert 'class="run-again">Run</button>' in said
    assert stale.notice(kept, picture, QUESTION, Settings(), False, "shapes") == ""
    assert stale.notice(None, picture, QUESTION, Settings(), False, "shapes") == ""
    counted = replace(kept, settings=shared(budget=64))
    assert "Answers at 64 patches," in stale.notice(
        counted, picture, QUESTION, Settings(), False, "shapes"
    )


def test_answers_of_another_model_are_known_as_such(kept, picture) -> None:
    said = stale.notice(kept, picture, QUESTION, Settings(), False, "loaded since")
    assert "before the change of the model." in said


def test_a_run_brings_its_picture_or_says_why_not(kept) -> None:
    image = from_json(
        to_json(from_json(to_json(Record("q", kept.image, Settings(), [STOCK], ABOUT))))
    ).image
    assert image == kept.image, "twice through a file"
    assert image["thumbnail"] in uploads.show_picture(
        image
    ) and "a.png, 80 × 60 px" in uploads.show_picture(image)
    bare = uploads.show_picture({"name": "<b>.png"})
    assert "did not come with it" in bare and "<b>" not in bare


@pytest.mark.parametrize(
    "wrong",
    [{"thumbnail": "data:text/html;base64,PGI+"}, {"thumbnail": "javascript:alert(1)"},
     {"thumbnail": "data:image/webp;base64,AAAA"}, {"thumbnail": 'data:image/webp;base64,"><b>'},
     {"digest": "../../etc"}, {"example": "<b>"}, {"example": ["a"]}, {"name": {"a": 1}},
     {"height": "x"}, {"foreign": "yes"}],
    ids=str,
)  # fmt: skip
def test_what_a_file_says_of_its_picture_is_not_believed(wrong) -> None:
    assert uploads.read_picture(wrong) == {}
