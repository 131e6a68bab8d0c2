"""The verdict between the panes: figures, a plain sentence, what changed, where it was run."""

import re
from dataclasses import replace

import pytest
from test_web import ABOUT, FEWER, HIRED, METRICS, STOCK

from hired.web import panes
from hired.web.verdict import verdict
from hired.web.views import View


def test_verdict_says_what_it_bought() -> None:
    text = verdict([STOCK, HIRED])
    words = re.sub(r"<[^>]+>", " ", text).replace("&#8239;", " ")
    assert "to-benchmarks" not in text and "recorded run" not in text
    assert "2.6× faster" in words and "81 % fewer" in words and "80 % less" in words
    assert "3.0× faster tokens/s" in " ".join(words.split())
    assert "≈ 50 % less peak memory" in " ".join(words.split())
    assert "Same answer" in words and "2.6× sooner" in words and "<del>" not in text


def test_verdict_says_how_many_runs_it_rests_on() -> None:
    thrice = [replace(view, repeats=3) for view in (STOCK, HIRED)]
    assert "Medians of 3 runs." in verdict(thrice) and "One run" in verdict([STOCK, HIRED])


def test_verdict_says_plainly_when_it_is_not_faster() -> None:
    slow = View("hired", "done", "It shows a 1.", metrics=FEWER | {"ttft_s": 0.7})
    text = verdict([STOCK, slow])
    assert "was not faster" in text and "× slower" in text
    assert "recorded at 7B shape</button>" in text, "points to the Benchmarks tab"
    assert "<del>7.</del> <ins>1.</ins>" in text and "Differs" in text


@pytest.mark.parametrize(
    ("view", "words"),
    [(View("hired", "failed", error="no"), "one side failed"),
     (View("hired", "stopped"), "stopped before its first token"),
     (View("hired", "reading"), "when both sides are done")],
)  # fmt: skip
def test_no_verdict_without_both(view, words) -> None:
    assert words in verdict([STOCK, view])


@pytest.mark.parametrize("pane", [0, 1])
def test_no_time_at_all_is_no_ratio(pane) -> None:
    views = [View("full", "done", "a", metrics=METRICS), HIRED]
    views[pane] = replace(views[pane], metrics=METRICS | {"ttft_s": 0.0, "tokens_per_s": 0.0})
    assert "As fast" in verdict(views)


def test_raced_times_are_not_compared() -> None:
    raced = [View("full", "done", "a", metrics=METRICS | {"contended": True}), HIRED]
    assert "not compared" in verdict(raced)
    assert verdict(raced).count("Raced") == 3, "first token, speed and peak are of the machine"
    assert "shared times and memory" in panes.pane(raced[0], 0)


def test_no_gain_without_fewer_tokens_points_nowhere() -> None:
    same = View("full", "done", "It shows a 7.", metrics=METRICS | {"ttft_s": 0.9})
    assert "to-benchmarks" not in verdict([STOCK, same])


def test_shown_again_says_where_and_when() -> None:
    text = verdict([STOCK, HIRED], ABOUT)
    assert "A recorded run: 2026-01-02 03:04, a chip, model shapes." in text
    assert "A recorded run" in verdict([STOCK, View("hired", "failed", error="no")], ABOUT)


def test_nothing_against_something_is_no_ratio() -> None:
    assert "Unknown" in verdict(
        [View("full", "done", "a", metrics=METRICS | {"peak_bytes": 0}), HIRED]
    )
    silent = [View("full", "done"), View("hired", "done")]
    assert "ended without a word" in verdict(silent)
