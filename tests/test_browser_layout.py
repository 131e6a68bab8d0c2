"""Where things stand, in a real Chromium: no jumps, no overlaps, phones, arrow keys, the stage."""

import time

import pytest
from browsing import PATIENCE_MS, ask, browser, finish, open_tab, picture, settle, url, visit
from playwright.sync_api import expect
from serving import before_each_look

pytestmark = pytest.mark.browser
SCREENS = {
    "phone": {"viewport": {"width": 375, "height": 812}, "has_touch": True},
    "tablet": {"viewport": {"width": 768, "height": 1024}, "has_touch": True},
    "200 %": {"viewport": {"width": 640, "height": 400}},
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "presenter": {"viewport": {"width": 1920, "height": 1080}},
}
SHIFTED = """() => new Promise((tell) => {
  new PerformanceObserver((list) => tell(list.getEntries().filter((one) => !one.hadRecentInput)
    .map((one) => [one.value, one.sources.map((from) => from.node?.id || from.node?.className)])
  )).observe({type: 'layout-shift', buffered: true});
  setTimeout(() => tell([]), 1000);
})"""
OVERLAPS = """() => {
  const wide = [];
  const cells = [...document.querySelectorAll('#verdict dl > div')];
  for (const cell of cells) {
    if (cell.scrollWidth > cell.clientWidth + 1) wide.push(cell.textContent);
    const range = document.createRange();
    range.selectNodeContents(cell.querySelector('dd'));
    const text = range.getBoundingClientRect(), next = cell.nextElementSibling;
    const box = next?.getBoundingClientRect();
    if (box && box.top < text.bottom && box.bottom > text.top && text.right > box.left + 1) {
      wide.push(cell.textContent);
    }
  }
  return [cells.length, wide];
}"""


@pytest.fixture
def answered(visit, picture):
    """The page after a run."""

    def go(screen: str = "desktop", query: str = "?max_new_tokens=8"):
        page = visit(query, **SCREENS[screen])
        ask(page, picture)
        page.click("#run")
        finish(page)
        settle(page)
        page.wait_for_timeout(500)
        return page

    return go


@pytest.mark.parametrize("screen", SCREENS)
def test_nothing_jumps_from_opening_to_the_answer(answered, screen) -> None:
    page = answered(screen)
    shifts = page.evaluate(SHIFTED)
    assert sum(value for value, _ in shifts) < 0.1, shifts
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("getComputedStyle(document.querySelector('#run')).visibility") == "visible"


