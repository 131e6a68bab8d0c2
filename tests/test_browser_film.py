"""The budget film in a real Chromium: the recorded one is scrubbed, one of one's own is made."""

import re

import pytest
from browsing import PATIENCE_MS, browser, open_tab, serving
from playwright.sync_api import expect

import hired
from hired.web.engine import Engine
from hired.web.film_tab import LADDER

pytestmark = pytest.mark.browser
SHADE = """() => {
  const film = document.querySelector('#film canvas');
  const dots = film.getContext('2d').getImageData(0, 0, film.width, film.height).data;
  let dark = 0;
  for (let at = 3; at < dots.length; at += 4) dark += dots[at] > 100;
  return dark / (film.width * film.height);
}"""

DROPPED = """(index) => {  // the part of the picture that a frame's mask leaves out
  const film = JSON.parse(document.querySelector('#film .film').dataset.film);
  const each = film.side ** 2, mask = [...film.frames[index].mask];
  const dropped = film.boxes.map(([left, top, wide, high], tile) =>
    wide * high * mask.slice(tile * each, (tile + 1) * each).filter((bit) => bit === '0').length);
  return dropped.reduce((sum, one) => sum + one) / each / (film.size[0] * film.size[1]);
}"""


def test_the_film_is_scrubbed_with_keys_and_made_anew_and_stopped_and_refused(browser) -> None:
    with serving(Engine.holding(*hired.load("shapes"))) as address:
        context = browser.new_context(reduced_motion="reduce")
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        page.wait_for_selector("#pane-1 .pane.done")
        open_tab(page, "Film")
        expect(page.locator("#film-bar")).to_contain_text("A recorded film of")
        slider, now = page.locator("#film input[type=range]"), page.locator("#film .now")
        expect(now).to_contain_text("100 %")
        expect(page.locator("#film .ticks li")).to_have_count(len(LADDER))
        assert page.evaluate(SHADE) == 0
        slider.focus()
        shades = []
        for index, percent in enumerate(LADDER[1:], 1):
            page.keyboard.press("ArrowRight")
            expect(now).to_have_text(re.compile(rf"^[✓✗] {percent} %, "))
            expect(slider).to_have_attribute("aria-valuetext", f"{percent} %")
            shades.append(page.evaluate(SHADE))
            assert abs(shades[-1] - page.evaluate(DROPPED, index)) < 0.02
        assert shades == sorted(shades) and shades[-1] > 0.9
        page.click("#film-run")
        expect(page.locator("#film-bar")).to_contain_text(
            re.compile(r"[2-9] of 21 runs"), timeout=PATIENCE_MS
        )
        expect(page.locator("#film .ticks")).to_have_count(0)  # the one of before is no longer it
        open_tab(page, "Compare")
        open_tab(page, "Film")
        expect(page.locator("#film-bar")).to_contain_text("of 21 runs measured")
        page.click("#film-stop")
        expect(page.locator("#film-run")).to_be_enabled(timeout=PATIENCE_MS)
        made = page.locator("#film .ticks li").count()
        assert 1 <= made < len(LADDER)
        expect(page.locator("#film figcaption")).to_contain_text(re.compile("holds|breaks|lost"))
        open_tab(page, "Compare")
        page.fill("#question textarea", "")
        open_tab(page, "Film")
        page.click("#film-run")
        expect(page.locator(".toast-body")).to_contain_text("question", timeout=PATIENCE_MS)
        expect(page.locator("#film-run")).to_be_enabled(timeout=PATIENCE_MS)
        expect(page.locator("#film-stop")).to_be_disabled()
        context.close()
