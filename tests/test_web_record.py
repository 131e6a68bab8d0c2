"""Runs as files: export, import, and what is refused."""

import csv
import io
import json
from dataclasses import replace

import pytest
from asking import shared
from test_web import ABOUT, METRICS, QUICK, RECORD, STOCK

from hired.errors import InputError, SettingError
from hired.web import export, render
from hired.web.export import Record
from hired.web.pane_state import PaneState, median
from hired.web.settings import Settings


def test_export_and_import_show_the_same() -> None:
    again = export.from_json(export.to_json(RECORD))
    assert again == RECORD and hash(again) == hash(RECORD)
    assert export.from_json(export.as_dict(RECORD)) == RECORD
    assert [render.pane(view, 0) for view in again.views] == [
        render.pane(view, 0) for view in RECORD.views
    ]
    counted = Record("?", {}, shared(budget=1), [STOCK], ABOUT)
    assert type(export.from_json(export.to_json(counted)).settings.lanes[1].budget) is int


def test_command_line_output_can_be_imported() -> None:
    lane = {"name": "x", "method": "hired", "text": "a", "metrics": QUICK}
    data = {"model": "m", "device": "cpu", "versions": {}, "settings": {"budget": 0.2}}
    views = export.from_json(json.dumps(data | {"lanes": [lane, lane | {"error": "no"}]})).views
    assert [view.phase for view in views] == ["done", "failed"]
    asked = {"image": "a/b.png", "question": "what?", "method": "visionzip", "budget": 7,
             "dtype": "float32", "race": True}  # fmt: skip
    lanes = [lane, lane | {"method": "visionzip", "error": "stopped"}]
    found = export.from_json(json.dumps(data | {"settings": asked, "lanes": lanes}))
    assert (found.question, found.image["name"]) == ("what?", "b.png")
    assert found.settings == Settings(("full", "visionzip:budget=7"), race=True)
    assert [(view.phase, view.error) for view in found.views] == [("done", None), ("stopped", None)]
    assert found.about["dtype"] == "float32"


def test_every_export_says_which_image_and_how_large() -> None:
    shown = Record("?", {"name": "a|b.png", "height": 60, "width": 200}, Settings(), [STOCK], ABOUT)
    [row] = csv.DictReader(io.StringIO(export.to_csv(shown)))
    assert (row["image"], row["image_height"], row["image_width"]) == ("a|b.png", "60", "200")
    assert "on `a\\|b.png` (200 × 60 pixels)" in export.to_markdown(shown)
    lane = {"name": "x", "method": "hired", "text": "a", "metrics": QUICK}
    asked = {"image": "a/b.png", "question": "?", "method": "hired", "budget": 7}
    image = {"name": "b.png", "height": 60, "width": 200}
    data = {"model": "m", "device": "cpu", "versions": {}, "date": "2026-01-01T00:00:00+00:00"}
    told = export.from_json(json.dumps(data | {"image": image, "settings": asked, "lanes": [lane]}))
    assert told.image == image and told.about["date"] == data["date"]


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b"\xff\xfe", b"[" * 5000, b'{"lanes": 3, "settings": {}}',
     b'{"lanes": [], "settings": {}}', b'{"lanes": [{"method": "full", "metrics": {"ttft_s": 1}}],'
     b' "settings": {}}', b" " * 3_000_000, b'{"lanes": [{}], "settings": {"budget": 0}}'],
)  # fmt: skip
def test_what_is_no_export_is_refused_in_words(data) -> None:
    with pytest.raises((InputError, SettingError)):
        export.from_json(data)


@pytest.mark.parametrize(
    "repeats", [float("inf"), float("nan"), 10**400, -1, 2.5, "many"], ids=repr
)
def test_repeats_out_of_range_are_refused_in_words(repeats) -> None:
    data = export.as_dict(RECORD)
    data["lanes"][1]["repeats"] = repeats
    with pytest.raises(SettingError, match="repeats is a whole number"):
        export.from_json(json.dumps(data))


@pytest.mark.parametrize("number", [float("inf"), 10**400])
def test_measurements_beyond_every_float_are_refused_in_words(number) -> None:
    data = export.as_dict(RECORD)
    data["lanes"][1]["metrics"] = QUICK | {"kv_cache_bytes": number}
    with pytest.raises(InputError, match="not a comparison"):
        export.from_json(json.dumps(data))


def test_a_run_keeps_its_spread_and_its_known_answer() -> None:
    several = median([STOCK, STOCK, STOCK])
    told = Record("?", {}, Settings(), [several, several], ABOUT, "It shows a 7.")
    again = export.from_json(export.to_json(told))
    assert again == told and again.views[0].measured("ttft_s") == [0.511] * 3


@pytest.mark.parametrize(
    "edited",
    [{"visual_tokens": -5}, {"visual_tokens": 5}, {"kept_tokens": -1}, {"ttft_s": -0.1},
     {"kv_cache_bytes": -1}],
    ids=str,
)  # fmt: skip
def test_measurements_that_cannot_be_are_refused_in_words(edited) -> None:
    data = export.as_dict(RECORD)
    data["lanes"][1]["metrics"] = QUICK | edited
    with pytest.raises(InputError, match="not a comparison"):
        export.from_json(json.dumps(data))


@pytest.mark.parametrize("samples", [{"ttft_s": [-1.0]}, {"ttft_s": ["x"]}, [1]], ids=str)
def test_samples_that_cannot_be_are_refused_in_words(samples) -> None:
    data = export.as_dict(RECORD)
    data["lanes"][1]["samples"] = samples
    with pytest.raises(InputError, match="not a comparison"):
        export.from_json(json.dumps(data))


def test_csv_has_a_row_per_lane_and_no_formulas() -> None:
    evil = Record(
        "=1+1", {}, Settings(), [PaneState("full", "done", "=cmd()", metrics=METRICS)], ABOUT
    )
    lines = export.to_csv(evil).splitlines()
    assert len(lines) == 2 and "'=cmd()" in lines[1] and "'=1+1" in lines[1]
    assert "version_torch" in lines[0] and "setting_alpha" in lines[0]


def test_markdown_is_one_table() -> None:
    view = PaneState("full", "done", "a|b\n<i>", metrics=METRICS)
    table = export.to_markdown(Record("q", {}, Settings(), [view], ABOUT))
    row = next(line for line in table.splitlines() if line.startswith("| answer"))
    assert row == "| answer | a\\|b &lt;i> |" and "torch 2.13.0" in table
    cut = Record("q", {}, Settings(), [replace(view, phase="stopped")], ABOUT)
    assert "| phase | stopped |" in export.to_markdown(cut)


def test_an_export_of_before_a_number_was_measured_is_read() -> None:
    data = json.loads(export.to_json(RECORD))
    for lane in data["lanes"]:
        lane["metrics"].pop("model_ttft_s")
    assert export.from_json(json.dumps(data)).views[0].metrics["model_ttft_s"] is None
