"""The page as it is built, without a server: queues, files that stay, names, who is greeted how."""

import asyncio
from functools import partial
from types import SimpleNamespace

import pytest
from asking import shared
from conftest import make_image
from gradio.route_utils import delete_files_created_by_app
from test_greeting import first_run

from hired.web import form, pictures
from hired.web.blocks import BROKEN
from hired.web.engine import Engine
from hired.web.explain_tab import _walk
from hired.web.handlers import Handlers
from hired.web.limits import Limits
from hired.web.middleware import Gate
from hired.web.page import build
from hired.web.queues import GPU, LOOK
from hired.web.settings import Settings

VISITOR = SimpleNamespace(query_params={}, session_hash="ada")


@pytest.fixture
def demo(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    return build(Engine.holding(*tiny))


def test_opening_the_page_takes_no_turn_of_the_device_or_the_previews(demo) -> None:
    opening = {fn._id for fn in demo.fns.values() if ("load" in (event for _, event in fn.targets))}
    follow = {fn._id for fn in demo.fns.values() if fn.trigger_after in opening}
    queues = {demo.fns[index].concurrency_id for index in opening | follow}
    assert len(opening) >= 3 and not queues & {GPU["concurrency_id"], LOOK["concurrency_id"]}


def test_the_first_example_is_answered_once_and_shown_to_who_waited(tiny, tmp_path) -> None:
    handlers = Handlers(Engine.holding(*tiny))
    greeting = handlers.greeting
    greeting._recorded = tmp_path  # nothing shipped
    assert handlers.open(VISITOR)["wanted"] is True
    assert handlers.open(SimpleNamespace(query_params={"budget": "0.3"}))["wanted"] is False
    greeting.keep(*first_run(greeting))  # while a second visitor waits
    (shown,) = handlers.first()
    assert "It shows a 7." in shown["pane_0"] and "A recorded run" in shown["verdict"]
    assert handlers.open(VISITOR)["wanted"] is False


def test_the_examples_icons_outlive_what_is_deleted(demo, tmp_path) -> None:
    icons = [block.icon["path"] for block in demo.blocks.values() if getattr(block, "icon", None)]
    shown = set(map(str, (tmp_path / "cache").rglob("*.*")))
    assert len(icons) >= 8 and set(icons) <= shown
    other = tmp_path / "cache" / ("0" * 64) / "upload.png"
    other.parent.mkdir()
    other.write_bytes(b"x")
    scope = {"app": SimpleNamespace(get_blocks=lambda: demo),
             "headers": [(b"content-length", b"2000000")]}  # fmt: skip
    asyncio.run(Gate(None, Limits(disk_mb=1))._check_upload(scope, None))
    delete_files_created_by_app(demo, 0)
    left = set(map(str, (tmp_path / "cache").rglob("*.*")))
    assert set(icons) <= left and str(other) not in left


def test_each_side_s_stop_has_its_name(demo) -> None:
    halts = [block.value for block in demo.blocks.values() if "halt" in (block.elem_classes or ())]
    assert halts == ["Stop pane 1", "Stop pane 2", "Stop pane 3", "Stop pane 4"]


def test_a_refused_run_leaves_nothing_that_waits(tiny, tmp_path) -> None:
    handlers = Handlers(Engine.holding(*tiny))
    make_image(60, 60).save(tmp_path / "a.png")
    values = form.write(shared(third="random"))
    asked = partial(handlers.begin, VISITOR, str(tmp_path / "a.png"), "what is it ?", **values)
    begun = asked()
    assert "Waiting for the device" in begun["pane_0"]
    with pytest.raises(Exception, match="Your last question is still being answered; press Stop"):
        asked()
    fresh = handlers.fail(VISITOR, **values)
    assert fresh.keys() == begun.keys() and fresh["pane_2"], "three panes"
    assert not any("Waiting for the device" in str(value) for value in fresh.values())
    assert asked() == begun, "he may ask again"


def test_a_preview_keeps_the_servers_limit_and_its_sentences(tiny, tmp_path, monkeypatch) -> None:
    handlers, values = Handlers(Engine.holding(*tiny)), form.write(Settings())
    path = str(tmp_path / "a.png")
    make_image(1000, 1100).save(path)
    handlers.engine.limits = Limits(pixels_mp=1)
    shown = handlers.preview(path, pictures.KEPT, **values), _walk(handlers, path, **values)
    for told in (shown[0]["picture"], shown[1]["walk"]):
        assert "1.1 megapixels; the limit of this server is 1" in told
    handlers.engine.limits = Limits()
    monkeypatch.setattr(pictures, "select", {}.__getitem__)
    with pytest.raises(Exception, match=BROKEN):
        handlers.preview(path, pictures.KEPT, **values)
