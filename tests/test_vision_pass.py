"""The vision pass beside stock's: run for real, and its sentence worked out by hand."""

import pytest

from hired.bench.vision_pass import describe_passes, measure_passes
from hired.cli import main
from hired.errors import SettingError
from hired.selectors import build


def test_the_vision_pass_beside_stocks(tiny):
    found = measure_passes(*tiny, build("hired"), repeats=3)
    assert len(found["stock_s"]) == len(found["hired_s"]) == 3
    assert all(seconds > 0 for times in found.values() for seconds in times)
    said = describe_passes({"stock_s": [1.0, 2.0, 4.0], "hired_s": [1.5, 2.0, 5.0]})
    assert "1.250 times" in said and "1.000 to 1.500" in said
    with pytest.raises(SettingError, match="got 0"):
        measure_passes(*tiny, build("hired"), repeats=0)


def test_from_the_command_line(capsys):
    assert main(["bench", "vision", "--model", "shapes", "--repeats", "1"]) == 0
    assert "median of 1 pairs" in capsys.readouterr().out
