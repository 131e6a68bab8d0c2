"""Why it failed, in a real Chromium with the embedded model: told, tried, and then right."""

import pytest
from browsing import PATIENCE_MS, browser, serving
from playwright.sync_api import expect

import hired
from hired.web.engine import Engine

pytestmark = pytest.mark.browser


def test_a_lost_answer_says_why_and_the_button_brings_it_back(browser) -> None:
    with serving(Engine.holding(*hired.load("shapes"))) as address:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        page.wait_for_selector("#pane-1 .pane.done")
        page.get_by_role("button", name="A page as full as text").click()
        expect(page.locator("#why")).to_contain_text(
            "HiRED kept 0 of the 7 patches that show the pink circle", timeout=PATIENCE_MS
        )
        expect(page.locator("#pane-1 .state")).to_contain_text("wrong")
        drawn = page.locator("#pane-1 .keeps").evaluate(
            "it => getComputedStyle(it).backgroundImage"
        )
        assert drawn.startswith('url("data:image/webp')
        page.get_by_role("button", name="Try 45 %").click()
        expect(page.locator("#pane-1 .state")).to_contain_text("right", timeout=PATIENCE_MS)
        expect(page.locator("#why")).to_contain_text("kept 3 of the 7", timeout=PATIENCE_MS)
        expect(page.locator("#rate input[type=number]")).to_have_value("45")
        page.close()
