"""What visual tokens are asked to hear: the word or number before them on their line."""

from dataclasses import replace

import pytest
import torch

from hired.shapes.documents import Document, Row, Word
from hired.shapes.layouts import document_for
from hired.shapes.lexicon import NAMES, WORDS, number
from hired.shapes.scenes import SIDE
from hired.shapes.train.line_targets import (
    LineHead,
    batch_targets,
    line_loss,
    line_targets,
    partners,
)
from hired.shapes.train.seen import Seen
from hired.shapes.train.tile_targets import IGNORE, N

ONE_TILE = torch.arange(N, dtype=torch.int32)


def said(page: Document) -> list[tuple[str, str]]:
    """The texts of the page's pairs."""
    return [(page.words[a].text.lower(), page.words[b].text.lower()) for a, b in partners(page)]


def seen(page, order=ONE_TILE) -> Seen:
    """The page as if the tower had looked at it."""
    return Seen(page, torch.zeros(len(order), 4), order)


@pytest.mark.parametrize("kind", ["receipt", "prices", "board", "chart"])
@pytest.mark.parametrize("index", range(6))
def test_every_fact_of_a_page_is_a_pair_in_reading_order(kind, index):
    page = document_for("validation", kind, 0, index)
    pairs = said(page)
    facts = [(row.name, text) for row in page.rows for text in row.numbers]
    facts += [("total", page.total)] if page.total else []
    assert sorted(sorted(pair) for pair in pairs) == sorted(sorted(fact) for fact in facts)
    assert all(number(name) is None and number(figure) for name, figure in pairs)
    for early, late in partners(page):
        one, other = page.words[early], page.words[late]
        assert one.y <= other.y + 3 and (one.x < other.x or one.y < other.y)


def test_equal_numbers_belong_to_the_name_of_their_line():
    page = document_for("validation", "prices", 0, 1)
    look = replace(page.look, turn=0.0, size=16)
    words = tuple(Word(text, x, y, 40, 16) for text, x, y in (
        ("Bread", 4, 10), ("2.50", 120, 10), ("Milk", 4, 40), ("2.50", 120, 40)))  # fmt: skip
    rows = (Row("bread", ("2.50",)), Row("milk", ("2.50",)))
    page = replace(page, width=168, height=168, look=look, words=words, rows=rows)
    assert partners(page) == [(0, 1), (2, 3)]
    told = line_targets(seen(page)).reshape(SIDE, SIDE)
    assert {WORDS[n - 1] for n in told[0:2].ravel() if n} == {"bread"}
    assert {WORDS[n - 1] for n in told[2:5].ravel() if n} == {"milk"}
    assert (told[:, :8] == 0).all()


def test_a_time_and_a_platform_hear_their_city():
    page = document_for("validation", "board", 0, 3)
    rows, columns, *_ = page.canvas()
    order = torch.arange((1 + rows * columns) * N, dtype=torch.int32)
    order = torch.cat([order, order.new_tensor([-1])])
    names = line_targets(seen(page, order))
    assert {WORDS[n - 1] for n in names if n} == {row.name for row in page.rows}
    assert not names[:N].any()  # the overview cannot be read
    assert names[-1] == 0  # a newline shows nothing
    for row in page.rows:
        said = (names == NAMES.index(row.name) + 1).sum()
        assert said >= 4  # a time is wider than three patches


def test_the_loss_falls_with_what_is_told():
    torch.manual_seed(0)
    head, words = LineHead(), torch.randn(len(WORDS), 256)
    visual = torch.randn(1, N, 256, requires_grad=True)
    names = torch.zeros(1, N).long()
    few = line_loss(head(visual, words), names)
    few.backward()
    assert few.isfinite() and all(part.grad.isfinite().all() for part in head.parameters())
    names[0, 5] = 3
    before = line_loss(head(visual, words), names)
    hears = visual.detach().clone()
    hears[0, 5] += 20 * words[2]
    assert line_loss(head(hears, words), names) < before - 0.3


def test_a_batch_pads_what_is_asked():
    page = document_for("validation", "receipt", 0, 1)
    names = batch_targets([seen(page), seen(page, ONE_TILE[:50])])
    assert names.shape == (2, N) and (names[1, 50:] == IGNORE).all()
    assert names[0].any() and torch.equal(names[0, :50], names[1, :50])
