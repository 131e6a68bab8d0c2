"""Changing the model on the page, and its way to what was recorded."""

import pytest
from browsing import PATIENCE_MS, browser, open_box, serving
from playwright.sync_api import expect

from hired.web.engine import Engine

pytestmark = pytest.mark.browser


def choose(page, name: str) -> None:
    page.click("#model-choice input")
    page.get_by_role("option").filter(has_text=name).first.click()
    page.click("#model-load")


def test_models_are_switched_and_a_failure_keeps_the_old_one(browser, saved) -> None:
    engine = Engine(str(saved), may_switch=True)
    with serving(engine) as address:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        page.wait_for_selector("#seen .picture img")
        chips = page.locator(".examples button:visible")
        expect(chips.first).to_contain_text("receipt")
        open_box(page, "Model")
        choose(page, "llava-v1.6-vicuna-13b")  # the hub cannot be reached from a test
        expect(page.locator("#model-said")).to_contain_text("answers on", timeout=PATIENCE_MS)
        assert engine.get().info["name"] == str(saved)
        choose(page, "shapes")
        expect(page.locator("#model-said")).to_contain_text("is loaded", timeout=PATIENCE_MS)
        expect(page.locator("#header")).to_contain_text("toy model")
        expect(chips.first).to_contain_text("short receipt")
        choose(page, saved.name)
        expect(page.locator("#header")).to_contain_text(saved.name, timeout=PATIENCE_MS)
        expect(chips.first).to_contain_text("receipt")
        page.fill("#question textarea", "What?")
        page.click("#run")
        page.wait_for_selector("#pane-1 .pane.done")
        told = page.inner_text("#readout")
        expect(page.locator("#stale .stale")).to_have_count(0)
        choose(page, "shapes")  # with the form as it was: picture and notes follow all the same
        expect(page.locator("#stale")).to_contain_text("change of the model", timeout=PATIENCE_MS)
        expect(page.locator("#readout")).not_to_have_text(told)
        page.close()
