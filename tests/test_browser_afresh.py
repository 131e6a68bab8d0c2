"""Another one like this, in a real Chromium: drawn, asked, known, and brought back by its link."""

import re

import pytest
from browsing import PATIENCE_MS, browser, finish, open_box, serving, settle, upload, url, visit
from conftest import make_image
from playwright.sync_api import expect

import hired
from hired.web.engine import Engine

pytestmark = pytest.mark.browser
# The picture in the box, as numbers: what a second visitor's has to equal.
PIXELS = """async () => {
  const image = document.querySelector('#image img');
  await image.decode();
  const canvas = Object.assign(document.createElement('canvas'), {width: 64, height: 64});
  const pen = canvas.getContext('2d');
  pen.drawImage(image, 0, 0, 64, 64);
  return Array.from(pen.getImageData(0, 0, 64, 64).data);
}"""


def test_another_one_is_drawn_answered_and_linked(browser, tmp_path) -> None:
    own = tmp_path / "own.png"
    make_image(120, 160).save(own)
    with serving(Engine.holding(*hired.load("shapes"))) as address:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        finish(page)
        settle(page)
        before = page.evaluate(PIXELS)
        page.click("#another")
        note = page.locator("#note")
        expect(note).to_contain_text(re.compile(r"Drawn afresh, number \d+"), timeout=PATIENCE_MS)
        finish(page)
        settle(page)
        expect(page.locator("#pane-0 .state")).to_contain_text(re.compile("right|wrong"))
        drawn, told = page.evaluate(PIXELS), note.inner_text()
        question = page.input_value("#question textarea")
        assert drawn != before and "Known answer:" in told
        kept = re.compile("(What was kept of it|Why did it fail here.).*HiRED kept", re.DOTALL)
        expect(page.locator("#why")).to_contain_text(kept, timeout=PATIENCE_MS)
        open_box(page, "Share")
        page.click("#copy-link")
        link = page.locator("#link textarea, #link input")
        number = re.search(r"number (\d+)", told)[1]
        expect(link).to_have_value(re.compile(f"example=shop-{number}&run=1$"))

        other = browser.new_context().new_page()
        other.set_default_timeout(PATIENCE_MS)
        other.goto(link.input_value())
        expect(other.locator("#note")).to_have_text(told, timeout=PATIENCE_MS)
        finish(other)
        assert other.input_value("#question textarea") == question
        assert other.evaluate(PIXELS) == drawn
        other.context.close()

        expect(page.locator("#another")).to_be_visible()
        upload(page, own)
        expect(page.locator("#another")).to_be_hidden(timeout=PATIENCE_MS)
        expect(page.locator("#question textarea")).to_have_value("", timeout=PATIENCE_MS)
        page.close()


def test_other_models_offer_no_other_one(visit) -> None:
    page = visit()
    page.wait_for_selector("#seen .picture img")
    expect(page.locator("#another")).to_be_hidden()
