"""The verdict between the panes: figures, a plain sentence, what changed, where it was run."""

import re
from dataclasses import replace

import pytest
from test_web import ABOUT, FEWER, HIRED, METRICS, STOCK

from hired.web import render
from hired.web.pane_state import Case, PaneState
from hired.web.verdict import verdict


def words_of(markup: str) -> str:
    """What a visitor reads."""
    text = re.sub(r"<[^>]+>", " ", markup).replace("\u202f", " ")
    return " ".join(text.split())


def measured(view: PaneState, count: int = 5, spread: float = 0.1, **changes) -> PaneState:
    """A lane as `count` alternating runs leave it, each a little faster or slower."""
    metrics = {**view.metrics, "new_tokens": 40, **changes}
    factors = [1 + spread * (2 * index / (count - 1) - 1) for index in range(count)]
    names = ("ttft_s", "tokens_per_s", "total_s", "peak_bytes")
    samples = {name: [metrics[name] * factor for factor in factors] for name in names}
    return replace(view, metrics=metrics, repeats=count, samples=samples)


FIVE = [measured(STOCK), measured(HIRED)]


def test_verdict_says_what_it_bought_and_how_sure_that_is() -> None:
    text = verdict(FIVE)
    words = words_of(text)
    assert "to-benchmarks" not in text and "recorded run" not in text
    assert "Counted 81 % fewer visual tokens 80 % less KV cache Same answer word for word" in words
    assert "Measured, medians of 5 runs 2.6× faster to first token, 2.1–3.1×" in words
    assert "3.0× faster tokens/s, 2.5–3.7×" in words
    assert "50 % less ≈ peak memory, 1.6–2.4×" in words
    assert "2.6× sooner (2.1–3.1×)." in words and "<del>" not in text


def test_one_run_says_that_it_is_one_and_claims_nothing_of_the_times() -> None:
    words = words_of(verdict([STOCK, HIRED]))
    assert "Measured in one run 0.51 s → 0.20 s to first token" in words
    assert "This is one run: too few to compare times" in words
    assert "faster" not in words and "sooner" not in words and "less peak" not in words
    assert "– tokens/s, from 16 on" in words, "six are too few"
    thrice = [measured(view, 3) for view in (STOCK, HIRED)]
    assert "These are 3 runs: too few to compare times" in words_of(verdict(thrice))


def test_ranges_that_overlap_show_no_difference() -> None:
    words = words_of(verdict([measured(STOCK, spread=0.8), measured(HIRED, spread=0.8)]))
    assert "no difference in time that these 5 runs can show (0.3–23.0× to the first" in words
    assert "No difference to first token, 0.3–23.0×" in words and "faster" not in words


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("method", ["full", "hired"])
def test_who_reads_the_same_tokens_is_not_called_faster(count, method) -> None:
    """The same method twice, and one that keeps everything beside stock."""
    quick = {"ttft_s": 0.1, "tokens_per_s": 90.0}
    base = PaneState(method, "done", "a", metrics=METRICS)
    other = PaneState("hired", "done", "a", metrics=METRICS | quick)
    if count > 1:
        base, other = measured(base, count), measured(other, count)
    words = words_of(verdict([base, other]))
    assert "no difference in time that these runs can show" in words
    assert not re.search("faster|slower|sooner|as long", words)


def test_times_whose_spread_is_unknown_are_not_compared() -> None:
    thrice = [replace(view, repeats=5) for view in (STOCK, HIRED)]
    assert "their spread is unknown" in words_of(verdict(thrice))


def test_verdict_says_plainly_when_it_is_not_faster() -> None:
    slow = PaneState("hired", "done", "It shows a 1.", metrics=FEWER | {"ttft_s": 0.7})
    text = verdict([FIVE[0], measured(slow)])
    assert "its first token took 1.37× as long" in text and "1.37× slower" in text
    assert "recorded at 7B shape</button>" in text, "points to the Benchmarks tab"
    assert "Differs marked in the panes" in words_of(text)
    sides = render.side_by_side([FIVE[0], measured(slow)])
    assert "<mark>7.</mark>" in sides[0] and "<mark>1.</mark>" in sides[1]


