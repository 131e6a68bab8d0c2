"""Documents: deterministic, disjoint, dense as text is, every word whole in one crop."""

import numpy as np
import pytest

from hired.shapes.documents import (
    CONTENT,
    GROUNDS,
    HELD_OUT_GROUND,
    HELD_OUT_SIZES,
    KINDS,
    SIZES,
    Look,
    look_for,
    showing_patches,
    text_patches,
    word_patches,
    word_points,
)
from hired.shapes.layouts import ASKED, SEEN, _lying, document_for, draw_document
from hired.shapes.lettering import FONTS, HELD_OUT_FONTS, letter
from hired.shapes.lexicon import BLANK, FORM_NAMES, WORDS, number
from hired.shapes.printing import render
from hired.shapes.scenes import GRIDS, PATCH, PINPOINTS, TILE, grid_of
from hired.shapes.sheet import Sheet

PAGES = [document_for("validation", kind, 3, i) for kind in KINDS for i in range(25)]


def crops_of(page, x, y):
    """Number of the crop that each point of a page lies in."""
    _, columns, left, top = page.canvas()
    return ((y + top) // TILE * columns + (x + left) // TILE).astype(int)


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_pixels_and_no_two_pages_alike(kind):
    first, second = (render(document_for("test", kind, 1, 4)) for _ in range(2))
    assert np.array_equal(np.asarray(first), np.asarray(second))
    pages = [
        document_for(stream, kind, seed, index)
        for stream in ("train", "validation", "test", "examples")
        for seed in range(2)
        for index in range(3)
    ]
    assert len({(page.words, page.seed) for page in pages}) == len(pages)


def test_text_covers_as_much_as_promised_and_more_than_posters_do():
    shares = [text_patches(page).mean() for page in PAGES]
    assert CONTENT[0] <= min(shares) and max(shares) <= CONTENT[1]
    assert np.mean(shares) > 0.16 and max(shares) > 0.35


def test_every_word_lies_whole_in_one_crop_while_lines_run_on():
    crossing = 0
    for page in PAGES:
        crops = [crops_of(page, x, y) for x, y in word_points(page, 1)]
        assert all(len(np.unique(crop)) == 1 for crop in crops)
        for x, y in word_points(page):
            assert x.min() > 0 and y.min() > 0 and x.max() < page.width and y.max() < page.height
        lines = {}
        for word, crop in zip(page.words, crops, strict=True):
            lines.setdefault(word.y, set()).add(crop[0])
        crossing += any(len(line) > 1 for line in lines.values())
    assert crossing > len(PAGES) / 4


def test_lines_lie_anywhere_on_the_patches():
    offsets = {(word.y + page.canvas()[3]) % PATCH for page in PAGES for word in page.words}
    assert offsets == set(range(PATCH))


def test_all_grids_letterboxes_fonts_sizes_grounds_and_turns_occur():
    assert {grid_of(p.width, p.height) for p in PAGES} == set(GRIDS)
    assert 20 < sum([p.height, p.width] not in PINPOINTS for p in PAGES) < 80
    assert {p.look.font for p in PAGES} == set(FONTS) and len(FONTS) >= 4
    assert {p.look.size for p in PAGES} == set(SIZES) and 12 <= min(SIZES) <= max(SIZES) <= 18
    assert {p.look.ground for p in PAGES} == set(GROUNDS)
    turns, most = [p.look.turn for p in PAGES], ASKED.turn
    assert -most <= min(turns) < -0.7 * most and 0.7 * most < max(turns) <= most and 0 in turns


def test_what_is_held_out_is_in_no_page():
    rng = np.random.default_rng(0)
    for look in (look_for(rng, 1.0, held_out=True) for _ in range(20)):
        assert look.font in HELD_OUT_FONTS and look.font not in FONTS
        assert look.size in HELD_OUT_SIZES and look.size not in SIZES
        assert look.ground == HELD_OUT_GROUND and look.ground not in GROUNDS


def test_facts_stand_on_the_page_in_words_of_the_closed_list():
    for page in PAGES:
        written = [word.text.lower() for word in page.words]
        assert all(number(text) or text in WORDS for text in written)
        assert len({row.name for row in page.rows}) == len(page.rows) >= 3
        for row in page.rows:
            assert row.name in written and all(n in written for n in row.numbers)
        if page.kind == "receipt":
            cents = [round(float(row.numbers[0]) * 100) for row in page.rows]
            assert page.total in written and round(float(page.total) * 100) == sum(cents)
        if page.kind == "board":
            times = [row.numbers[0] for row in page.rows]
            assert times == sorted(set(times))
        if page.kind == "chart":
            assert len({row.numbers for row in page.rows}) == len(page.rows) == len(page.bars)


def test_a_row_stands_on_one_line():
    for page in PAGES:
        at = {}
        for word in page.words:
            at.setdefault(word.text.lower(), set()).add(word.y)
        for row in page.rows:
            assert all(at[row.name] & at[text] for text in row.numbers)


def first_of(page):
    """The words that begin the page's lines of facts."""
    names = {row.name for row in page.rows}
    lines = {}
    for word in page.words:
        lines.setdefault(word.y, []).append(word)
    facts = [line for line in lines.values() if names & {word.text.lower() for word in line}]
    return [min(line, key=lambda word: word.x).text for line in facts]


def test_a_name_comes_before_its_numbers_where_questions_are_asked():
    assert not any(number(text) for page in PAGES for text in first_of(page))
    rng = np.random.default_rng(0)
    boards = [draw_document(rng, "board", SEEN) for _ in range(5)]
    assert all(number(text) for page in boards for text in first_of(page))


def test_lines_keep_apart_where_questions_are_asked():
    def least(pages):
        named = [{row.name for row in page.rows} for page in pages]
        tops = [np.unique([word.y for word in page.words if word.text.lower() in names])
                for page, names in zip(pages, named, strict=True)]  # fmt: skip
        return min(np.diff(t).min() / p.look.size for t, p in zip(tops, pages, strict=True))

    rng = np.random.default_rng(0)
    kinds = ("receipt", "prices", "board")
    seen = [draw_document(rng, kind, SEEN) for kind in kinds for _ in range(6)]
    assert least(seen) < 1.2 and max(abs(page.look.turn) for page in seen) > 1
    assert least(PAGES) > ASKED.pitch[0] - 0.1


def test_ink_is_where_the_boxes_are():
    for page in PAGES[::7]:
        pixels = np.asarray(render(page), float).mean(2)
        ground = np.median(pixels)
        for x, y in word_points(page, 1):
            inside = np.abs(pixels[y.astype(int), x.astype(int)] - ground)
            assert np.percentile(inside, 90) > 55 and np.median(inside) < 55


def test_no_font_cuts_a_letter_off():
    for font in FONTS + HELD_OUT_FONTS:
        for size in (*SIZES, *HELD_OUT_SIZES):
            face = letter("dgT0", font, size)
            ink = np.nonzero(face.mask.max(1) > 60)[0]
            assert len(face.mask) == size and size - 3 <= ink[-1] - ink[0] + 1 <= size
            assert np.all(np.diff(face.centres) > 0) and face.centres[-1] < face.mask.shape[1]


def test_numbers_fill_slots_from_the_right():
    assert number("4.50") == (FORM_NAMES.index("price"), (BLANK, 4, 5, 0))
    assert number("14:05") == (FORM_NAMES.index("time"), (1, 4, 0, 5))
    assert number("7") == (FORM_NAMES.index("whole"), (BLANK, BLANK, BLANK, 7))
    assert number("35%") == (FORM_NAMES.index("percent"), (BLANK, BLANK, 3, 5))
    assert number("bread") is None and number("4.5") is None


def test_words_are_few_distinct_and_plain():
    assert 70 <= len(set(WORDS)) == len(WORDS) <= 90
    assert all(word.isascii() and word.isalpha() and word.islower() for word in WORDS)


def test_a_larger_rendering_shows_the_same_page():
    for page in PAGES[3::40]:
        small = np.asarray(render(page), float)
        big = render(page, 2).resize((page.width, page.height))
        assert np.abs(small - np.asarray(big, float)).mean() < 9


def test_bars_are_as_long_as_their_values():
    lying, rng = 0, np.random.default_rng(0)
    for page in (draw_document(rng, "chart", SEEN) for _ in range(100)):
        sides = np.array([(b.left, b.top, b.right, b.bottom) for b in page.bars])
        wide, high = sides[:, 2] - sides[:, 0], sides[:, 3] - sides[:, 1]
        assert wide.min() > 0 and high.min() > 0
        lying += (lies := len(np.unique(sides[:, 0])) == 1)
        values = [int(row.numbers[0].rstrip("%")) for row in page.rows]
        lengths = (wide if lies else high)[np.argsort(values)]
        assert np.all(np.diff(lengths) >= 0)
    assert 20 < lying < 90
    for page in (page for page in PAGES if page.kind == "chart"):
        assert len({bar.left for bar in page.bars}) == 1


@pytest.mark.parametrize("font", FONTS)
def test_no_name_lies_over_its_bar(font):
    """A crop's border moves a long name aside: on 7 of 15,000 charts onto its bar."""
    names, values = ["hamburg", "potatoes", "tomatoes"], ["40", "20", "9"]
    for width in range(340, 504, 2):
        sheet = Sheet(width, 160, Look(font, 18, 0.0, "paper"), (1.4, 2.0))
        page = _lying(np.random.default_rng(0), sheet, str.capitalize, names, values, 10)
        for name, bar in zip(page.words[::2], page.bars, strict=True) if page else ():
            assert name.text.lower() in names and name.x + name.width < bar.left


def test_every_word_is_shown_by_a_patch_of_a_crop():
    """A platform's one digit on a border of patches covers a quarter of none."""
    boards = [page for page in PAGES if page.kind == "board"]
    assert not all(word_patches(page)[:, 1:].any((1, 2)).all() for page in boards)
    for page in PAGES:
        often, shown = word_patches(page), showing_patches(page)
        assert shown[:, 1:].any((1, 2)).all()
        seen = often[:, 1:].any((1, 2))
        assert np.array_equal(often[seen], shown[seen])
