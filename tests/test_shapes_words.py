"""The tokenizer: every sentence of the grammar comes back whole, foreign words are spelled."""

import numpy as np
import pytest

from hired.shapes.pictures import draw
from hired.shapes.questions import KINDS
from hired.shapes.scenes import scene_for
from hired.shapes.words import SPECIAL, build_tokenizer, vocabulary

TOKENIZER = build_tokenizer()


def test_vocabulary_is_stable_and_has_no_double():
    tokens = vocabulary()
    assert tokens == vocabulary() and len(set(tokens)) == len(tokens)
    assert tuple(tokens[: len(SPECIAL)]) == SPECIAL


@pytest.mark.parametrize("index", range(12))
def test_grammar_makes_the_round_trip_word_by_word(index):
    scene = scene_for("validation", "sparse", 0, index)
    for question in draw(scene, np.random.default_rng(index), list(KINDS)):
        ids = TOKENIZER(question.answer).input_ids
        assert TOKENIZER.decode(ids) == question.answer
        assert not any(t.startswith("##") for t in TOKENIZER.convert_ids_to_tokens(ids))
        assert TOKENIZER.unk_token_id not in TOKENIZER(question.text).input_ids


@pytest.mark.parametrize("text", ["kangaroo 17", "Xylophones", "a1b2c3"])
def test_unknown_words_are_spelled(text):
    ids = TOKENIZER(text).input_ids
    assert TOKENIZER.decode(ids) == text and TOKENIZER.unk_token_id not in ids


def test_other_scripts_become_unknown_without_an_error():
    assert TOKENIZER.unk_token_id in TOKENIZER("wo ist der größte Kreis? 日本").input_ids


def test_no_token_is_added_unasked():
    assert TOKENIZER("the").input_ids == TOKENIZER("the", add_special_tokens=False).input_ids


def test_chat_template():
    chat = [{"role": "user", "content": [{"type": "text", "text": "Where?"}, {"type": "image"}]}]
    text = TOKENIZER.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text == "<s><user> <image> Where? <assistant>"
