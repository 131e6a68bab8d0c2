"""The page for everybody: keyboard, phones, dark mode, little motion, axe-core, no jumps."""

import re
import time
from itertools import pairwise

import pytest
from browsing import (
    PATIENCE_MS,
    QUESTION,
    ask,
    browser,
    finish,
    open_tab,
    picture,
    settle,
    url,
    visit,
)
from playwright.sync_api import expect
from serving import before_each_step

pytestmark = pytest.mark.browser
TABS = ("Compare", "Sweep", "Film", "Benchmarks", "How it works", "API")
JUMPS = """() => {
  window.jumps = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.jumps.push([entry.value, entry.sources.map(
      (source) => source.node?.id || source.node?.className || source.node?.nodeName)]);
  }).observe({type: 'layout-shift'});
}"""


def tab_to(page, selector: str, most: int = 60) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("(s) => !!document.activeElement?.closest(s)", selector):
            return
    raise AssertionError(f"{selector} cannot be reached with Tab")


def test_keyboard_alone_from_load_to_answer_and_stop(visit, tiny) -> None:
    page = visit("?max_new_tokens=512&repeats=1")
    page.wait_for_selector("#seen .picture img")
    tab_to(page, "#question textarea")
    page.keyboard.press("Control+a")
    page.keyboard.type(QUESTION)
    with before_each_step(tiny[0], lambda _: time.sleep(0.02)):  # or it has said all
        tab_to(page, "#run")
        page.keyboard.press("Enter")
        page.wait_for_selector("#pane-0 .pane.decode")
        tab_to(page, "#stop")
        page.keyboard.press("Enter")
        for index in (0, 1):
            page.wait_for_selector(f"#pane-{index} .pane.stopped")
        assert page.inner_text("#pane-0 .answer p")
    settle(page)
    page.goto(page.url.split("?")[0] + "?max_new_tokens=4")
    page.wait_for_selector("#seen .picture img")
    tab_to(page, ".examples button")
    page.keyboard.press("Enter")
    finish(page)


def test_few_tab_stops_and_headings_in_order(visit, picture) -> None:
    page = visit("?max_new_tokens=8")
    ask(page, picture)
    page.click("#run")
    finish(page)
    settle(page)
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.evaluate("document.querySelector('#tabs [role=tab]').focus()")
    stops = 1
    while stops < 60:
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        stops += 1
    assert stops <= 30, stops
    page.locator(".examples button:visible").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".examples button:visible").nth(1)).to_be_focused()
    page.locator("#mode input").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#mode input").nth(1)).to_be_checked()
    levels = page.evaluate("""[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')]
        .filter((one) => one.checkVisibility()).map((one) => Number(one.tagName[1]))""")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels


def test_nothing_jumps_while_answers_stream(visit, picture) -> None:
    page = visit("?max_new_tokens=120")
    ask(page, picture)
    page.wait_for_timeout(1000)
    page.evaluate(JUMPS)
    page.focus("#question textarea")
    page.keyboard.press("Enter")
    finish(page)
    settle(page)
    jumps = page.evaluate("window.jumps")
    assert sum(value for value, _ in jumps) < 0.01, jumps


def test_phone_in_the_dark_with_little_motion(visit, picture) -> None:
    page = visit("?max_new_tokens=250", viewport={"width": 375, "height": 740}, color_scheme="dark",
                 has_touch=True, reduced_motion="reduce")  # fmt: skip
    ask(page, picture)
    page.focus("#question textarea")
    page.keyboard.press("Enter")
    page.wait_for_selector("#pane-0 .pane.decode")
    page.wait_for_function("document.querySelector('#pane-0').getBoundingClientRect().top < 300")
    moving = "document.getAnimations().filter((one) => one.playState === 'running').length"
    assert page.evaluate(moving) == 0
    finish(page)
    tops = [page.locator(f"#pane-{index}").bounding_box()["y"] for index in (0, 1)]
    assert tops[1] > tops[0] + 50, "panes do not stack"
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", back)[:3])) < 60, "not dark"
    for name in TABS:
        open_tab(page, name)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 375, f"{name} is {wide} pixels wide"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, picture, scheme) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = visit(color_scheme=scheme)
    ask(page, picture)
    page.click("#run")
    finish(page)
    settle(page)
    serious = []
    for name in TABS:
        open_tab(page, name)
        if name == "How it works":
            expect(page.locator(".walk li")).to_have_count(5, timeout=PATIENCE_MS)
        for one in axe.run(page).response["violations"]:
            if one["impact"] in ("serious", "critical"):
                where = "\n  ".join(node["html"][:160] for node in one["nodes"])
                serious.append(f"{name}: {one['id']}: {one['help']}\n  {where}")
    assert not serious, "\n".join(serious)
