"""Limits, rates, the disk's bound and the log's form, without a server."""

import json
import logging
import os

import pytest
from conftest import make_image

from hired.errors import InputError, SettingError
from hired.web import limits as module
from hired.web.limits import Limits, Rate, trim
from hired.web.middleware import _mark
from hired.web.serve import JsonLines


@pytest.mark.parametrize(
    ("asked", "words"),
    [(("x" * 21, 1, 0), "21 characters; the limit of this server is 20"),
     (("x", 6, 0), "6 tokens; the limit of this server is 5"),
     (("x", 1, 4), "4 runs; the limit of this server is 3")],
)  # fmt: skip
def test_what_is_too_long_names_its_limit(asked, words) -> None:
    few = Limits(question=20, new_tokens=5, rows=3)
    few.check_asked("x" * 20, 5, 3)
    with pytest.raises(InputError, match=words):
        few.check_asked(*asked)


def test_pixels_are_limited() -> None:
    image = make_image(1000, 1001)
    assert Limits().check_image(image) is image
    with pytest.raises(InputError, match=r"1.0 megapixels; the limit of this server is 1\b"):
        Limits(pixels_mp=1).check_image(image)


@pytest.mark.parametrize("wrong", [{"queue": 0}, {"new_tokens": 513}, {"upload_mb": 16}])
def test_a_limit_can_only_be_tightened(wrong) -> None:
    with pytest.raises(SettingError, match="is a whole number from 1 to"):
        Limits(**wrong)


def test_rate_refills_evenly_and_forgets_the_oldest(monkeypatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    rate = Rate(60)
    assert [rate.wait_s("a") for _ in range(10)] == [0] * 10
    assert rate.wait_s("a") == pytest.approx(1.0)
    assert rate.wait_s("b") == 0
    now[0] += 0.5
    assert rate.wait_s("a") == pytest.approx(0.5)
    now[0] += 0.5
    assert rate.wait_s("a") == 0 and rate.wait_s("a") > 0
    for index in range(module.MAX_CLIENTS * 2):
        rate.wait_s(str(index))
    assert len(rate._left) == module.MAX_CLIENTS


def test_the_disk_keeps_the_newest_files(tmp_path) -> None:
    names = ["0" * 64, "1" * 64, "result-comparison-a", "result-card-b", "e" * 64, "f" * 64]
    for age, name in enumerate([*names, "huggingface"]):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "image.png"
        path.write_bytes(b"x" * 100)
        os.utime(path, (1e9 - age, 1e9 - age))
    assert trim(tmp_path, 10_000) == 0
    assert trim(tmp_path, 350) == 300
    left = sorted(path.parent.name for path in tmp_path.rglob("*.png"))
    assert left == sorted([*names[:3], "huggingface"]), "the oldest is another program's"
    assert not [path for path in tmp_path.iterdir() if not list(path.iterdir())], "none is empty"
    icon = str(tmp_path / names[0] / "image.png")
    assert trim(tmp_path, -1, {icon}) == 200
    left = sorted(path.parent.name for path in tmp_path.rglob("*.png"))
    assert left == [names[0], "huggingface"]
    assert trim(tmp_path / "gone", 5) == 0


def test_log_lines_are_json_with_the_trace_of_an_error() -> None:
    try:
        raise ValueError("no")
    except ValueError as error:
        record = logging.LogRecord("hired.x", 40, "f", 1, "broke %s", ("it",), error.__traceback__)
        record.exc_info = (ValueError, error, error.__traceback__)
    record.facts = {"seconds": 1.5}
    line = json.loads(JsonLines().format(record))
    assert (line["event"], line["level"], line["seconds"]) == ("broke it", "error", 1.5)
    assert "ValueError: no" in line["trace"] and line["time"].endswith("+00:00")


def test_a_client_s_mark_does_not_give_it_away() -> None:
    assert _mark("10.0.0.1") == _mark("10.0.0.1") != _mark("10.0.0.2")
    assert len(_mark("10.0.0.1")) == 8
