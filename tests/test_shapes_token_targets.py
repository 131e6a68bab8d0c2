"""What visual tokens are asked to tell: the name of their number, their place, what is counted."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hired.shapes.documents import Document, Row, Word, line_words, showing_patches
from hired.shapes.layouts import document_for
from hired.shapes.lexicon import NAMES, WORDS, number
from hired.shapes.scenes import (
    SIDE,
    TILE,
    Scene,
    Thing,
    patches_at,
    scene_for,
    thing_patches,
)
from hired.shapes.train.assemble import build_model, build_processor
from hired.shapes.train.meanings import Tables
from hired.shapes.train.seen import Seen
from hired.shapes.train.tile_targets import IGNORE, N
from hired.shapes.train.token_targets import (
    ITEM,
    SHAPE,
    TokenHead,
    Told,
    token_loss,
)

ONE_TILE = torch.arange(N, dtype=torch.int32)


def pairs_of(page: Document) -> list[tuple[int, int]]:
    """A name and one of its numbers each, by their places among the page's words."""
    return [(name, number) for name, *numbers in line_words(page) for number in numbers]


def said(page: Document) -> list[tuple[str, str]]:
    """The texts of the page's pairs."""
    return [(page.words[a].text.lower(), page.words[b].text.lower()) for a, b in pairs_of(page)]


def seen(page, order=ONE_TILE) -> Seen:
    """The page as if the tower had looked at it."""
    return Seen(page, torch.zeros(len(order), 4), order)


def middle(scene: Scene, thing: Thing) -> list[int]:
    """The patches of overview and crop that show an object's centre."""
    x, y = np.array(thing.centre)[:, None]
    return [int(patch) for [patch] in patches_at(scene.width, scene.height, x, y)]


@pytest.mark.parametrize("kind", ["receipt", "prices", "board", "chart"])
@pytest.mark.parametrize("index", range(6))
def test_every_fact_of_a_page_is_a_pair_in_reading_order(kind, index):
    page = document_for("validation", kind, 0, index)
    pairs = said(page)
    facts = [(row.name, text) for row in page.rows for text in row.numbers]
    facts += [("total", page.total)] if page.total else []
    assert sorted(sorted(pair) for pair in pairs) == sorted(sorted(fact) for fact in facts)
    assert all(number(name) is None and number(figure) for name, figure in pairs)
    for early, late in pairs_of(page):
        one, other = page.words[early], page.words[late]
        assert one.y <= other.y + 3 and (one.x < other.x or one.y < other.y)


def test_equal_numbers_belong_to_the_name_of_their_line():
    page = document_for("validation", "prices", 0, 1)
    look = replace(page.look, turn=0.0, size=16)
    words = tuple(Word(text, x, y, 40, 16) for text, x, y in (
        ("Bread", 4, 10), ("2.50", 120, 10), ("Milk", 4, 40), ("2.50", 120, 40)))  # fmt: skip
    rows = (Row("bread", ("2.50",)), Row("milk", ("2.50",)))
    page = replace(page, width=168, height=168, look=look, words=words, rows=rows)
    assert pairs_of(page) == [(0, 1), (2, 3)]
    told = Told.of(seen(page)).names.reshape(SIDE, SIDE)
    assert {WORDS[n - 1] for n in told[0:2].ravel() if n} == {"bread"}
    assert {WORDS[n - 1] for n in told[2:5].ravel() if n} == {"milk"}
    assert (told[:, :8] == 0).all()


def test_a_patch_under_numbers_of_two_lines_is_left_open():
    page = document_for("validation", "prices", 0, 1)
    look = replace(page.look, turn=0.0, size=16)
    words = tuple(Word(text, x, y, 40, 16) for text, x, y in (
        ("Bread", 4, 6), ("2.50", 120, 6), ("Milk", 4, 24), ("3.50", 120, 24)))  # fmt: skip
    rows = (Row("bread", ("2.50",)), Row("milk", ("3.50",)))
    page = replace(page, width=168, height=168, look=look, words=words, rows=rows)
    lines = Told.of(seen(page)).names.reshape(SIDE, SIDE)[:3, 9]
    assert [WORDS[n - 1] if n > 0 else int(n) for n in lines] == ["bread", IGNORE, "milk"]


def test_a_lone_digit_hears_its_city():
    boards = [document_for("validation", "board", 3, index) for index in range(25)]
    for page in boards:
        rows, columns, *_ = page.canvas()
        order = torch.arange((1 + rows * columns) * N, dtype=torch.int32)
        assert {row.name for row in page.rows} == {
            WORDS[n - 1] for n in Told.of(seen(page, order)).names if n > 0
        }
        for row, (_, _, digits) in zip(page.rows, line_words(page), strict=True):
            names = Told.of(seen(page, order)).names[showing_patches(page)[digits].ravel()]
            assert {WORDS[n - 1] for n in names if n > 0} == {row.name}


