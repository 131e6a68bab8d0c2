"""Many questions in one pass give what the stock model gives for each question alone."""

import numpy as np
import pytest
import torch

from hired.shapes.documents import Document
from hired.shapes.pictures import render
from hired.shapes.train.assemble import build_model, build_processor
from hired.shapes.train.language_stage import ask_all
from hired.shapes.train.packed_questions import Spelling, lay_out, read, score
from hired.shapes.train.schedule import MIXTURE
from hired.shapes.train.seen import encode


@pytest.fixture(scope="module")
def world():
    """A random model, its processor and six encoded pictures, four of them documents."""
    torch.manual_seed(0)
    model, processor = build_model(), build_processor()
    pictures = list(encode(model, processor, MIXTURE, "validation", 0, range(1, 7), workers=0))
    return model, processor, pictures


@torch.no_grad()
def test_packed_pass_equals_stock_forward(world):
    model, processor, pictures = world
    spelling = Spelling(processor.tokenizer)
    rng = np.random.default_rng(0)
    asked = ask_all(pictures, rng, 3)
    assert sum(isinstance(seen.picture, Document) for seen in pictures) == 4
    pages = lay_out(pictures, asked, spelling)
    logits = model.lm_head(read(model, pages, spelling)[0])
    for b, (seen, many) in enumerate(zip(pictures, asked, strict=True)):
        for number, question in enumerate(many):
            chat = [
                {"role": "user",
                 "content": [{"type": "image"}, {"type": "text", "text": question.text}]},
                {"role": "assistant", "content": question.answer},
            ]  # fmt: skip
            text = processor.apply_chat_template(chat)
            inputs = processor(images=render(seen.picture), text=text, return_tensors="pt")
            ids, labels, _ = spelling.turn(question)
            assert inputs["input_ids"][0, -len(ids) - 1 :].tolist() == [*ids, spelling.stop]
            stock = model(**inputs).logits[0, -len(ids) - 1 : -1]
            ours = logits[b][pages.block[b] == number]
            told = torch.tensor(labels) >= 0
            torch.testing.assert_close(ours[told], stock[told], atol=5e-3, rtol=5e-3)


def test_score_counts_every_question_once(world):
    model, processor, pictures = world
    rng = np.random.default_rng(1)
    asked = ask_all(pictures, rng, 5)
    tally = score(model, pictures, asked, Spelling(processor.tokenizer))
    assert sum(total for _, total in tally.values()) == sum(map(len, asked))
    assert all(0 <= good <= total for good, total in tally.values())
