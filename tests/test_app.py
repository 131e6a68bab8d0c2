"""The running app through its own client: both texts, growing; stop; two at once; plain errors."""

import contextlib
import io
import json
import re
import socket
from pathlib import Path

import httpx
import pytest
from conftest import make_image
from gradio_client import Client, handle_file

from hired.selectors import build
from hired.web.blocks import POLL_S
from hired.web.engine import Engine
from hired.web.page import build as build_page
from hired.web.page import launch_options
from hired.web.queues import LOOKS
from hired.wrapper import select

ROOT = Path(__file__).parents[1]
QUESTION = "what colour is the circle ?"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def served(tiny):
    """The page around the tiny model, really served."""
    demo = build_page(Engine.holding(*tiny))
    demo.launch(
        server_name="127.0.0.1",
        server_port=free_port(),
        prevent_thread_lock=True,
        quiet=True,
        **launch_options(),
    )
    yield demo
    demo.close()


@pytest.fixture(scope="module")
def client(served):
    return Client(served.local_url, verbose=False)


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("upload") / "noise.png"
    make_image(120, 160).save(path)
    return handle_file(str(path))


def ask(client, picture, **settings):
    return client.submit(image=picture, question=QUESTION, api_name="/compare", **settings)


def test_both_texts_grow_while_streaming(client, picture) -> None:
    frames = list(ask(client, picture, max_new_tokens=500))
    for side in (0, 1):
        lengths = [len(frame[side]) for frame in frames]
        assert lengths == sorted(lengths)
        assert len({length for length in lengths if length}) >= 2, "the text came in one piece"
    lanes = frames[-1][2]["lanes"]
    assert [lane["method"] for lane in lanes] == ["full", "hired"]
    assert [lane["text"] for lane in lanes] == list(frames[-1][:2])
    assert all(lane["metrics"]["new_tokens"] == 500 for lane in lanes)
    assert lanes[1]["metrics"]["visual_tokens"] < lanes[0]["metrics"]["visual_tokens"]


def test_cancelling_stops_and_frees_the_queue(client, picture) -> None:
    job = ask(client, picture, max_new_tokens=512)
    for frame in job:
        if frame[0]:
            break
    job.cancel()
    last = list(ask(client, picture, max_new_tokens=5))[-1]
    assert [lane["phase"] for lane in last[2]["lanes"]] == ["done", "done"]


def test_two_requests_at_once_are_both_answered(served, picture) -> None:
    jobs = [
        ask(Client(served.local_url, verbose=False), picture, max_new_tokens=20, budget=budget)
        for budget in ("0.2", "0.4")
    ]
    first, second = (list(job)[-1] for job in jobs)
    assert first[0] == second[0] != ""
    kept = [last[2]["lanes"][1]["metrics"]["kept_tokens"] for last in (first, second)]
    assert kept == [36, 72]


def test_select_gives_the_selection_of_the_library(client, picture, tiny) -> None:
    model, processor = tiny
    pixels = processor.image_processor(images=make_image(120, 160), return_tensors="pt")
    expected = select(
        model, pixels["pixel_values"], pixels["image_sizes"], build("hired", budget=0.3)
    )[0]
    got = client.predict(image=picture, budget="30%", api_name="/select")
    assert got["patches"] == [row.nonzero().flatten().tolist() for row in expected.mask]
    assert (got["kept"], got["nominal"], got["stock"]) == (expected.kept, 180, expected.stock)


@pytest.mark.parametrize(("budget", "kept"), [("1", 1), ("1.0", 156), ("100%", 156), ("40", 40)])
def test_budget_keeps_counts_and_rates_apart(client, picture, budget, kept) -> None:
    assert client.predict(image=picture, budget=budget, api_name="/select")["kept"] == kept


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"budget": "0"}, "A budget is a rate"),
        ({"budget": "much"}, "A budget is a rate such as"),
        ({"alpha": 2}, "alpha"),
        ({"init_layer": 40}, "init_layer must be a layer of this vision tower"),
        ({"heads": "9"}, "heads must be"),
        ({"method": "../../etc"}, "method is one of"),
        ({"max_new_tokens": 100000}, "max_new_tokens is a whole number from 1 to"),
        ({"question": "  "}, "The question is empty"),
    ],
)
def test_errors_are_plain_sentences(client, picture, settings, words) -> None:
    arguments = {"image": picture, "question": QUESTION, **settings}
    with pytest.raises(Exception, match=re.escape(words)) as caught:
        result = client.predict(api_name="/compare", **arguments)
        raise RuntimeError("; ".join(str(lane["error"]) for lane in result[2]["lanes"]))
    assert "Traceback" not in str(caught.value) and len(str(caught.value)) < 400


def test_broken_image_is_a_plain_sentence(client, tmp_path) -> None:
    path = tmp_path / "broken.png"
    buffer = io.BytesIO()
    make_image(50, 50).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue()[:200])
    with pytest.raises(Exception, match="damaged or cut off"):
        client.predict(image=handle_file(str(path)), question=QUESTION, api_name="/compare")


def test_files_of_the_server_cannot_be_read(served, tmp_path, caplog) -> None:
    path = tmp_path / "private.png"
    make_image(50, 50).save(path)
    payload = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
    url = f"{served.local_url}gradio_api/call/select"
    data = [payload, "hired", "0.2", 0.5, 0, "none", "sum", "none", 0]
    event = httpx.post(url, json={"data": data}).json()["event_id"]
    answer = httpx.get(f"{url}/{event}", timeout=60).text
    assert "event: error" in answer and "kept" not in answer


def test_sweep_streams_rows(client, picture) -> None:
    job = client.submit(
        image=picture, question=QUESTION, budgets="20% 64", max_new_tokens=3, api_name="/sweep"
    )
    frames = list(job)
    assert [len(rows) for rows in frames] == sorted(len(rows) for rows in frames)
    assert [row["budget"] for row in frames[-1]] == ["stock", 0.2, 64]
    assert [row["kept_tokens"] for row in frames[-1]] == [156, 36, 64]


def test_endpoints_are_documented(served, client) -> None:
    known = client.view_api(return_format="dict")["named_endpoints"]
    assert {"/compare", "/select", "/sweep"} == set(known)
    described = json.dumps(served.get_api_info())
    assert "Streams both answers as they grow" in described


def test_command_line_has_its_flags(capsys) -> None:
    import app

    with pytest.raises(SystemExit):
        app.parse(["--help"])
    said = capsys.readouterr().out
    for flag in ("--host", "--port", "--model", "--device", "--quantization", "--dtype", "--share"):
        assert flag in said


def test_unknown_model_is_one_sentence(monkeypatch, capsys) -> None:
    import app

    with contextlib.chdir(ROOT):
        assert app.main(["--model", "no/such-model"]) == 1
    said = capsys.readouterr().err
    assert "neither a directory nor a model" in said and "Traceback" not in said


def test_the_queue_has_its_places_and_is_not_polled_every_millisecond(served) -> None:
    assert served._queue.max_size == served.engine.limits.queue + LOOKS
    assert served._queue.sleep_when_free == POLL_S