def test_equal_numbers_of_two_blocks_belong_to_the_name_before_them():
    page = document_for("validation", "prices", 0, 1)
    words = tuple(Word(text, x, 10, 40, 16) for text, x in (
        ("Bread", 4), ("2.50", 60), ("Milk", 110), ("2.50", 240)))  # fmt: skip
    rows = (Row("bread", ("2.50",)), Row("milk", ("2.50",)))
    page = replace(page, width=336, height=168, words=words, rows=rows)
    assert line_words(page) == [[0, 1], [2, 3]]


def test_a_time_and_a_platform_hear_their_city():
    page = document_for("validation", "board", 0, 3)
    rows, columns, *_ = page.canvas()
    order = torch.arange((1 + rows * columns) * N, dtype=torch.int32)
    order = torch.cat([order, order.new_tensor([-1])])
    names = Told.of(seen(page, order)).names
    assert {WORDS[n - 1] for n in names if n} == {row.name for row in page.rows}
    assert not names[:N].any()  # the overview cannot be read
    assert names[-1] == 0  # a newline shows nothing
    for row in page.rows:
        said = (names == NAMES.index(row.name) + 1).sum()
        assert said >= 4  # a time is wider than three patches


def whole(picture) -> torch.Tensor:
    """All patches of a picture in order, and a newline."""
    rows, columns, *_ = picture.canvas()
    return torch.tensor([*range((1 + rows * columns) * N), -1], dtype=torch.int32)


def test_an_object_tells_its_place_in_the_overview_and_its_middle_everywhere():
    things = (Thing("star", "red", 4, 30, 20, 30), Thing("circle", "blue", 7, 290, 120, 34))
    scene = Scene(2 * TILE, TILE, things, 0)
    told = Told.of(seen(scene, whole(scene)))
    overview = told.columns[:N].reshape(SIDE, SIDE), told.rows[:N].reshape(SIDE, SIDE)
    assert [part[2, 1].item() for part in overview] == [0, 0]
    assert [part[9, 10].item() for part in overview] == [2, 2]
    assert (told.columns[N:] == IGNORE).all() and (told.rows[N:] == IGNORE).all()
    middles = sorted(patch for t in things for patch in middle(scene, t))
    assert told.marks.nonzero().ravel().tolist() == middles and len(middles) == 4
    assert set(told.marks[middles].tolist()) == {SHAPE}
    assert not told.names.any()


@pytest.mark.parametrize("split", ["sparse", "alike", "large"])
def test_points_lie_in_the_patches_that_show_their_object(split):
    for scene in (scene_for("validation", split, 0, index) for index in range(1, 6)):
        for thing, patches in zip(scene.things, thing_patches(scene, 0.01), strict=True):
            assert patches.ravel()[middle(scene, thing)].all()


@pytest.mark.parametrize("kind", ["receipt", "prices", "board", "chart"])
def test_every_line_of_a_page_is_marked_once(kind):
    page = document_for("validation", kind, 0, 2)
    told = Told.of(seen(page, whole(page)))
    assert told.marks.nonzero().min() >= N  # the overview cannot be read
    assert (told.marks == ITEM).sum() == len(page.rows) and not (told.marks == SHAPE).any()
    assert (told.columns == IGNORE).all()
    poster = scene_for("validation", "sparse", 0, 1)
    empty = Told.of(seen(Scene(poster.width, poster.height, (), 0), whole(poster)))
    assert not empty.marks.any() and (empty.rows == IGNORE).all()


def test_the_loss_falls_with_what_is_told():
    torch.manual_seed(0)
    head, tables = TokenHead(), Tables.of(build_model(), build_processor().tokenizer)
    assert [len(t) for t in (tables.words, tables.marks, tables.columns)] == [len(WORDS), 2, 3]
    visual = torch.randn(1, N, 256, requires_grad=True)
    nothing = torch.zeros(1, N).long()
    told = Told(nothing, nothing.clone(), nothing + IGNORE, nothing + IGNORE)
    few = token_loss(head(visual, tables), told)
    few.backward()
    assert few.isfinite() and all(part.grad.isfinite().all() for part in head.parameters())
    told.names[0, 5], told.marks[0, 9], told.columns[0, 7], told.rows[0, 7] = 3, ITEM, 1, 2
    before = token_loss(head(visual, tables), told)
    hears = visual.detach().clone()
    for patch, words in ((5, tables.words[2]), (9, tables.marks[1]), (7, tables.rows[2])):
        hears[0, patch] += 40 * words / words.norm()
        after = token_loss(head(hears, tables), told)
        assert after < before - 0.05
        before = after


def test_a_batch_pads_what_is_asked():
    page = document_for("validation", "receipt", 0, 1)
    told = Told.batch([seen(page), seen(page, ONE_TILE[:50])])
    for part in (told.names, told.marks, told.columns, told.rows):
        assert part.shape == (2, N) and (part[1, 50:] == IGNORE).all()
        assert torch.equal(part[0, :50], part[1, :50])
    assert told.names[0].any() and told.marks[0].any()