@pytest.mark.parametrize(
    ("known", "texts", "said", "colour"),
    [("It shows a 7.", "77", "Right: both give the known answer.", "good"),
     ("It shows a 7.", "71", "Wrong: the answer was lost at 20 %.", "bad"),
     ("It shows a 7.", "17", "HiRED is right, All tokens (stock) is wrong.", "good"),
     ("It shows a 7.", "11", "Wrong: neither side gives the known answer.", "bad"),
     ("", "77", "", "good"), ("", "71", "", "")],
)  # fmt: skip
def test_a_wrong_answer_is_said_first_and_in_its_colour(known, texts, said, colour) -> None:
    views = [
        replace(view, text=f"It shows a {digit}.") for view, digit in zip(FIVE, texts, strict=True)
    ]
    text = verdict(views, Case(known))
    assert text.startswith(f'<section class="verdict {colour}"')
    assert words_of(text).startswith(said or "No known answer to judge by. Counted")


def test_a_count_is_said_as_one_where_the_answer_was_lost() -> None:
    views = [STOCK, replace(HIRED, lane="hired:budget=64", text="no")]
    assert "the answer was lost at 64 patches." in verdict(views, Case("It shows a 7."))


@pytest.mark.parametrize(
    ("view", "words"),
    [(PaneState("hired", "failed", error="no"), "one side failed"),
     (PaneState("hired", "stopped"), "stopped before its first token"),
     (PaneState("hired", "prefill"), "when both sides are done")],
)  # fmt: skip
def test_no_verdict_without_both(view, words) -> None:
    assert words in verdict([STOCK, view])


@pytest.mark.parametrize("pane", [0, 1])
def test_no_time_at_all_is_no_ratio(pane) -> None:
    views = [PaneState("full", "done", "a", metrics=METRICS), HIRED]
    views[pane] = replace(views[pane], metrics=METRICS | {"ttft_s": 0.0, "tokens_per_s": 0.0})
    assert "Unknown</dd><dt>to first token" in verdict(views)
    assert "faster" not in verdict([measured(view) for view in views])


def test_raced_times_are_not_compared() -> None:
    raced = [PaneState("full", "done", "a", metrics=METRICS | {"contended": True}), HIRED]
    assert "not compared" in verdict(raced)
    assert verdict(raced).count("Shared") == 3, "first token, speed and peak are of the machine"
    assert "times and memory shared" in render.pane(raced[0], 0)


def test_no_gain_without_fewer_tokens_points_nowhere() -> None:
    same = PaneState("full", "done", "It shows a 7.", metrics=METRICS | {"ttft_s": 0.9})
    assert "to-benchmarks" not in verdict([FIVE[0], measured(same)])


def test_shown_again_says_where_and_when() -> None:
    text = verdict([STOCK, HIRED], Case(about=ABOUT))
    assert "A recorded run: 2026-01-02 03:04, a chip, model shapes." in text
    assert "A recorded run" in verdict(
        [STOCK, PaneState("hired", "failed", error="no")], Case(about=ABOUT)
    )


def test_nothing_against_something_is_no_ratio() -> None:
    assert "Unknown" in verdict(
        [PaneState("full", "done", "a", metrics=METRICS | {"peak_bytes": 0}), HIRED]
    )
    silent = [PaneState("full", "done"), PaneState("hired", "done")]
    assert "ended without a word" in verdict(silent)


def test_every_pane_has_its_own_verdict_against_the_first() -> None:
    """A third pane that is wrong never stands under "Same answer"."""
    lost = replace(HIRED, lane="random", text="It shows a 1.")
    text = verdict([STOCK, HIRED, lost], Case("It shows a 7."))
    first, second = text.split("</section>")[:2]
    assert "HiRED against All tokens (stock)" in first and "Same answer" in first
    assert 'class="verdict good"' in first and "Right: both give" in first
    assert "Random against All tokens (stock)" in second and 'class="verdict bad"' in second
    assert "Wrong: the answer was lost at 20 %." in second and "Same answer" not in second
    failed = verdict(
        [STOCK, HIRED, PaneState("random", "failed", error="no")], Case("It shows a 7.")
    )
    assert "Same answer" in failed and "Random against" in failed and "one side failed" in failed
    assert "against All tokens" not in verdict([STOCK, HIRED])
