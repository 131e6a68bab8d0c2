"""`hired bench inside`: the stock model's modules alone beside a whole lane."""

import pytest
import torch
from conftest import make_tiny

from hired.bench.inside import PARTS, describe_inside, measure_inside
from hired.errors import SettingError
from hired.selectors import build


def test_the_modules_alone_see_as_many_tokens_as_the_lane() -> None:
    model, processor = make_tiny()
    threads = torch.get_num_threads()
    rows = measure_inside(model, processor, [build("full"), build("hired", budget=0.2)], 2)
    assert torch.get_num_threads() == threads
    assert [row["selector"] for row in rows] == ["full", "hired"]
    assert (rows[0]["tokens"], rows[1]["tokens"]) == (192, 36)
    assert rows[1]["language model"] < rows[0]["language model"]
    for row in rows:
        assert all(row[part] > 0 for part in PARTS)


def test_the_share_is_of_the_whole() -> None:
    row = {"selector": "hired", "tokens": 1152, "total_s": 2.0}
    words = describe_inside([row | dict(zip(PARTS, (0.5, 0.1, 1.2), strict=True))])
    assert words.endswith("| `hired` | 1,152 | 2.000 | 0.500 | 0.100 | 1.200 | 90.0% |")


def test_less_than_one_repeat_is_refused() -> None:
    with pytest.raises(SettingError, match="at least 1"):
        measure_inside(*make_tiny(), [build("full")], 0)
