"""Words of an answer pointed at, in a real Chromium with the embedded model."""

import re

import pytest
from browsing import PATIENCE_MS, browser, serving
from playwright.sync_api import expect

import hired
from hired.web.engine import Engine

pytestmark = pytest.mark.browser
LIGHT = """(canvas) => {
  const pen = canvas.getContext('2d');
  return pen.getImageData(0, 0, canvas.width, canvas.height).data.reduce((sum, one) => sum + one);
}"""


def test_a_word_is_pointed_at_with_mouse_and_keys_and_tells_its_coverage(browser) -> None:
    with serving(Engine.holding(*hired.load("shapes"))) as address:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        page.wait_for_selector("#pane-1 .pane.done")
        page.get_by_role("button", name="What did it look at?").click()
        told, canvas = page.locator(".gaze .told"), page.locator(".gaze canvas")
        expect(told).to_have_text(
            "Of what the stock model looked at for «3.50», HiRED kept 49 %.", timeout=PATIENCE_MS
        )
        first = canvas.evaluate(LIGHT)
        page.locator(".word", has_text="flour").first.hover()
        expect(told).to_contain_text("«flour»")
        assert canvas.evaluate(LIGHT) != first
        page.locator(".word[tabindex='0']").first.focus()
        page.keyboard.press("ArrowLeft")
        expect(told).to_contain_text(re.compile(r"«is», HiRED kept \d+ %"))
        page.locator(".looked", has_text="HiRED").last.locator(".word").first.click()
        expect(told).to_have_text(
            "What HiRED looked at when it wrote «The», among the patches it read."
        )
        page.close()
