"""What one visitor can do to the others: decoding, switching models, addresses, lost uploads."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import make_image
from starlette.exceptions import HTTPException

from hired.errors import InputError
from hired.shapes.scenes import render, scene_for
from hired.web import form, permalink, uploads
from hired.web.engine import Engine
from hired.web.examples import Example
from hired.web.export import from_json, to_json
from hired.web.handlers import Handlers
from hired.web.limits import Limits
from hired.web.middleware import _check_name, network
from hired.web.model_panel import is_here
from hired.web.settings import Settings
from hired.web.uploads import read_image
from hired.web.visitors import MAX_RUNS, Visitors

QUESTION = "what is in the picture ?"


def test_images_are_decoded_one_after_the_other(tmp_path, monkeypatch) -> None:
    paths = [tmp_path / f"{index}.png" for index in range(6)]
    for path in paths:
        make_image(30, 40).save(path)
    at_once, most, calls = 0, 0, 0
    real = uploads.open_image

    def slow(path):
        nonlocal at_once, most, calls
        at_once, calls = at_once + 1, calls + 1
        most = max(most, at_once)
        time.sleep(0.02)
        at_once -= 1
        return real(path)

    monkeypatch.setattr(uploads, "open_image", slow)
    threads = [threading.Thread(target=read_image, args=(str(path),)) for path in paths * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and calls == len(paths)
    assert read_image(str(paths[-1])) is read_image(str(paths[-1])) and calls == len(paths)


def test_an_upload_that_was_cleared_away_is_asked_for_again(tmp_path) -> None:
    with pytest.raises(InputError, match=r"no longer on this server\. Upload"):
        read_image(str(tmp_path / "gone.png"))


@pytest.mark.parametrize(
    ("client", "headers", "here"),
    [
        ("127.0.0.1", {"host": "127.0.0.1:7860"}, True),
        ("::1", {"host": "[::1]:7860"}, True),
        ("127.0.0.1", {"host": "localhost:7860"}, True),
        ("127.0.0.1", {"host": "demo.example.org"}, False),
        ("127.0.0.1", {"host": "localhost", "x-forwarded-for": "203.0.113.5"}, False),
        ("127.0.0.1", {"host": "localhost", "cf-connecting-ip": "203.0.113.5"}, False),
        ("203.0.113.5", {"host": "localhost"}, False),
        ("127.0.0.1", {}, False),
    ],
)
def test_who_comes_through_a_proxy_is_not_here(client, headers, here) -> None:
    asked = SimpleNamespace(client=SimpleNamespace(host=client), headers=headers)
    assert is_here(asked) is here


def test_an_address_of_ipv6_counts_as_its_line() -> None:
    assert network("2001:db8:1:2::7") == network("2001:db8:1:2:ffff::1") == "2001:db8:1:2::/64"
    assert network("2001:db8:1:3::7") != network("2001:db8:1:2::7")
    assert network("::ffff:203.0.113.5") == network("203.0.113.5") == "203.0.113.5"
    assert network("testclient") == "testclient"


def test_calls_of_what_is_not_there() -> None:
    blocks = SimpleNamespace(fns={0: SimpleNamespace(api_name="compare")})
    for path in ("call/compare", "call/v2/compare", "queue/join"):
        _check_name(blocks, path)
    for path in ("call/nothing", "call/v2/nothing"):
        with pytest.raises(HTTPException, match="no such endpoint"):
            _check_name(blocks, path)


def test_the_form_stays_within_a_servers_limits(tiny) -> None:
    engine = Engine.holding(*tiny)
    engine.limits = Limits(new_tokens=32)
    values = Handlers(engine).fit_form(Settings())
    tokens = values["max_new_tokens"]
    assert tokens["maximum"] == tokens["value"] == 32


def test_a_link_asks_for_what_the_page_can_ask_for() -> None:
    settings, changed = permalink.from_query({"budget": "0.005"})
    assert settings.lanes[1].budget == 0.01 and changed == ["budget=0.005"]


def run_page(handlers: Handlers, path: Path, known: dict[str, str]) -> Iterator[dict[str, Any]]:
    """What the page is sent while it answers QUESTION."""
    request = SimpleNamespace(session_hash="me")
    values = form.write(Settings(max_new_tokens=4))
    return handlers.run(request, str(path), QUESTION, known, **values)


@pytest.mark.parametrize(("asked", "marked"), [(QUESTION, True), ("Typed over?", False)])
def test_a_known_answer_belongs_to_its_question(tiny, tmp_path, asked, marked) -> None:
    path = tmp_path / "poster.png"
    render(scene_for("test", "sparse", 1, 0)).save(path)
    known = Example("key", "A poster", str(path), asked, "It shows a 7.").known
    *_, end = run_page(Handlers(Engine.holding(*tiny)), path, known)
    assert ("✗ wrong" in "".join(map(str, end.values()))) == marked


def test_a_finished_run_is_kept_though_its_upload_is_gone(tiny, tmp_path) -> None:
    path = tmp_path / "upload.png"
    make_image(60, 80).save(path)
    frames = run_page(Handlers(Engine.holding(*tiny)), path, {})
    next(frames)
    path.unlink()
    uploads._images.clear()
    *_, end = frames
    found = from_json(to_json(end["last"]))
    assert [view.phase for view in found.views] == ["done", "done"]
    kept = {key: found.image.get(key) for key in ("name", "height", "width", "digest", "example")}
    assert kept == {
        "name": "upload.png", "height": 60, "width": 80, "digest": None, "example": None,
    }  # fmt: skip
    assert found.image["thumbnail"] and found.image["foreign"]


def test_a_file_that_was_gone_and_came_back_is_known_again(tmp_path) -> None:
    path, kept = tmp_path / "brought.png", make_image(60, 80)
    assert uploads.digest(str(path)) is None
    kept.save(path)
    assert uploads.is_same(uploads.keep_picture(str(path), kept), str(path))


def test_stop_signs_are_per_visitor_and_bounded() -> None:
    visitors = Visitors()
    visitors.expect("a")
    assert visitors.stop("a") and not visitors.stop("b") and not visitors.stop(None)
    with visitors.stopping("a") as stops:  # stopped while it waited in the queue
        assert stops.everything.is_set()
    assert not visitors.stop("a")
    with visitors.stopping("c") as stops:
        visitors.stop("c", 1)
        assert [sign.is_set() for sign in stops.lanes] == [False, True, False, False]
    for index in range(MAX_RUNS * 2):
        visitors.expect(f"visitor {index}")
    assert len(visitors._stops) <= MAX_RUNS


def test_a_crowd_in_the_queue_takes_no_stop_from_who_runs() -> None:
    visitors = Visitors()
    visitors.expect("ada")
    with visitors.stopping("ada") as stops:
        for index in range(MAX_RUNS * 2):
            visitors.expect(f"visitor {index}")
        assert len(visitors._stops) <= MAX_RUNS
        assert visitors.stop("ada") and stops.everything.is_set()


def test_a_visitor_has_one_run_and_is_not_locked_out_by_a_refused_one() -> None:
    visitors = Visitors()
    visitors.expect("d")
    with visitors.stopping("d") as stops:
        with pytest.raises(InputError, match="still being answered; press Stop first"):
            visitors.expect("d")
        visitors.forget("d")  # it runs: stays
        assert visitors.stop("d") and stops.everything.is_set()
    visitors.expect("d")
    visitors.forget("d")  # refused on its way to the queue
    visitors.forget("d")
    visitors.expect("d")
    assert visitors.stop("d")  # lost on its way: pressing Stop is enough
    visitors.expect("d")
    assert not visitors._stops["d"].everything.is_set()
