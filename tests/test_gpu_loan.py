"""ZeroGPU's one decorated generator: the real package, inert, and a fake that forks and pickles.

With the real package's patches: `test_zerogpu.py`.
"""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_image

from hired.comparison.lane import Lane
from hired.comparison.preview import Preview
from hired.errors import HiredError
from hired.selectors import build
from hired.web import zerogpu

ROOT = Path(__file__).parents[1]
FAKE = '''
"""What `spaces` does on ZeroGPU: the generator runs in a fork, everything is pickled on its way."""
import multiprocessing, pickle
calls = []
def GPU(duration=None):
    assert callable(duration)
    def decorate(function):
        def forked(*args):
            calls.append((args[0], duration(*args)))
            context = multiprocessing.get_context("fork")
            here, there = context.Pipe()
            data = pickle.dumps(args)
            def child():
                for value in function(*pickle.loads(data)):
                    there.send_bytes(pickle.dumps(value))
                there.send_bytes(b"")
            process = context.Process(target=child, daemon=True)
            process.start()
            there.close()
            try:
                while value := here.recv_bytes():
                    yield pickle.loads(value)
            finally:
                process.kill()
                process.join()
        return forked
    return decorate
'''
SCRIPT = """
import sys, threading
sys.path.insert(0, "tests")
import spaces
from conftest import make_image, make_tiny
from hired.selectors import build
from hired.web import zerogpu
from hired.web.engine import Engine
from hired.web.visitors import Stops
from hired.web.runs import run
from hired.web.settings import Settings
assert zerogpu.BORROWED
engine, image = Engine.holding(*make_tiny()), make_image(120, 160)
loaded = engine.get()
settings = Settings(("full", "prumerge"), max_new_tokens=6)
kept = [loaded.preview.select(image, build("hired")).kept for _ in range(2)]
assert kept == [36, 36]
views = list(run(loaded, image, "what is in the picture ?", settings, Stops()))[-1]
assert [view.phase for view in views] == ["done", "done"], views
assert [view.metrics["new_tokens"] for view in views] == [6, 6]
stops, seen = Stops(), []
for views in run(loaded, image, "what ?", Settings(max_new_tokens=500), stops):
    stops.everything.set()
assert [view.phase for view in views] == ["stopped", "stopped"], views
from hired.comparison.run import _warm
assert not list(_warm)  # nothing ran in this process
print([call[0] for call in spaces.calls], spaces.calls[1][1] > spaces.calls[0][1])
"""


@pytest.mark.timeout(1300)
def test_it_runs_in_a_fork_that_gets_and_gives_plain_values(tmp_path) -> None:
    (tmp_path / "spaces.py").write_text(FAKE)
    environment = os.environ | {
        "SPACES_ZERO_GPU": "true", "PYTHONPATH": f"{tmp_path}:{ROOT}", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # One look for two previews, then two comparisons.
    assert done.stdout.split("\n")[-2] == "['look', 'compare', 'compare'] True"


def test_the_real_package_is_inert_here() -> None:
    import spaces

    assert not zerogpu.BORROWED and inspect.isgeneratorfunction(zerogpu.work)
    assert spaces.GPU(duration=zerogpu.estimate)(zerogpu.work) is zerogpu.work


def test_work_gives_what_the_library_gives(tiny) -> None:
    zerogpu.hold(*tiny)
    image, selector = make_image(120, 160), build("hired", budget=0.3)
    expected = Preview(*tiny).select(image, selector)
    found = zerogpu.BorrowedPreview(*tiny).select(image, selector)
    assert bool((found.mask == expected.mask).all())
    steps = list(zerogpu.borrow(image, "what ?", [Lane("a", selector)], max_new_tokens=4))
    assert steps[-1].phase == "done" and steps[-1].metrics.new_tokens == 4


def test_a_worker_ended_by_zerogpu_leaves_what_was_said(tiny, monkeypatch) -> None:
    from gradio import Error

    def aborted(*asked):
        yield {"lane": 0, "phase": "done", "text": "a star", "new_tokens": 2, "elapsed_s": 1.0,
               "error": None, "metrics": None}  # fmt: skip
        raise Error("GPU task aborted", title="ZeroGPU worker error")

    monkeypatch.setattr(zerogpu, "work", aborted)
    lanes = [Lane("a", build("full")), Lane("b", build("hired"))]
    steps = list(zerogpu.borrow(make_image(90, 90), "what ?", lanes, max_new_tokens=4))
    assert [step.phase for step in steps] == ["done", "failed"] and steps[0].text == "a star"
    assert "GPU task aborted" in steps[1].error and "fewer new tokens" in steps[1].error


def test_what_the_worker_refuses_is_told_in_its_words(tiny) -> None:
    zerogpu.hold(*tiny)
    lanes = [Lane("a", build("hired", init_layer=20))]
    with pytest.raises(HiredError, match="init_layer must be"):
        list(zerogpu.borrow(make_image(90, 90), "what ?", lanes, max_new_tokens=4))


@pytest.mark.parametrize(("tokens", "lanes", "seconds"), [(1, 1, 10), (64, 2, 18), (512, 3, 76)])
def test_the_duration_follows_the_settings(tokens, lanes, seconds) -> None:
    options = {"max_new_tokens": tokens}
    assert zerogpu.estimate("compare", None, "?", [None] * lanes, options) == seconds
    assert zerogpu.estimate("compare", None, "?", [None] * 9, options) <= zerogpu.LONGEST_S
    assert zerogpu.LONGEST_S * zerogpu.FACTOR <= zerogpu.QUOTA_S
    assert zerogpu.estimate("look", None) == 10
