"""What can break while the app runs: nothing hangs, no lane blocks another, the next one works."""

import asyncio
import contextlib
import errno
import json
import time
from functools import partial

import gradio.route_utils
import httpx
import pytest
import torch
from conftest import make_image
from serving import SELECT, Caller, before_each_step, encoded, serve

from hired.web.engine import Engine
from hired.web.middleware import LOGINS
from hired.web.queues import gpu_queue

QUESTION = "what colour is the circle ?"
PATIENCE_S = 120


@pytest.fixture(scope="module")
def good(caller):
    return caller.upload(encoded(make_image(120, 160)))


def lanes(caller, image, tokens=3):
    kind, values = caller.call("compare", [image, QUESTION, *SELECT, tokens])
    assert kind == "complete", values
    return values[2]["lanes"]


def settled(demo) -> bool:
    """Did the queue of the device run empty?"""
    until = time.monotonic() + PATIENCE_S
    while any(gpu_queue(demo)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(gpu_queue(demo))


def test_a_client_that_leaves_mid_stream_frees_the_device(served, caller, good) -> None:
    _, event = caller.ask("compare", [good, QUESTION, *SELECT, 512])
    with (
        before_each_step(served.engine.get().model, lambda _: time.sleep(0.02)),
        caller.http.stream("GET", f"call/compare/{event}") as stream,
    ):
        assert any("generating" in line for line in stream.iter_lines())
    begin = time.monotonic()
    assert [lane["phase"] for lane in lanes(caller, good)] == ["done", "done"]
    assert time.monotonic() - begin < PATIENCE_S and settled(served)


def test_fifty_that_leave_at_once(tiny) -> None:
    async def visit(url: str, image: dict) -> list[int]:
        body = {"data": [image, QUESTION, *SELECT, 400]}
        async with (
            httpx.AsyncClient(base_url=f"{url}gradio_api/", timeout=PATIENCE_S) as http,
            contextlib.AsyncExitStack() as open_streams,
        ):
            asked = await asyncio.gather(*(http.post("call/compare", json=body) for _ in range(50)))
            for answer in asked:
                event = answer.json()["event_id"]
                stream = http.stream("GET", f"call/compare/{event}")
                await open_streams.enter_async_context(stream)
            return [answer.status_code for answer in asked]  # and all fifty hang up

    with serve(Engine.holding(*tiny), queue=60, per_client=60) as demo:
        caller = Caller(demo.local_url)
        image = caller.upload(encoded(make_image(120, 160)))
        with before_each_step(tiny[0], lambda _: time.sleep(0.005)):
            assert asyncio.run(visit(demo.local_url, image)) == [200] * 50
            assert settled(demo)
        assert [lane["phase"] for lane in lanes(caller, image)] == ["done", "done"]


def test_a_generation_that_raises_is_told_in_its_pane(served, caller, good, monkeypatch) -> None:
    def fail(*_, **__):
        raise RuntimeError("a kernel gave up")

    monkeypatch.setattr(served.engine.get().model, "generate", fail)
    failed = lanes(caller, good)
    assert [lane["phase"] for lane in failed] == ["failed", "failed"]
    assert all("Something went wrong in this lane (RuntimeError)" in x["error"] for x in failed)
    monkeypatch.undo()
    assert [lane["phase"] for lane in lanes(caller, good)] == ["done", "done"]


# The stock lane reads 166 visual tokens, HiRED's 36; both have a few words beside them.
@pytest.mark.parametrize(("lane", "lengths"), [(0, range(150, 400)), (1, range(36, 100))])
def test_memory_that_runs_out_in_one_lane_leaves_the_other(
    served, caller, good, lane, lengths
) -> None:
    lanes(caller, good)  # warm, so that only the two lanes meet the hook

    def take_too_much(length: int) -> None:
        if length in lengths:
            torch.empty(2**62, dtype=torch.uint8)  # the allocator itself refuses

    with before_each_step(served.engine.get().model, take_too_much):
        found = lanes(caller, good)
    assert [found[lane]["phase"], found[1 - lane]["phase"]] == ["failed", "done"]
    assert "ran out of memory in this lane" in found[lane]["error"]
    assert [each["phase"] for each in lanes(caller, good)] == ["done", "done"]


def test_a_full_disk_is_told_and_survived(caller, good, monkeypatch) -> None:
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(gradio.route_utils, "NamedTemporaryFile", full)
    answer = caller.http.post("upload", files={"files": ("a.png", b"x" * 2_000_000)})
    assert answer.status_code == 507 and "disk of this server is full" in answer.json()["detail"]
    monkeypatch.undo()
    caller.upload(b"x" * 2_000_000)
    assert caller.call("select", [good, *SELECT])[0] == "complete"


def test_a_clock_that_jumps_changes_nothing(served, caller, good, monkeypatch) -> None:
    true, jumps = time.time, iter([86_400, -86_400, 0] * 100_000)
    monkeypatch.setattr(time, "time", lambda: true() + next(jumps))
    found = lanes(caller, good, 5)
    assert [lane["phase"] for lane in found] == ["done", "done"]
    assert all(0 < lane["metrics"]["total_s"] < PATIENCE_S for lane in found)


def test_an_unexpected_error_is_a_sentence(served, caller, good, monkeypatch) -> None:
    monkeypatch.setattr(served.engine, "get", partial(dict.__getitem__, {}, "no such key"))
    kind, said = caller.call("select", [good, *SELECT])
    assert kind == "error" and said.startswith("Something went wrong on the server")


def test_a_run_is_ended_at_its_limit(tiny) -> None:
    with serve(Engine.holding(*tiny), seconds=1) as demo:
        caller = Caller(demo.local_url)
        image = caller.upload(encoded(make_image(120, 160)))
        with before_each_step(tiny[0], lambda _: time.sleep(0.02)):
            found = lanes(caller, image, 512)
            kind, said = caller.call("sweep", [image, QUESTION, "0.1 " * 20, "none", "", 40])
    assert {lane["phase"] for lane in found} == {"stopped"}
    assert all("Stopped after 1 s, the longest a request may take" in x["error"] for x in found)
    assert kind == "error" and "Stopped after 1 s" in said


def test_places_in_the_queue_are_limited_and_fair(tiny) -> None:
    with serve(Engine.holding(*tiny), queue=3, per_client=2) as demo:
        caller = Caller(demo.local_url)
        image = caller.upload(encoded(make_image(120, 160)))
        values = [image, QUESTION, *SELECT, 60]
        with before_each_step(tiny[0], lambda _: time.sleep(0.02)):
            first = caller.ask("compare", values)[1]
            while gpu_queue(demo)[0] == 0:
                time.sleep(0.02)
            second, third = (caller.ask("compare", values)[1] for _ in range(2))
            status, said = caller.ask("compare", values)
            assert status == 429 and "At most 2 of your requests may wait" in said
            assert httpx.get(f"{demo.local_url}healthz").json() == {
                "status": "ok",
                "model": {"name": demo.engine.name, "loaded": True},
                "queue": {"running": 1, "waiting": 2, "limit": 3},
            }
            assert caller.call("select", [image, *SELECT])[0] == "complete"  # looking still works
        order = []
        for event in (first, second, third):
            order.append(caller.result("compare", event)[1][2]["date"])
        assert order == sorted(order)


def test_a_full_queue_is_told_at_once_with_its_length(tiny) -> None:
    with serve(Engine.holding(*tiny), queue=1) as demo:
        caller = Caller(demo.local_url)
        image = caller.upload(encoded(make_image(120, 160)))
        index = next(fn._id for fn in demo.fns.values() if fn.api_name == "compare")
        page = {"data": [image, QUESTION, *SELECT, 40], "fn_index": index, "session_hash": "page"}
        with before_each_step(tiny[0], lambda _: time.sleep(0.02)):
            asked = [caller.ask("compare", page["data"]) for _ in range(4)]
            shown = caller.http.post("queue/join", json=page)  # how the page itself asks
            text = caller.http.post("queue/join", json=page | {"fn_index": str(index)})
        assert text.status_code == 429, "a number as text is a number to gradio"
        refused = [said for status, said in asked if status == 429]
        assert len(refused) == 2 and set(refused) == {shown.json()["detail"]}
        assert shown.status_code == 429
        assert refused[0].startswith("The queue is full: at most 1 may wait")
        done = [caller.result("compare", event) for status, event in asked if status == 200]
        assert len(done) == 2 and all(kind == "complete" for kind, _ in done)


def test_limits_hold_below_a_path_of_a_proxy(tiny, monkeypatch) -> None:
    monkeypatch.setenv("GRADIO_ROOT_PATH", "/hired")
    with serve(Engine.holding(*tiny), body_mb=1, rate=60) as demo:
        url = f"{demo.local_url}hired/"
        assert httpx.get(f"{url}healthz").json()["status"] == "ok"
        caller = Caller(url)
        assert caller.ask("select", ["x" * 1_100_000])[0] == 413
        assert 429 in [caller.ask("nothing", [])[0] for _ in range(40)]


def test_a_closing_server_takes_nothing_new(tiny) -> None:
    engine = Engine.holding(*tiny)
    with serve(engine) as demo:
        caller = Caller(demo.local_url)
        image = caller.upload(encoded(make_image(60, 60)))
        engine.closing.set()
        status, said = caller.ask("compare", [image, QUESTION, *SELECT, 3])
        assert status == 503 and "shutting down" in said
        health = httpx.get(f"{demo.local_url}healthz")
        assert health.status_code == 503 and health.json()["status"] == "closing"


def test_a_visitor_in_a_hurry_is_slowed_down(tiny) -> None:
    with serve(Engine.holding(*tiny), rate=60) as demo:
        caller = Caller(demo.local_url)
        answers = [caller.ask("nothing", [])[0] for _ in range(100)]
        assert 429 in answers and set(answers) <= {404, 429}
        answer = caller.http.post("call/nothing", json={"data": []})
        while answer.status_code != 429:
            answer = caller.http.post("call/nothing", json={"data": []})
        assert "60 requests a minute" in answer.json()["detail"]
        assert int(answer.headers["retry-after"]) >= 1
        assert httpx.get(f"{demo.local_url}healthz").is_success


def test_typing_fast_does_not_take_what_runs_need(tiny, monkeypatch) -> None:
    """Fifty keys pressed are 150 changes of the form: let through, and no run is refused after."""
    monkeypatch.setattr("hired.web.limits.monotonic", lambda: 0.0)  # all within one moment
    with serve(Engine.holding(*tiny), rate=60, events=1200) as demo:
        caller = Caller(demo.local_url)
        change = next(fn._id for fn in demo.fns.values() if fn.api_name == "select")
        body = {"data": [None] * 9, "fn_index": change, "session_hash": "typist"}
        every = [caller.http.post("queue/join", json=body).status_code for _ in range(150)]
        assert set(every) == {200}
        run = next(fn._id for fn in demo.fns.values() if fn.api_name == "compare")
        runs = [
            caller.http.post("queue/join", json=body | {"fn_index": run, "data": []})
            for _ in range(20)
        ]
        refused = [answer for answer in runs if "60 requests a minute" in answer.text]
        assert runs[0].status_code == 200 and refused
        every += [caller.http.post("queue/join", json=body).status_code for _ in range(150)]
        assert every[-1] == 429


def test_a_password_is_not_guessed_and_a_form_not_flooded(tiny) -> None:
    with serve(Engine.holding(*tiny), body_mb=1) as demo:
        url = f"{demo.local_url}login"
        flood = httpx.post(url, files={"username": b"x" * 3_000_000})
        assert flood.status_code == 413 and "1 MB, the limit" in flood.json()["detail"]
        tries = [httpx.post(url, data={"username": "a", "password": "b"}) for _ in range(20)]
        assert tries[0].status_code == 302 and tries[-1].status_code == 429
        assert f"{LOGINS} requests a minute" in tries[-1].json()["detail"]


def test_the_log_says_what_happened_and_not_what_was_asked(tiny, caplog) -> None:
    with serve(Engine.holding(*tiny)) as demo, caplog.at_level("INFO", logger="hired"):
        caller = Caller(demo.local_url)
        image = caller.upload(encoded(make_image(60, 60)), "my-secret-holiday.png")
        kind, values = caller.call("compare", [image, "is my secret safe ?", *SELECT, 3])
        assert kind == "complete"
        assert caller.http.get("file=/gone/my-secret-holiday.png").is_error
    from hired.web.serve import JsonLines

    lines = [JsonLines().format(record) for record in caplog.records if "hired" in record.name]
    events = [json.loads(line) for line in lines]
    assert {"request", "comparison"} <= {event["event"] for event in events}
    run = next(event for event in events if event["event"] == "comparison")
    assert [lane["phase"] for lane in run["lanes"]] == ["done", "done"] and run["seconds"] > 0
    assert "secret" not in "".join(lines) and "127.0.0.1" not in "".join(lines)
    assert all(text not in "".join(lines) for text in values[:2] if len(text) > 3)
