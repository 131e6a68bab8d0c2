"""Why it failed, in a real Chromium with the embedded model: told, tried, and then right."""

import re

import pytest
from browsing import PATIENCE_MS, browser, serving
from playwright.sync_api import expect

import hired
from hired.shapes.subject import subject_of
from hired.web.engine import Engine
from hired.web.examples import read_examples

pytestmark = pytest.mark.browser


def test_a_lost_answer_says_why_and_the_button_brings_it_back(browser) -> None:
    [dense] = [one for one in read_examples() if one.key == "dense"]
    asked, percent = subject_of(dense.picture, dense.question), round(100 * dense.survives)
    shown = asked.patches.sum()
    with serving(Engine.holding(*hired.load("shapes"))) as address:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        page.wait_for_selector("#pane-1 .pane.done")
        page.get_by_role("button", name=dense.title).click()
        expect(page.locator("#why")).to_contain_text(
            re.compile(rf"HiRED kept \d+ of the {shown} patches that show {asked.words}:"),
            timeout=PATIENCE_MS,
        )
        expect(page.locator("#pane-1 .state")).to_contain_text("wrong")
        drawn = page.locator("#pane-1 .keeps").evaluate(
            "it => getComputedStyle(it).backgroundImage"
        )
        assert drawn.startswith('url("data:image/webp')
        page.get_by_role("button", name=f"Try {percent} %").click()
        expect(page.locator("#pane-1 .state")).to_contain_text("right", timeout=PATIENCE_MS)
        expect(page.locator("#why")).to_contain_text("What was kept of it", timeout=PATIENCE_MS)
        expect(page.locator("#rate input[type=number]")).to_have_value(str(percent))
        page.close()


def test_the_same_tokens_are_tried_at_their_original_positions(browser) -> None:
    with serving(Engine.holding(*hired.load("shapes"))) as address:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{address}?example=prices&run=1")
        pane = page.locator("#pane-1")
        expect(pane.locator(".state")).to_contain_text("wrong", timeout=PATIENCE_MS)
        kept = re.search(r"\d+ visual tokens", pane.inner_text())[0]
        page.get_by_role("button", name="Try the original ones").click()
        expect(pane.locator(".state")).to_contain_text("right", timeout=PATIENCE_MS)
        expect(pane).to_contain_text(kept)
        expect(page.locator("#why")).to_contain_text("What was kept of it", timeout=PATIENCE_MS)
        page.close()
