"""What the terminal shows: honest verdicts, readable numbers, nothing that steers it."""

import pytest

from hired.comparison.lane import Lane
from hired.comparison.stream import Step
from hired.metrics import Metrics, seconds, size
from hired.selectors import build
from hired.terminal import Screen, plain, verdict
from hired.web.pane_state import PaneState
from hired.web.render import pane


def metrics(**changes) -> Metrics:
    zero = dict.fromkeys(Metrics.__dataclass_fields__, 1)
    return Metrics(**{**zero, "peak_is_approximate": False, "contended": False, **changes})


def test_one_run_is_told_as_measured_and_claims_no_speed() -> None:
    stock = Step(
        0, "done", "a star", metrics=metrics(visual_tokens=200, ttft_s=2.0, kv_cache_bytes=9)
    )
    fast = Step(
        1, "done", "a star", metrics=metrics(visual_tokens=40, ttft_s=0.5, kv_cache_bytes=3)
    )
    slow = Step(1, "done", "no", metrics=metrics(visual_tokens=1, ttft_s=3.0, kv_cache_bytes=12))
    assert verdict(stock, fast) == (
        "80% fewer visual tokens · 67% less KV cache · same answer · first token after 0.50 s "
        "instead of 2.00 s in one run each: no comparison of speed"
    )
    assert verdict(stock, slow) == (
        "99.5% fewer visual tokens · 33% more KV cache · different answer · first token after "
        "3.00 s instead of 2.00 s in one run each: no comparison of speed"
    )
    assert verdict(stock, stock).startswith("as many visual tokens · as much KV cache · same answ")
    raced = Step(1, "done", "no", metrics=metrics(contended=True))
    assert verdict(stock, raced).endswith("the device was shared: times are not compared")


def test_an_answer_that_was_stopped_is_not_compared(capsys) -> None:
    lanes = [Lane("one", build("full")), Lane("two", build("hired"))]
    for phase in ("done", "stopped"):
        steps = [
            Step(0, "done", "a star", metrics=metrics()),
            Step(1, phase, "a", metrics=metrics()),
        ]
        Screen().conclude(steps, lanes)
        assert ("different answer" in capsys.readouterr().out) == (phase == "done")


def test_speed_is_told_from_sixteen_new_tokens_on(capsys) -> None:
    for count in (15, 16):
        done = metrics(new_tokens=count, tokens_per_s=42.0)
        Screen().conclude([Step(0, "done", metrics=done)], [Lane("one", build("full"))])
    out = capsys.readouterr().out
    assert out.count("42.0 tokens/s") == 1 and out.count("too few for a speed") == 1


def test_a_count_beyond_the_image_is_capped_aloud(capsys) -> None:
    for asked, method in ((640, "hired"), (180, "hired"), (0.2, "hired"), (640, "hired-release")):
        done = metrics(kept_tokens=180, new_tokens=16)
        lane = Lane("mine", build(method, budget=asked))
        Screen().conclude([Step(0, "done", metrics=done)], [lane])
    out = " ".join(capsys.readouterr().out.split())
    words = "mine: 640 patches per image were asked for, and this image has 180: all are kept."
    assert out.count(words) == 1 and out.count("were asked for") == 1


def test_sizes_and_seconds_are_readable() -> None:
    assert [size(n) for n in (None, 0, 999, 1500, 2_500_000, 14e9)] == [
        "–",
        "0 B",
        "999 B",
        "1.5 kB",
        "2.5 MB",
        "14.0 GB",
    ]
    assert [size(n) for n in (99_900, 317_600)] == ["99.9 kB", "318 kB"]
    assert [seconds(s) for s in (None, 0.0004, 0.0016, 0.0123, 0.0999, 2.5, 12.34)] == [
        "–", "0.4 ms", "1.6 ms", "12 ms", "0.10 s", "2.50 s", "12.3 s",
    ]  # fmt: skip


def test_terminal_and_page_say_a_number_alike(capsys) -> None:
    done = metrics(ttft_s=12.34, kv_cache_bytes=317_600)
    page = pane(PaneState("full", "done", metrics=done.as_dict()), 0)
    Screen().conclude([Step(0, "done", metrics=done)], [Lane("one", build("full"))])
    terminal = capsys.readouterr().out
    assert all(words in page and words in terminal for words in ("12.3 s", "318 kB"))


def test_an_answer_cannot_steer_the_terminal(capsys) -> None:
    assert plain("a\x1b[2Jb\nc\r") == "a\ufffd[2Jb\nc\ufffd"
    assert plain("\x00\x7f\x9b2J\ud83d") == "\ufffd\ufffd\ufffd2J\ufffd"
    lanes = [Lane("one", build("full"))]
    steps = [Step(0), Step(0, "decode", "[red]x"), Step(0, "done", "[red]x\x1b[2J y")]
    Screen().follow(iter(steps), lanes)
    out = capsys.readouterr().out
    assert "[red]x\ufffd[2J y" in out and out.count("[red]x") == 1


@pytest.mark.parametrize(
    "text",
    [
        "\u0915\u094d\u200d\u0937",  # Hindi, with a zero-width joiner
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a non-joiner
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family of three
        "oui\u00a0!",
        "\u65e5\u672c\u3000\u8a9e",
        "\u202bעברית\u202c",
        "\ue000",
    ],
    ids=ascii,
)
def test_a_script_arrives_as_it_was_answered(text, capsys) -> None:
    steps = [Step(0, "decode", text[:2]), Step(0, "decode", text), Step(0, "done", text)]
    Screen().follow(iter(steps), [Lane("one", build("full"))])
    assert text in capsys.readouterr().out


def test_a_table_keeps_its_columns_however_it_arrives(capsys) -> None:
    table = "a\tb\nlonger\tc"
    steps = [Step(0, "decode", table[:end]) for end in range(1, len(table) + 1)]
    Screen().follow(iter([*steps, Step(0, "done", table)]), [Lane("one", build("full"))])
    assert "a       b\nlonger  c" in capsys.readouterr().out
