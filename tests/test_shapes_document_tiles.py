"""Tiles of documents and mixed batches: targets say what is written under each patch."""

import numpy as np
import pytest

from hired.shapes.documents import Document, Look, Word
from hired.shapes.layouts import document_for
from hired.shapes.lettering import letter
from hired.shapes.lexicon import SLOTS, WORDS
from hired.shapes.scenes import PATCH, SIDE, TILE
from hired.shapes.train.batches import Batches, held_out_scraps
from hired.shapes.train.document_tiles import (
    CHARACTERS,
    NUMBER,
    UNREADABLE_TEXT,
    document_tiles,
    page_tiles,
    text_target,
    tinted,
)
from hired.shapes.train.tile_targets import IGNORE, N, normalise


def page_of(*placed, size=16):
    """A page of one tile's size with these (text, x, y) on it."""
    look = Look("DejaVuSans", size, 0.0, "paper")
    words = [Word(t, x, y, letter(t, look.font, size).mask.shape[1], size) for t, x, y in placed]
    return Document("prices", TILE, TILE, look, tuple(words), 1)


def at(array, x, y):
    """A patch array's value at a point of the tile."""
    return array[y // PATCH * SIDE + x // PATCH]


def test_targets_of_a_word_and_a_number():
    found = text_target(page_of(("Bread", 20, 26), ("4.50", 100, 68)), (0, 0, TILE, TILE))
    bread = WORDS.index("bread") + 1
    assert at(found.word, 40, 30) == at(found.word, 40, 39) == bread
    assert at(found.word, 115, 74) == NUMBER and at(found.word, 10, 120) == 0
    assert at(found.slots, 115, 74).tolist() == [10, 4, 5, 0] and at(found.form, 115, 74) == 1
    assert at(found.slots, 40, 30).tolist() == [IGNORE] * SLOTS
    assert found.words.nonzero()[0].tolist() == [bread - 1] and found.texts.tolist() == [1, 1]
    assert found.figures.nonzero()[0].tolist() == [14, 25, 30]


def test_characters_stand_in_the_row_of_the_lines_middle():
    found = text_target(page_of(("platform", 30, 44)), (0, 0, TILE, TILE))
    row = 44 + round(0.45 * 16)
    cells = found.near.reshape(SIDE, 2 * SIDE)
    spelled = "".join(CHARACTERS[c - 1] for c in cells[row // PATCH] if c > 0)
    assert spelled == "platform"
    assert (cells[: row // PATCH - 1] == 0).all() and (cells[row // PATCH + 2 :] == 0).all()


def test_words_that_share_a_patch_keep_their_characters():
    page = page_of(("Tea", 25, 30), ("4.50", 50, 30), size=12)
    found = text_target(page, (0, 0, TILE, TILE)).near
    spelled = "".join(CHARACTERS[c - 1] for c in found.ravel() if c > 0)
    assert spelled.replace("%", ".") == "tea4.50"  # the marks are one class


def test_a_lone_digit_on_a_corner_of_patches_is_told():
    found = text_target(page_of(("1", 24, 33), size=12), (0, 0, TILE, TILE))
    patches = [at(found.slots, x, y).tolist() for x in (26, 30) for y in (38, 46)]
    assert [10, 10, 10, 1] in patches and found.middle.sum() == 1


@pytest.mark.parametrize("text", ["Honey", "19.75"])
def test_what_a_border_cuts_is_left_open(text):
    found = text_target(page_of((text, 30, 40)), (50, 0, TILE, TILE))
    assert set(found.word[found.word != 0]) == {IGNORE} and not found.words.any()
    assert (found.slots == IGNORE).all() and not found.figures.any()


def test_overviews_show_text_that_cannot_be_read():
    for kind in ("receipt", "board"):
        page = document_for("validation", kind, 0, 1)
        overview, *crops = (text for _, text in page_tiles(page))
        assert set(np.unique(overview.word)) == {IGNORE, 0, UNREADABLE_TEXT}
        assert not overview.words.any() and overview.texts.sum() == len(page.words)
        shown = sum(crop.words for crop in crops).astype(bool)
        written = {word.text.lower() for word in page.words}
        assert {WORDS[i] for i in shown.nonzero()[0]} == written & set(WORDS)
        assert sum(crop.texts.sum() for crop in crops) == len(page.words)


def test_page_tiles_are_what_the_stock_processor_cuts():
    pytest.importorskip("torch")
    from hired.shapes.printing import render
    from hired.shapes.train.assemble import build_processor

    page = document_for("validation", "prices", 0, 2)
    pixels = build_processor().image_processor(render(page), return_tensors="np")["pixel_values"]
    tiles = normalise(np.stack([pixels for pixels, _ in page_tiles(page)]))
    assert np.abs(pixels[0] - tiles).max() < 0.02


def test_tiles_are_dense_and_of_both_sorts():
    tiles = list(document_tiles(np.random.default_rng(0), 40))
    assert len(tiles) == 40 and {overview for *_, overview in tiles} == {True, False}
    assert np.mean([text.texts.sum() for _, text, _ in tiles]) > 8
    assert np.mean([text.words.sum() for _, text, _ in tiles]) > 3


def test_a_batch_depends_on_its_number_alone():
    first, again = Batches(7, 4, 2), Batches(7, 4, 2)
    first[0]
    one, two = first[5], again[5]
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert not np.array_equal(one["pixels"], again[6]["pixels"])
    assert one["pixels"].shape == (4, 3, TILE, TILE) and one["pixels"].dtype == np.float32
    assert set(np.unique(one["digit"])) <= {IGNORE, *range(11)}
    assert not one["texts"][:2].any() and one["texts"][2:].any()
    assert (one["count"][2:] == 0).all() and one["near"].shape == (4, N, 2)


def test_documents_are_harder_from_a_batch_on():
    plain, late = Batches(7, 4, 2), Batches(7, 4, 2, harder=5)
    for number in (4, 5):
        one, two = plain[number]["pixels"], late[number]["pixels"]
        assert np.array_equal(one[:2], two[:2])
        assert np.array_equal(one, two) is (number < 5)


def test_a_tint_takes_contrast_and_is_never_brown():
    rng = np.random.default_rng(0)
    for _ in range(200):
        both = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
        black, white = tinted(rng, both)[0].astype(int)
        assert 125 < (white - black).min() < 256
        assert white[2] >= white[0]
        assert (black == 0).all() or (white == 255).all()


def test_held_out_tiles_repeat_and_hold_much():
    one, two = held_out_scraps(0, 3), held_out_scraps(0, 3)
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert one["texts"].sum() > 15
