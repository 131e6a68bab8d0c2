"""ZeroGPU with the real `spaces` package: the Space starts, looks, answers, stops, is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hired.web import zerogpu

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What a Space of its own said, in a process of its own: the package patches all of torch."""
    folder = tmp_path_factory.mktemp("space")
    environment = os.environ | {
        "HIRED_TEST_FOLDER": str(folder), "HOME": str(folder), "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "zerogpu_space.py")],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().split("\n")[-1])


def test_the_space_starts_with_all_weights_on_the_gpu(told) -> None:
    assert told["auto"] == "llava-hf/llava-v1.6-mistral-7b-hf"
    assert (told["device"], told["dtype"]) == ("cuda:0", "float16")
    assert told["on_the_gpu"]


def test_a_worker_looks_answers_and_stops(told) -> None:
    assert told["kept"] > 0
    assert told["ended"] == [["done", 5, None], ["done", 5, None]]
    assert told["stopped"] == ["stopped", "stopped"]


def test_no_duration_is_more_than_a_visitor_has(told) -> None:
    seconds = [int(time) for path, time in told["asked"] if path == "/schedule"]
    assert len(seconds) == 5 and max(seconds) <= zerogpu.QUOTA_S


def test_a_quota_that_is_used_up_is_told_in_words(told) -> None:
    spent, too_long = told["refused"]
    assert "quota" in spent.lower() or "limit" in spent.lower()
    assert "larger than the maximum" in too_long
    assert all("lent no GPU" in words and "Try again" in words for words in told["refused"])
