"""Many clients at once, and many requests in a row: nothing lost, mixed up or left behind."""

import asyncio
import gc
import json

import psutil
import pytest
from conftest import make_image
from load import load
from serving import SELECT, Caller, encoded, serve

from hired.metrics import release_memory
from hired.web import page
from hired.web.engine import Engine


def test_a_dozen_clients_are_all_answered_in_order(tiny) -> None:
    with serve(Engine.holding(*tiny)) as demo:
        out = asyncio.run(load(demo.local_url, clients=12, requests=1, tokens=3))
    assert len(out.answered_s) == 12 and not out.lost and not out.mixed_up and not out.refused_s
    assert out.fair


def test_too_many_are_told_at_once_and_nobody_is_lost(tiny) -> None:
    with serve(Engine.holding(*tiny), queue=3) as demo:
        out = asyncio.run(load(demo.local_url, clients=12, requests=1, tokens=3))
    assert len(out.answered_s) + len(out.refused_s) == 12 and not out.lost and not out.mixed_up
    assert out.refused_s and len(out.answered_s) >= 3


def test_old_sessions_are_forgotten(tiny, monkeypatch) -> None:
    monkeypatch.setattr(page, "SESSIONS", 3)
    with serve(Engine.holding(*tiny)) as demo:
        caller = Caller(demo.local_url)
        for _ in range(6):  # each a session of its own, as every call over HTTP is
            kind, _ = caller.call("compare", ["no image", "what is it ?", *SELECT, 8])
            assert kind == "error"
        assert len(demo.app.state_holder.session_data) <= 4  # gradio looks before it adds


@pytest.mark.soak
def test_fifty_clients_four_times_on_the_embedded_model(capsys) -> None:
    with serve(Engine()) as demo:
        out = asyncio.run(load(demo.local_url, clients=50, requests=4))
    with capsys.disabled():
        print(json.dumps(out.report()), "in order:", out.fair)
    assert not out.lost, out.lost
    assert len(out.answered_s) + len(out.refused_s) == 200 and not out.mixed_up


@pytest.mark.soak
def test_memory_returns_to_its_resting_level_over_200_requests(tiny, capsys) -> None:
    process = psutil.Process()

    def resting() -> int:
        gc.collect()
        release_memory()
        return process.memory_info().rss

    levels = []
    with serve(Engine.holding(*tiny)) as demo:
        caller = Caller(demo.local_url)
        for number in range(200):
            image = caller.upload(encoded(make_image(120 + number, 160, seed=number)))
            kind, _ = caller.call("compare", [image, "what is it ?", *SELECT, 8])
            assert kind == "complete"
            if number % 20 == 19:
                levels.append(resting())
    with capsys.disabled():
        print("resting MB:", [round(level / 1e6) for level in levels])
    # The caches fill within the first fifth; after that nothing may grow.
    assert levels[-1] - levels[1] < 30e6
