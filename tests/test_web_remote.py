"""The page on two servers: answers stream in, what they do not tell is shown as unknown."""

from types import SimpleNamespace

import pytest
from asking import shared
from browsing import PATIENCE_MS, browser, serving
from conftest import make_image
from fake_server import FakeServer
from playwright.sync_api import expect

from hired.errors import ModelError
from hired.web import export, form, model_panel, render
from hired.web.engine import Engine
from hired.web.export import Record
from hired.web.flags import parse
from hired.web.form_changes import FormChanges
from hired.web.handlers import Handlers
from hired.web.markup import escape
from hired.web.remote import UNSEEN, Servers, attach, plain_picture
from hired.web.runs import run
from hired.web.settings import Settings
from hired.web.sweep import plan, sweep
from hired.web.sweep_results import plot
from hired.web.verdict import verdict
from hired.web.visitors import Stops

QUESTION = "Which digit is on the red heart?"
IMAGE = make_image(60, 90)


@pytest.fixture
def servers():
    with FakeServer("It shows a 7 .") as stock, FakeServer("It shows a 1 .") as hired:
        yield stock, hired


def engine_on(servers):
    engine = Engine()
    attach(engine, Servers(*(server.url for server in servers)))
    return engine


def views_of(servers, **settings):
    engine = engine_on(servers)
    frames = list(run(engine.get(), IMAGE, QUESTION, shared(**settings), Stops()))
    return engine, frames[-1]


def test_a_photograph_on_servers_of_the_embedded_model_is_noted_and_asked_about(tmp_path) -> None:
    path = tmp_path / "photo.png"
    IMAGE.save(path)
    with FakeServer(model="shapes") as stock, FakeServer(model="shapes") as hired:
        engine = engine_on((stock, hired))
        handlers, visitor = Handlers(engine), SimpleNamespace(session_hash="a")
        assert engine.get().info["origin"] == "embedded"
        assert FormChanges(handlers).arrive(str(path), "")["note"]
        for _ in range(2):  # a run that was refused would leave its visitor locked out
            handlers.begin(visitor, str(path), QUESTION, **form.write(Settings()))
            engine.forget("a")


def test_both_panes_answer_and_are_compared(servers) -> None:
    _, views = views_of(servers, budget=0.2)
    assert [(view.phase, view.text) for view in views] == [
        ("done", "It shows a 7 ."),
        ("done", "It shows a 1 ."),
    ]
    shown = render.pane(views[1], 1)
    assert "20 visual tokens" in shown and "unknown" in shown  # peak memory
    assert "read 20 visual tokens instead of 100" in verdict(views)
    assert "to first token" in verdict(views) and "Unknown" in verdict(views)
    assert 'class="prefill"' in render.timeline(
        views
    ) and 'class="vision" style' not in render.timeline(views)


def test_servers_that_tell_nothing_are_shown_as_unknown(servers) -> None:
    for server in servers:
        server.extras = False
    _, views = views_of(servers)
    assert "visual tokens unknown" in render.pane(views[0], 0)
    assert "an unknown number of visual tokens" in verdict(views)


def test_every_setting_of_the_page_reaches_the_server(servers) -> None:
    views_of(servers, budget=64, alpha=0.3, right="globalcom2")
    sent = servers[1].seen[0]["mm_processor_kwargs"]["hired"]
    assert (sent["method"], sent["budget"]) == ("globalcom2", 64)


def test_a_run_on_servers_can_be_saved_and_read_again(servers) -> None:
    engine, views = views_of(servers)
    facts = export.about(engine.get().info, engine.versions())
    kept = Record(QUESTION, {"name": "a.png", "height": 60, "width": 90}, Settings(), views, facts)
    again = export.from_json(export.to_json(kept))
    assert again.views[0].metrics == views[0].metrics
    assert again.views[0].metrics["vision_s"] is None
    assert "ttft_s" in export.to_csv(kept) and "visual_tokens" in export.to_markdown(kept)


def test_sweep_on_servers(servers) -> None:
    import threading

    rows = plan(Settings(), "20% 100%", "none", "")
    engine = engine_on(servers)
    last = list(sweep(engine.get(), IMAGE, QUESTION, rows, threading.Event()))[-1]
    assert [row["visual_tokens"] for row in last.rows] == [100, 20, 100]
    assert plot(last.rows).size[0] > 100


def test_the_page_shows_the_image_and_says_why_no_patches(servers, tmp_path) -> None:
    path = tmp_path / "a.png"
    IMAGE.save(path)
    handlers = Handlers(engine_on(servers))
    shown = handlers.preview(str(path), "Kept tokens", **form.write(Settings()))
    picture, readout, small = shown["picture"], shown["readout"], shown["small"]
    assert escape(UNSEEN) in picture and "data:image/webp" in picture and readout == small == ""
    said = model_panel.describe(handlers.engine.get().info)
    assert "Two servers answer" in said and "unknown layers" in said
    assert "two servers" in model_panel.head(handlers.engine.get().info)


def test_a_picture_wider_than_webp_can_hold_is_shown_smaller() -> None:
    image = make_image(20, 17_000)
    assert len(plain_picture(image)) < 50_000 and image.width == 17_000


@pytest.mark.browser
def test_nothing_is_offered_that_only_the_servers_know(servers, browser) -> None:
    """Neither kept tokens nor attention can be shown, so there is no choice of pictures."""
    with serving(engine_on(servers)) as address:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        expect(page.locator("#seen figcaption")).to_contain_text(UNSEEN, timeout=PATIENCE_MS)
        expect(page.locator("#mode")).to_be_hidden(timeout=PATIENCE_MS)
        page.get_by_role("tab", name="How it works").click()
        expect(page.locator("#walk")).to_contain_text(UNSEEN, timeout=PATIENCE_MS)
        page.close()


def test_visitors_do_not_switch_what_servers_serve(servers) -> None:
    engine = engine_on(servers)
    with pytest.raises(ModelError, match="keeps its model"):
        engine.switch("shapes")


def test_a_server_that_is_not_there_is_told_at_the_start(servers) -> None:
    engine = Engine()
    attach(engine, Servers(servers[0].url, "http://127.0.0.1:9"))
    with pytest.raises(ModelError, match=r"No server answers at http://127\.0\.0\.1:9"):
        engine.get()


def test_flags(capsys) -> None:
    urls = ["--baseline-url", "http://a:1", "--hired-url", "http://b:2"]
    options = parse(["--backend", "openai", *urls], {})
    assert (options.backend, options.baseline_url, options.hired_url) == (
        "openai",
        "http://a:1",
        "http://b:2",
    )
    with pytest.raises(SystemExit):
        parse(["--backend", "openai", *urls[:2]], {})
    assert "--backend openai needs --baseline-url and --hired-url" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse(["--backend", "grpc"], {})
