"""The card to share: what it writes, how it breaks lines, that it is one readable picture."""

from dataclasses import replace

import pytest
from asking import shared
from conftest import make_image
from PIL import ImageDraw
from test_web import ABOUT, HIRED, STOCK

from hired.web import card
from hired.web.card import MARGIN, WIDTH, draw_card, load_font, wrap
from hired.web.engine import Engine
from hired.web.export import Record


@pytest.fixture
def written(monkeypatch):
    """Every line that is written, with where and in which font."""
    lines = []
    text = ImageDraw.ImageDraw.text

    def tell(self, at, words, font=None, fill=None):
        lines.append((words, at, font, fill))
        return text(self, at, words, font=font, fill=fill)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", tell)
    return lines


def make(tiny, views, known="It shows a 7.", link="http://here/?budget=0.2"):
    engine, image = Engine.holding(*tiny), make_image(120, 160)
    settings = shared(third="random")
    kept = [engine.get().preview.select(image, view.selector) for view in views]
    record = Record("Which digit is on it?", {}, settings, views, ABOUT)
    return draw_card(record, image, kept, known, link)


def test_it_says_answers_counts_times_and_the_link(tiny, written) -> None:
    lost = replace(HIRED, lane="random", text="It shows a 1.")
    shown = make(tiny, [STOCK, HIRED, lost])
    words = [line[0] for line in written]
    told = " ".join(words)
    assert "Which digit is on it?" in words and "Known answer: It shows a 7." in words
    assert words.count("✓ right") == 2 and words.count("✗ wrong") == 1
    assert "744 visual tokens of stock's" in told and "144 visual tokens of stock's" in told
    assert told.count("(one run)") == 3 and "http://here/?budget=0.2" in words
    assert "shapes, a chip, float32, 2026-01-02" in words
    written.clear()
    make(tiny, [STOCK, replace(HIRED, phase="stopped"), lost])
    words = [line[0] for line in written]
    assert "stopped" in words and words.count("✓ right") == 1
    assert shown.width == WIDTH and 400 < shown.height < 1600
    for text, (left, top), font, _ in written:
        assert left >= MARGIN and left + font.getlength(text) <= WIDTH - MARGIN
        assert top + font.size <= shown.height and font.size >= 18, text


def test_times_come_with_their_spread() -> None:
    runs = replace(HIRED, repeats=3, samples={"ttft_s": [0.18, 0.2, 0.31]})
    kept = type("Kept", (), {"stock": 744})
    assert card.figures(runs, kept)[-1] == (
        "First token after 0.20 s (median of 3 runs, 0.18 s to 0.31 s)"
    )
    raced = replace(HIRED, metrics=HIRED.metrics | {"contended": True})
    assert "The device was shared: no times" in card.figures(raced, kept)
    assert not any("First token" in line for line in card.figures(raced, kept))


def test_lines_break_within_the_width_and_end_aloud() -> None:
    font = load_font(20)
    lines = wrap("word " * 40 + "x" * 300, font, 300, 4)
    assert len(lines) == 4 and lines[-1].endswith("…")
    assert all(font.getlength(line) <= 300 for line in lines)
    assert wrap("Is it здесь?", font, 300, 4) == ["Is it здесь?"]
    assert (
        font.getmask("✓").getbbox()
        and font.getmask("✓").getbbox() != font.getmask("\uffff").getbbox()
    )
