"""The page's pure parts: settings, links, records, panes, verdicts, sweeps. No server, no model."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from asking import shared
from starlette.datastructures import QueryParams

from hired.errors import SettingError
from hired.web import form, permalink, render
from hired.web.examples import read_examples
from hired.web.export import Record
from hired.web.pane_state import Case, PaneState, median
from hired.web.settings import Settings, from_mapping
from hired.web.verdict import verdict

METRICS = {
    "visual_tokens": 744,
    "kept_tokens": 720,
    "newline_tokens": 24,
    "nominal_tokens": 720,
    "stock_tokens": 744,
    "prompt_tokens": 12,
    "new_tokens": 6,
    "preprocess_s": 0.01,
    "vision_s": 0.1,
    "select_s": 0.001,
    "prefill_s": 0.4,
    "model_ttft_s": 0.501,
    "ttft_s": 0.511,
    "decode_s": 0.2,
    "total_s": 0.711,
    "tokens_per_s": 25.0,
    "end_to_end_tokens_per_s": 8.4,
    "kv_cache_bytes": 3_000_000,
    "peak_bytes": 20_000_000,
    "peak_is_approximate": True,
    "contended": False,
}
STOCK = PaneState("full", "done", "It shows a 7.", 6, visual_tokens=744, metrics=METRICS)
FEWER = METRICS | {"visual_tokens": 144, "kept_tokens": 144, "newline_tokens": 0}
QUICK = FEWER | {
    "ttft_s": 0.2,
    "prefill_s": 0.089,
    "total_s": 0.4,
    "kv_cache_bytes": 600_000,
    "peak_bytes": 10_000_000,
    "tokens_per_s": 75.0,
}
HIRED = PaneState("hired", "done", "It shows a 7.", 6, visual_tokens=144, metrics=QUICK)
ABOUT = {
    "model": "shapes",
    "device": "cpu",
    "device_name": "a chip",
    "dtype": "float32",
    "quantization": None,
    "date": "2026-01-02T03:04:05+00:00",
    "versions": {"torch": "2.13.0"},
}
RECORD = Record(
    "Which digit?", {"name": "a.png", "height": 3, "width": 4}, Settings(), [STOCK, HIRED], ABOUT
)
HOSTILE = "<img src=x onerror=alert(1)> ${7*7} {{x}} `y` \"'"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("budget", "nan"),
        ("budget", "0"),
        ("budget", "150%"),
        ("alpha", "2"),
        ("alpha", "x"),
        ("init_layer", "1.5"),
        ("init_layer", "-1"),
        ("heads", "mean"),
        ("newline", "cols"),
        ("left", "none"),
        ("right", "../hired"),
        ("max_new_tokens", "0"),
        ("max_new_tokens", "1e9"),
        ("repeats", "inf"),
        ("race", "maybe"),
        ("seed", "-4"),
        ("seed", 10**400),
        ("init_layer", -(10**400)),
        ("alpha", 10**400),
    ],
)
def test_bad_settings_are_refused_in_words(key, value) -> None:
    with pytest.raises(SettingError, match=r"\w+ .*; got|got "):
        from_mapping({key: value})


def test_share_is_checked_whether_or_not_a_method_reads_it() -> None:
    with pytest.raises(SettingError, match="from 0 to 1"):
        from_mapping({"right": "random", "alpha": "inf"})


def test_heads_by_number() -> None:
    told = [from_mapping({"heads": h}).lanes[1].heads for h in ("sum", "max", "3", "head 3", 3)]
    assert told == ["sum", "max", 3, 3, 3]


def test_form_and_settings_are_two_ways_of_saying_the_same() -> None:
    for settings in (
        Settings(),
        shared(budget=1.0, race=True, third="random"),
        shared(budget=1, swap=True, heads=2, final_layer=3, repeats=5, alpha=0.25),
        shared(contextual=0.3, important=0.1, fuse=True, exact=True, centred=True),
    ):
        again = form.read(**form.write(settings))
        assert again == settings and again.texts == settings.texts


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(("full", "hired:budget=20%", "hired:budget=40%,alpha=0.3", "random:seed=3")),
        Settings(("hired", "hired:init_layer=3,final_layer=2")),
        shared(budget=1),
        shared(budget=1.0),
        shared(budget=0.05, alpha=0.0, heads=3, newline="rows", right="spatial", seed=9),
        shared(left="hired", third="full", final_layer=2, race=True, repeats=3),
        shared(contextual=0.3, important=0.1, fuse=True, exact=True, centred=True),
    ],
)
def test_link_brings_the_settings_back(settings) -> None:
    params = QueryParams(permalink.to_query(settings))
    again, changed = permalink.from_query(
        permalink.read_query(SimpleNamespace(query_params=params))
    )
    assert again == settings and again.texts == settings.texts and not changed


def test_link_is_clamped_not_refused() -> None:
    settings, changed = permalink.from_query(
        {"budget": "7.5", "alpha": "-3", "init_layer": "99", "max_new_tokens": "1e12",
         "right": "rm -rf", "heads": "9" * 500, "repeats": "x", "unknown": "y"},
        layers=4,
    )  # fmt: skip
    assert settings == shared(budget=1.0, alpha=0.0, init_layer=3, max_new_tokens=512, repeats=1)
    assert len(changed) == 8 and changed[-1] == "unknown=y"
    assert permalink.from_query({"alpa": "0.5", "q": "x", "example": "e", "image": "own"})[1] == [
        "alpa=0.5 (Did you mean 'alpha'?)"
    ]
    assert permalink.from_query({"budget": "-5"})[0].lanes[1].budget == 1
    assert permalink.from_query({"budget": "nan"})[0].lanes[1].budget == 0.2


@pytest.mark.parametrize("settings", [shared(budget=1), shared(third="random", seed=4)])
def test_python_code_is_python_and_says_the_settings(settings) -> None:
    code = permalink.to_python(settings, "shapes", 'What\'s "this"?', "4bit")
    compile(code, "snippet", "exec")
    for text in settings.texts:
        assert f"hired.Lane({text!r}, {text!r})," in code
    assert "quantization='4bit'" in code


def test_no_text_becomes_markup() -> None:
    view = PaneState("full", "decode", HOSTILE)
    failed = PaneState("full", "failed", error=HOSTILE)
    shown = [
        render.pane(view, 0, Case(HOSTILE)),
        render.pane(failed, 0),
        render.mark_words(HOSTILE, ["other"]),
        verdict([STOCK, HIRED], Case(HOSTILE, about=dict.fromkeys(ABOUT, HOSTILE))),
        render.announcement([PaneState("full", "done", HOSTILE)]),
    ]
    for markup in shown:
        assert "<img" not in markup and "${" not in markup and "{{" not in markup


def test_known_answer_is_marked_in_words() -> None:
    assert "✓ right" in render.pane(STOCK, 0, Case("It shows a 7"))
    assert "✓ right" in render.pane(STOCK, 0, Case("7")), "an answer in a longer sentence"
    assert "✗ wrong" in render.pane(STOCK, 0, Case("It shows a 2."))
    assert "✗ wrong" in render.pane(STOCK, 0, Case("how")), "part of a word"


def test_one_of_a_thing_is_not_called_many() -> None:
    one = METRICS | {"visual_tokens": 1, "new_tokens": 1}
    shown = render.pane(PaneState("hired", "done", "a", metrics=one), 0)
    assert "1 visual token<" in shown and "Total, 1 token<" in shown
    assert "744 visual tokens<" in render.pane(STOCK, 0)
    assert "read 1 visual token instead of 744" in verdict([STOCK, replace(HIRED, metrics=one)])


def test_speed_is_told_from_sixteen_new_tokens_on() -> None:
    few, enough = (
        render.pane(PaneState("full", "done", "a", metrics=METRICS | {"new_tokens": count}), 0)
        for count in (15, 16)
    )
    assert "Tokens/s</dt><dd>–</dd>" in few and "Tokens/s</dt><dd>25.0</dd>" in enough


def test_timeline_is_on_one_scale() -> None:
    text = render.timeline([STOCK, HIRED])
    widths = [sum(map(float, re.findall(r"width:([\d.]+)%", lane))) for lane in text.split("<b>")]
    assert widths[1] == pytest.approx(100, abs=0.5)
    assert widths[2] < widths[1]
    assert "prefill 0.40 s" in text


def test_median_of_repeats() -> None:
    runs = [
        PaneState("full", "done", "a", metrics=METRICS | {"ttft_s": s}) for s in (0.9, 0.1, 0.3)
    ]
    merged = median(runs)
    assert merged.metrics["ttft_s"] == 0.3 and merged.repeats == 3
    assert merged.metrics["visual_tokens"] == 744
    assert merged.measured("ttft_s") == [0.9, 0.1, 0.3], "the spread stays"
    assert runs[0].measured("ttft_s") == [0.9]
    kept = median([*runs[:1], PaneState("full", "stopped", "half")])
    assert (kept.repeats, kept.phase, kept.text) == (1, "done", runs[0].text)
    peaks = [replace(run, metrics=run.metrics | {"peak_bytes": peak})
             for run, peak in zip(runs, (100, 900, 110), strict=True)]  # fmt: skip
    assert median(peaks).metrics["peak_bytes"] == 110
    assert median([*runs[:1], PaneState("full", "failed", error="no")]).phase == "failed"


def test_examples_are_whole_or_left_out(tmp_path) -> None:
    assert read_examples(tmp_path) == []
    (tmp_path / "a.png").write_bytes(b"x")
    entries = [
        {"file": "a.png", "question": "Q?", "answer": "A.", "title": "T"},
        {"file": "../a.png", "question": "Q?"},
        {"file": "gone.png", "question": "Q?"},
        {"file": "a.png"},
        "nonsense",
    ]
    (tmp_path / "examples.json").write_text(json.dumps(entries))
    found = read_examples(tmp_path)
    assert [(e.title, e.question, e.answer) for e in found] == [("T", "Q?", "A.")]


def test_bundled_examples_have_known_answers() -> None:
    for example in read_examples():
        assert example.answer and example.question and len(example.title) < 40
