"""The page in a real Chromium: what a visitor does, phones, dark mode, keyboard, axe-core.

Needs Chromium: `sudo apt-get install chromium`, or CHROMIUM=/path/to/chromium.
"""

import json
import os
import re
import shutil
import socket
from pathlib import Path

import pytest
from conftest import make_image
from playwright.sync_api import expect, sync_playwright

from hired.web.engine import Engine
from hired.web.examples import read_examples
from hired.web.page import build, launch_options

pytestmark = pytest.mark.browser
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 60_000
QUESTION = "what colour is the circle ?"


@pytest.fixture(scope="module")
def browser():
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        told = "no Chromium; to run the browser tests: sudo apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(told)
        pytest.skip(told)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def url(tiny):
    """The page around the tiny model, really served."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    demo = build(Engine.holding(*tiny, name="tiny"))
    demo.launch(
        server_name="127.0.0.1",
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        **launch_options(),
    )
    yield demo.local_url
    demo.close()


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("upload") / "noise.png"
    make_image(120, 160).save(path)
    return path


@pytest.fixture
def visit(browser, url):
    """Open the page as a new visitor; nothing but this server can be reached."""
    contexts = []

    def go(query: str = "", **options):
        options = {"viewport": {"width": 1280, "height": 800}} | options
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.strayed = []
        page.route(
            lambda address: not address.startswith((url, "data:", "blob:")),
            lambda route: (page.strayed.append(route.request.url), route.abort()),
        )
        page.set_default_timeout(PATIENCE_MS)
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.goto(url + query, wait_until="commit", timeout=PATIENCE_MS)
        expect(page.locator("#header .chip").first).to_contain_text("tiny", timeout=PATIENCE_MS)
        return page

    yield go
    for context in contexts:
        context.close()


def upload(page, path: Path) -> None:
    """In place of the example that is there."""
    if read_examples():
        page.wait_for_selector("#image img")
        page.get_by_role("button", name=re.compile("clear|remove", re.I)).first.click()
        page.wait_for_selector("#seen .nothing")
    page.set_input_files("#image input[type=file]", path)


def ask(page, picture: Path | None, question: str = QUESTION) -> None:
    if picture is not None:
        upload(page, picture)
        page.wait_for_selector("#seen .picture img")
    page.fill("#question textarea", question)


def finish(page) -> None:
    for index in (0, 1):
        page.wait_for_selector(f"#pane-{index} .pane.done")


def settle(page) -> None:
    """A run's files are there, so its whole chain is over."""
    expect(page.locator("#run")).to_be_enabled(timeout=PATIENCE_MS)


def open_box(page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def test_upload_preview_run_export_import_history(visit, picture, tmp_path) -> None:
    page = visit()
    ask(page, picture)
    expect(page.locator("#readout")).to_contain_text("20 % = 36 of 180 tokens; stock feeds 166")
    before = page.get_attribute("#seen img", "src")
    page.fill("#rate input[type=number]", "50")
    page.press("#rate input[type=number]", "Tab")
    expect(page.locator("#readout")).to_contain_text("50 % = 90 of 180", timeout=PATIENCE_MS)
    assert page.get_attribute("#seen img", "src") != before
    assert "90 of 180 patches are kept" in page.get_attribute("#seen img", "alt")
    page.get_by_label("Init-layer attention").check()
    expect(page.locator("#seen figcaption")).to_contain_text("layer 0", timeout=PATIENCE_MS)
    page.locator(".spot").nth(1).hover()
    expect(page.locator(".spot span").nth(1)).to_be_visible()

    page.click("#run")
    finish(page)
    settle(page)
    expect(page.locator("#verdict")).to_contain_text("fewer")
    expect(page.locator("#timeline .lane")).to_have_count(2)
    expect(page.locator("#live")).to_have_attribute("aria-live", "polite")
    texts = [page.inner_text(f"#pane-{index} .answer") for index in (0, 1)]
    assert all(texts) and all(text in page.text_content("#live") for text in texts)

    open_box(page, "Share, export, history")
    expect(page.locator("#save-json")).to_be_enabled(timeout=PATIENCE_MS)
    with page.expect_download() as download:
        page.click("#save-json")
    saved = tmp_path / "run.json"
    download.value.save_as(saved)
    data = json.loads(saved.read_text())
    assert [lane["text"] for lane in data["lanes"]] == texts
    assert data["settings"]["budget"] == 0.5 and data["versions"]["torch"]

    data["lanes"][1]["text"] = "<b>imported</b>"
    saved.write_text(json.dumps(data))
    page.set_input_files("#share input[type=file]", saved)
    expect(page.locator("#pane-1 .answer")).to_have_text("<b>imported</b>", timeout=PATIENCE_MS)
    page.click("#history input")
    page.get_by_role("option").first.click()
    expect(page.locator("#pane-1 .answer")).to_have_text(texts[1], timeout=PATIENCE_MS)
    assert not page.faults and not page.strayed


def test_stop_keeps_what_was_said(visit, picture) -> None:
    page = visit("?max_new_tokens=512")
    ask(page, picture)
    page.click("#run")
    page.wait_for_selector("#pane-0 .pane.answering")
    page.click("#stop")
    page.wait_for_selector("#pane-0 .pane.stopped")
    page.wait_for_selector("#pane-1 .pane.stopped")
    assert page.inner_text("#pane-0 .answer p")
    settle(page)
    page.click("#run")
    page.wait_for_selector("#pane-0 .pane.answering")
    page.locator("#side-0 .halt").click()  # one side; the other goes on
    page.wait_for_selector("#pane-0 .pane.stopped")
    page.wait_for_selector("#pane-1 .pane.answering")
    page.click("#stop")
    settle(page)


def test_link_brings_settings_back_and_is_clamped(visit) -> None:
    page = visit("?budget=64&alpha=0.25&init_layer=99&right=spatial&q=what+%3Cb%3E&nonsense=1")
    expect(page.locator("#question textarea")).to_have_value("what <b>")
    expect(page.locator("#count input")).to_have_value("64")
    expect(page.locator("#pane-1 h3")).to_contain_text("Every k-th patch")
    open_box(page, "Share, export, history")
    page.click("#copy-link")
    expect(page.locator("#link textarea, #link input")).to_have_value(
        re.compile(r"\?.*budget=64"), timeout=PATIENCE_MS
    )
    link = page.input_value("#link textarea, #link input")
    assert "alpha=0.25" in link and "init_layer=3" in link and "right=spatial" in link
    assert page.url == link


def test_errors_are_sentences(visit, tmp_path) -> None:
    page = visit()
    ask(page, None, "   ")
    page.click("#run")
    expect(page.get_by_text("The question is empty")).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 50)
    upload(page, broken)
    expect(page.locator("#seen .fault")).to_contain_text("image", timeout=PATIENCE_MS)
    assert "Traceback" not in page.content()


