"""A Chromium and a served page for the browser tests, and what a visitor's hands do.

Needs Chromium: `sudo apt-get install chromium`, or CHROMIUM=/path/to/chromium.
"""

import os
import re
import shutil
import socket
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import make_image
from playwright.sync_api import expect, sync_playwright

from hired.web.engine import Engine
from hired.web.examples import REAL, read_examples
from hired.web.page import build, launch_options

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
PATIENCE_MS = 90_000
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


@contextmanager
def serving(engine: Engine):
    """The page around an engine, really served; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    demo = build(engine)
    demo.launch(
        server_name="127.0.0.1",
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        **launch_options(),
    )
    try:
        yield demo.local_url
    finally:
        demo.close()


@pytest.fixture(scope="module")
def url(tiny):
    """The page around the tiny model."""
    with serving(Engine.holding(*tiny, name="tiny")) as address:
        yield address


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
    if read_examples(REAL):
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


def open_tab(page, name: str) -> None:
    """A tab, on phones out of the menu of those that do not fit."""
    tab = page.get_by_role("tab", name=name)
    if tab.is_visible():
        tab.click()
    else:
        page.locator("#tabs .overflow-menu > button").click()
        page.locator("#tabs .overflow-dropdown button", has_text=name).click()
    page.wait_for_timeout(300)


ANSWER = """index => {  // without what marks and tells the words that differ
  const answer = document.querySelector(`#pane-${index} .answer`).cloneNode(true);
  answer.querySelectorAll('.hidden').forEach((told) => told.remove());
  return answer.textContent.trim();
}"""


def answer(page, index):
    """What a pane answered."""
    return page.evaluate(ANSWER, index)


def expect_answer(page, index, text):
    """Wait until a pane shows exactly this answer."""
    page.wait_for_function(
        f"([index, text]) => ({ANSWER})(index) === text", arg=[index, text], timeout=PATIENCE_MS
    )
