"""Jobs whose event stream nobody opens: given up, told to who comes late, no loss to the others."""

import json
import time
from functools import partial

import pytest
from conftest import make_image
from gradio_client import Client, handle_file
from serving import SELECT, Caller, before_each_step, encoded, serve

from hired.web.engine import Engine
from hired.web.queues import gpu_queue

QUESTION = "what colour is the circle ?"
PATIENCE_S = 120
STEP_S = 0.02
TOKENS = 400  # two lanes of them take at least 16 s


@pytest.fixture
def demo(tiny):
    with serve(Engine.holding(*tiny), unheard=1) as demo, slow(tiny):
        yield demo


@pytest.fixture
def caller(demo):
    return Caller(demo.local_url)


@pytest.fixture
def image(caller):
    return caller.upload(encoded(make_image(120, 160)))


def slow(tiny):
    return before_each_step(tiny[0], lambda _: time.sleep(STEP_S))


def until(reached) -> None:
    end = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_jobs_that_nobody_listens_to_hold_nobody_up(demo, caller, image) -> None:
    begin = time.monotonic()
    jobs = [caller.ask("compare", [image, QUESTION, *SELECT, TOKENS])[1] for _ in range(5)]
    until(lambda: gpu_queue(demo)[0] == 1)
    kind, values = caller.call("compare", [image, QUESTION, *SELECT, 3])
    waited = time.monotonic() - begin
    assert kind == "complete" and [x["phase"] for x in values[2]["lanes"]] == ["done", "done"]
    assert waited < 2 * TOKENS * STEP_S / 2, "less than half of one of the five"
    assert len(gpu_queue(demo)[1]) >= 3, "those that nobody listens to come after it"
    until(lambda: not any(gpu_queue(demo)))
    assert time.monotonic() - begin < 5 * 2 * TOKENS * STEP_S / 2
    for job in jobs:
        kind, said = caller.result("compare", job)
        assert kind == "error" and "nobody opened the stream of this job within 1 s" in said


def test_a_sweep_that_nobody_listens_to_is_given_up(demo, caller, image) -> None:
    caller.ask("sweep", [image, QUESTION, "0.1 " * 20, "none", "", 60])
    until(lambda: gpu_queue(demo)[0] == 1)
    begin = time.monotonic()
    until(lambda: not any(gpu_queue(demo)))
    assert time.monotonic() - begin < 20 * 60 * STEP_S / 2


def test_a_stream_that_is_opened_late_loses_nothing(tiny) -> None:
    with serve(Engine.holding(*tiny), unheard=4) as demo, slow(tiny):
        caller = Caller(demo.local_url)
        image = caller.upload(encoded(make_image(120, 160)))
        _, job = caller.ask("compare", [image, QUESTION, *SELECT, 150])
        until(lambda: gpu_queue(demo)[0] == 1)
        time.sleep(2)
        begin = time.monotonic()
        text = caller.http.get(f"call/compare/{job}").text
        assert time.monotonic() - begin > 2, "it ran on past the limit"
    assert text.count("event: generating") > 5 and text.rstrip().count("event: complete") == 1


def test_a_short_job_waits_for_whoever_fetches_it_late(caller, image) -> None:
    _, job = caller.ask("compare", [image, QUESTION, *SELECT, 3])
    time.sleep(2)
    kind, values = caller.result("compare", job)
    assert kind == "complete" and [x["phase"] for x in values[2]["lanes"]] == ["done", "done"]


def test_jobs_asked_at_once_and_read_one_by_one_are_all_answered(caller, image) -> None:
    jobs = [caller.ask("compare", [image, QUESTION, *SELECT, 40])[1] for _ in range(4)]
    assert [caller.result("compare", job)[0] for job in jobs] == ["complete"] * 4


def test_the_ordinary_client_is_heard_from_beginning_to_end(demo, tmp_path) -> None:
    make_image(120, 160).save(tmp_path / "image.png")
    asked = (handle_file(tmp_path / "image.png"), QUESTION)
    client = Client(demo.local_url, verbose=False)
    several = [
        client.submit(*asked, *SELECT, 60, api_name="/compare"),
        client.submit(*asked, "10% 20% 40%", "none", "", 30, api_name="/sweep"),
        client.submit(*asked, *SELECT, 60, api_name="/compare"),
    ]
    first, rows, last = (job.result(timeout=PATIENCE_S) for job in several)
    for answer in (first, last):
        assert [lane["phase"] for lane in answer[2]["lanes"]] == ["done", "done"]
    assert len(rows) == 4


def test_a_page_hears_of_a_change_that_comes_as_its_stream_closes(demo, caller, image) -> None:
    """Gradio's page takes a stream for open until it hears that it is closed, and joins by it."""
    index = next(i for i, fn in demo.fns.items() if fn.api_name == "select")
    asked = {"data": [image, *SELECT], "fn_index": index, "session_hash": "abc"}
    join = partial(caller.http.post, "queue/join", json=asked)
    events = [join().json()["event_id"]]
    page = {"sec-fetch-mode": "cors"}
    with caller.http.stream(
        "GET", "queue/data", params={"session_hash": "abc"}, headers=page
    ) as stream:
        for line in filter(None, stream.iter_lines()):
            message = json.loads(line.removeprefix("data: "))
            if message["msg"] == "process_completed":
                assert message["event_id"] == events[-1] and message["success"]
                if len(events) < 5:
                    time.sleep(0.1)  # the stream is closing
                    events.append(join().json()["event_id"])
            if message["msg"] == "close_stream":
                break
    assert len(events) == 5