def test_sweep_is_measured_live_and_can_be_cancelled(visit, picture) -> None:
    page = visit("?max_new_tokens=8")
    ask(page, picture)
    page.get_by_role("tab", name="Sweep").click()
    page.fill("#sweep-budgets textarea, #sweep-budgets input", "50%")
    page.click("#sweep-run")
    expect(page.locator("#sweep-bar")).to_contain_text("2 of 2 runs measured.", timeout=PATIENCE_MS)
    expect(page.locator("#sweep-plot img")).to_be_visible()
    expect(page.locator("#sweep-csv")).to_be_enabled(timeout=PATIENCE_MS)
    page.fill("#sweep-budgets textarea, #sweep-budgets input", "10% " * 59)
    page.click("#sweep-run")
    expect(page.locator("#sweep-bar")).to_contain_text(
        "of 60 runs measured, about", timeout=PATIENCE_MS
    )
    page.click("#sweep-stop")
    expect(page.locator("#sweep-bar")).to_contain_text("then cancelled", timeout=PATIENCE_MS)
    page.get_by_role("tab", name="How it works").click()
    expect(page.locator(".walk li")).to_have_count(5, timeout=PATIENCE_MS)
    page.get_by_role("tab", name="API").click()
    expect(page.locator("#python-code")).to_contain_text("hired.compare", timeout=PATIENCE_MS)


def test_phone_keyboard_only_and_dark(visit, picture) -> None:
    phone = visit(viewport={"width": 375, "height": 740}, color_scheme="dark", has_touch=True,
                  reduced_motion="reduce")  # fmt: skip
    ask(phone, picture)
    phone.focus("#question textarea")
    phone.keyboard.press("Enter")
    finish(phone)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 375
    tops = [phone.locator(f"#pane-{index}").bounding_box()["y"] for index in (0, 1)]
    assert tops[1] > tops[0] + 50, "panes do not stack"
    back = phone.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", back)[:3])) < 60, "not dark"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, picture, scheme) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = visit(color_scheme=scheme)
    ask(page, picture)
    page.click("#run")
    finish(page)
    settle(page)
    found = axe.run(page).response["violations"]
    serious = [
        f"{one['id']}: {one['help']}\n  " + "\n  ".join(node["html"][:160] for node in one["nodes"])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert not serious, "\n".join(serious)


def test_comparison_fits_without_scrolling(visit, picture) -> None:
    page = visit()
    ask(page, picture)
    page.click("#run")
    finish(page)
    for part in ("#run", "#pane-0", "#pane-1", "#verdict", "#timeline"):
        box = page.locator(part).bounding_box()
        assert box["y"] + box["height"] <= 800, f"{part} ends below the first screen"
