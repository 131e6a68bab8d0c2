"""Many questions in one pass give what the stock model gives for each question alone."""

import numpy as np
import pytest
import torch

from hired.shapes.assemble import build_model, build_processor
from hired.shapes.pictures import draw
from hired.shapes.posters import encode
from hired.shapes.questions import KINDS
from hired.shapes.reader import Spelling, lay_out, read, score
from hired.shapes.scenes import render


@pytest.fixture(scope="module")
def world():
    """A random model, its processor and four encoded posters."""
    torch.manual_seed(0)
    model, processor = build_model(), build_processor()
    posters = list(encode(model, processor, "validation", 0, 1, 4, workers=0))
    return model, processor, posters


@torch.no_grad()
def test_packed_pass_equals_stock_forward(world):
    model, processor, posters = world
    spelling = Spelling(processor.tokenizer)
    rng = np.random.default_rng(0)
    asked = [draw(p.scene, rng, ["digit", "count", "describe"]) for p in posters]
    pages = lay_out(posters, asked, spelling)
    logits = model.lm_head(read(model, pages, spelling))
    for b, (poster, many) in enumerate(zip(posters, asked, strict=True)):
        for number, question in enumerate(many):
            chat = [
                {"role": "user",
                 "content": [{"type": "image"}, {"type": "text", "text": question.text}]},
                {"role": "assistant", "content": question.answer},
            ]  # fmt: skip
            text = processor.apply_chat_template(chat)
            inputs = processor(images=render(poster.scene), text=text, return_tensors="pt")
            ids, labels, _ = spelling.turn(question)
            assert inputs["input_ids"][0, -len(ids) - 1 :].tolist() == [*ids, spelling.stop]
            stock = model(**inputs).logits[0, -len(ids) - 1 : -1]
            ours = logits[b][pages.block[b] == number]
            told = torch.tensor(labels) >= 0
            torch.testing.assert_close(ours[told], stock[told], atol=5e-3, rtol=5e-3)


def test_score_counts_every_question_once(world):
    model, processor, posters = world
    rng = np.random.default_rng(1)
    asked = [draw(p.scene, rng, list(KINDS)) for p in posters]
    tally = score(model, posters, asked, Spelling(processor.tokenizer))
    assert sum(total for _, total in tally.values()) == sum(map(len, asked))
    assert all(0 <= good <= total for good, total in tally.values())