def test_the_verdict_s_figures_do_not_overlap_at_any_width(answered) -> None:
    page = answered()
    for width in (375, 640, 760, 901, 960, 1024, 1100, 1200, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(150)
        count, wide = page.evaluate(OVERLAPS)
        assert count >= 5 and not wide, (width, wide)


def test_on_a_phone_picture_and_answers_come_right_after_run(answered) -> None:
    page = answered("phone")
    places = (
        "#budget",
        "#go",
        "#seen .picture",
        "#pane-0",
        "#pane-1",
        "#verdict",
        "#more",
        "#share",
    )
    boxes = [page.locator(place).first.bounding_box() for place in places]
    tops = [box["y"] for box in boxes]
    assert tops == sorted(tops), dict(zip(places, tops, strict=True))
    assert boxes[2]["y"] - (boxes[0]["y"] + boxes[0]["height"]) < 250, "picture far from its slider"
    assert boxes[3]["y"] - (boxes[1]["y"] + boxes[1]["height"]) < 480, "answers far from Run"


def test_the_way_to_the_benchmarks_works_from_the_menu_too(visit) -> None:
    page = visit("", **SCREENS["phone"])
    expect(page.get_by_role("tab", name="Benchmarks")).to_have_count(0)
    page.evaluate("""document.querySelector('#verdict').insertAdjacentHTML(
        'beforeend', '<button class="to-benchmarks">recorded</button>')""")
    page.click(".to-benchmarks")
    expect(page.locator("#published")).to_be_visible(timeout=PATIENCE_MS)


def test_the_line_of_the_method_pointed_at_stands_out(visit) -> None:
    page = visit("")
    page.get_by_role("tab", name="Benchmarks").click()
    lines = page.locator("#accuracy-plot g.line")
    expect(page.locator("#speed-plot g.line").first).to_be_attached(timeout=PATIENCE_MS)
    expect(lines.first).to_be_attached(timeout=PATIENCE_MS)
    count = lines.count()
    page.locator("#accuracy-plot button", has_text="random").hover()
    for plot in ("#accuracy-plot", "#speed-plot"):
        expect(page.locator(f"{plot} g.line.pointed")).to_have_attribute("data-name", "random")
    expect(page.locator("#accuracy-plot g.line.faded")).to_have_count(count - 1)
    page.locator("#accuracy").hover()
    expect(page.locator(".chart .faded")).to_have_count(0)
    page.locator("#accuracy-plot g[data-name=scope] .mark").last.hover(force=True)  # under others
    told = page.locator("#accuracy-plot .told")
    expect(told).to_be_visible()
    name = told.inner_text().partition(":")[0]
    expect(page.locator("#accuracy-plot g.line.pointed")).to_have_attribute("data-name", name)
    assert "% right (" in told.inner_text()


def test_methods_are_switched_on_and_off_by_the_legend(visit) -> None:
    page = visit("", **SCREENS["phone"])
    open_tab(page, "Benchmarks")
    lines = page.locator("#accuracy-plot g.line")
    expect(lines.first).to_be_attached(timeout=PATIENCE_MS)
    count = lines.count()
    assert page.locator("#accuracy-plot g.line .mark").count() >= count, "a method without a mark"
    hired = page.locator("#accuracy-plot button[data-name=hired]")
    hired.click()
    expect(lines).to_have_count(count - 1)
    expect(hired).to_have_attribute("aria-pressed", "false")
    page.locator("#accuracy-plot").get_by_role("button", name="All", exact=True).click()
    expect(lines).to_have_count(count)
    page.locator("#accuracy-plot button", has_text="None").click()
    expect(lines).to_have_count(0)
    hired.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#accuracy-plot g.line.pointed")).to_have_count(1)
    expect(hired).to_be_focused()
    legend = page.locator("#accuracy-plot .legend").bounding_box()
    assert legend["x"] >= 0 and legend["x"] + legend["width"] <= 375
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    bars = page.locator("#phases-plot .lane")
    assert bars.count() > 3 and "prefill" in bars.first.locator(".bar").get_attribute("aria-label")


def test_arrow_keys_move_along_tabs_and_pieces(visit) -> None:
    page = visit("")
    page.wait_for_selector("#seen .picture img")
    page.get_by_role("tab", name="Compare").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Sweep")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tab", name="Sweep")).to_be_focused()
    page.keyboard.press("End")
    expect(page.get_by_role("tab", name="API")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowRight")  # around
    expect(page.get_by_role("tab", name="Compare")).to_be_focused()
    page.locator(".spot").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".spot").nth(1)).to_be_focused()
    expect(page.locator(".spot span").nth(1)).to_be_visible()
    stops = page.evaluate("""[...document.querySelectorAll('[role=tab], .spot')]
        .filter((one) => one.tabIndex === 0).length""")
    assert stops == 2


def test_a_screen_reader_hears_each_answer_once(visit, picture, tiny) -> None:
    page = visit("?max_new_tokens=8")
    ask(page, picture)
    page.evaluate("""() => {
      window.heard = [];
      new MutationObserver(() => window.heard.push(document.querySelector('#said').textContent))
        .observe(document.querySelector('#said'), {
          childList: true, characterData: true, subtree: true,
        });
    }""")
    with before_each_look(tiny[0], lambda: time.sleep(0.5)):  # the phase lasts as in a real model
        page.click("#run")
        finish(page)
    settle(page)
    page.wait_for_function("window.heard.join(' ').split(' answered:').length >= 3")
    page.wait_for_timeout(300)
    heard = page.evaluate("window.heard")
    for title in ("All tokens (stock)", "HiRED"):
        assert sum(f"{title} answered:" in words for words in heard) == 1, heard
    assert any("is looking" in words for words in heard)
    live = page.evaluate("""[...document.querySelectorAll(
        '[aria-live], [role=status], [role=alert]')]
        .filter((one) => !one.closest('[aria-hidden=true]'))
        .map((one) => one.innerText).join(' ')""")
    assert "queue:" not in live and "Error" not in live


def test_the_stage_fills_a_big_screen_with_large_text(answered) -> None:
    page = answered("presenter", "?max_new_tokens=8&stage=1")
    size = """(selector) => document.querySelector(selector).currentCSSZoom
        * parseFloat(getComputedStyle(document.querySelector(selector)).fontSize)"""
    assert page.evaluate(size, "#pane-0 .answer p") >= 24
    assert page.evaluate(size, ".figures dt") >= 15
    bottom = page.evaluate("document.querySelector('#happens').getBoundingClientRect().bottom")
    assert 950 <= bottom <= 1080, bottom
    assert page.evaluate("document.documentElement.scrollWidth") <= 1920
    expect(page.locator("#run")).to_be_visible()
    expect(page.locator("#more")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator("#more")).to_be_visible()
    page.get_by_role("button", name="Stage view").click()
    expect(page.locator("#more")).to_be_hidden()
