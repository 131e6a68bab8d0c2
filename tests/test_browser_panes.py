"""The rows of the panes in a real Chromium: every button with mouse, keyboard and finger."""

import json

import pytest
from browsing import PATIENCE_MS, ask, browser, picture, url, visit
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
KEEP = ".keep"


def panes(page) -> dict:
    return json.loads(page.locator("#panes-text textarea").input_value())


def lanes(page) -> list[str]:
    return panes(page)["lanes"]


def row(page, place: int):
    """Of the pane with this number, from 1."""
    return page.locator(f".lane-form[data-index='{place - 1}']")


def press(page, place: int, name: str) -> None:
    """A button of a row, in its box of settings where it is there."""
    button = row(page, place).locator(f"[data-do={name}]").first
    if not button.is_visible():
        row(page, place).locator("summary").click()
    button.click()


@pytest.fixture
def page(visit):
    """Two panes of HiRED that differ in their budgets."""
    page = visit("?left=hired&right=hired&budget=0.2")
    page.wait_for_selector("html.ready", timeout=PATIENCE_MS)
    row(page, 1).locator(KEEP).fill("40%")
    assert lanes(page) == ["hired:budget=40%", "hired"]
    yield page
    assert not page.faults


def test_panes_are_added_made_alike_and_removed(page) -> None:
    expect(row(page, 1).locator("[data-do=remove]")).to_be_disabled()
    press(page, 1, "add")
    expect(page.get_by_label("Method of pane 3")).to_be_focused()
    expect(page.locator("#side-2")).to_be_visible()
    row(page, 3).locator(KEEP).fill("10%")
    press(page, 3, "add")
    assert panes(page) == {
        "lanes": ["hired:budget=40%", "hired", "hired:budget=10%", "hired:budget=10%"],
        "seen": 3,
        "linked": False,
    }
    for place in (1, 2, 3, 4):
        expect(row(page, place).locator("[data-do=add]")).to_be_disabled()
    expect(row(page, 3).locator("[data-do=same]").first).to_have_accessible_name("Same as pane 2")
    press(page, 3, "same")
    assert lanes(page) == ["hired:budget=40%", "hired", "hired", "hired:budget=10%"]
    press(page, 1, "remove")
    expect(page.get_by_label("Method of pane 1")).to_be_focused()
    expect(page.locator("#side-3")).to_be_hidden()
    assert panes(page) == {
        "lanes": ["hired", "hired", "hired:budget=10%"], "seen": 0, "linked": False
    }  # fmt: skip
    press(page, 3, "remove")
    assert lanes(page) == ["hired", "hired"]
    page.get_by_label("Method of pane 2").select_option("random")
    row(page, 1).locator("summary").click()
    same = row(page, 1).get_by_role("button", name="Same as the other pane").last
    same.click()
    assert lanes(page) == ["random", "random"]
    expect(same).to_be_focused()  # although its row was drawn anew


def test_linked_panes_go_together_in_all_but_what_is_compared(page) -> None:
    press(page, 2, "see")
    row(page, 2).locator("summary").click()
    row(page, 2).locator(".linked").check()
    row(page, 2).locator(".alpha input[type=range]").fill("0.3")
    assert lanes(page) == ["hired:budget=40%,alpha=0.3", "hired:alpha=0.3"]
    slider = page.locator("#rate input[type=range]")
    expect(page.locator("#kind legend")).to_have_text("Budget, pane 2")
    for budget in ("39", "40", "41"):  # past what the other has, which stays where it is
        slider.fill(budget)
    assert lanes(page) == ["hired:budget=40%,alpha=0.3", "hired:budget=41%,alpha=0.3"]
    expect(row(page, 1).locator(".linked")).to_be_checked()
    press(page, 1, "same")
    slider.fill("55")
    assert lanes(page) == ["hired:budget=55%,alpha=0.3"] * 2
    row(page, 1).locator("summary").click()
    row(page, 1).locator(".linked").uncheck()
    slider.fill("5")
    assert lanes(page) == ["hired:budget=55%,alpha=0.3", "hired:budget=5%,alpha=0.3"]


def test_a_method_brings_back_what_was_set_for_it_and_nothing_else(page) -> None:
    method, keep = page.get_by_label("Method of pane 1"), row(page, 1).locator(KEEP)
    row(page, 1).locator("summary").click()
    row(page, 1).locator(".alpha input[type=number]").fill("0.3")
    method.select_option("random")
    keep.fill("20%")
    method.select_option("hired")
    assert lanes(page)[0] == "hired:alpha=0.3"
    method.select_option("random")
    page.get_by_role("button", name="Settings of the run").click()
    page.get_by_role("button", name="Reset all settings").click()
    expect(method).to_have_value("full", timeout=PATIENCE_MS)
    method.select_option("hired")
    assert lanes(page) == ["hired", "hired"]


def test_the_picture_follows_the_pane_that_is_edited(page, picture) -> None:
    ask(page, picture)
    line, seen = page.locator("#readout"), page.locator("[data-do=see]:visible")
    expect(line).to_contain_text("HiRED 40 % reads", timeout=PATIENCE_MS)
    page.locator("#pane-1 .answer").click()
    expect(line).to_contain_text("HiRED 20 % reads", timeout=PATIENCE_MS)
    colours = [one.evaluate("(it) => getComputedStyle(it).backgroundColor") for one in seen.all()]
    assert colours[0] != colours[1]
    expect(seen.nth(1)).to_have_attribute("aria-pressed", "true")
    row(page, 1).locator("summary").click()
    expect(line).to_contain_text("HiRED 40 % reads", timeout=PATIENCE_MS)
    page.get_by_label("Difference").check()
    kinds = page.locator("#seen .kinds li")
    expect(kinds).to_have_count(3, timeout=PATIENCE_MS)
    both, left, right = (int(count) for count in page.locator("#seen .kinds b").all_inner_texts())
    assert (both + left, both + right) == (72, 36) and min(both, left) > 0
    page.get_by_label("Method of pane 2").select_option("full")  # nothing to compare any more
    expect(page.get_by_label("Kept tokens")).to_be_checked()
    expect(page.locator("#mode label").last).to_be_hidden()
    expect(line).to_contain_text("All tokens (stock) reads", timeout=PATIENCE_MS)


def test_the_row_is_worked_by_keyboard_alone(page) -> None:
    row(page, 1).locator("[data-do=see]").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(row(page, 1).locator("summary")).to_be_focused()
    page.keyboard.press("Enter")
    same = row(page, 1).locator(".panel [data-do=same]")
    expect(same).to_be_visible()
    page.keyboard.press("Tab")
    expect(same).to_be_focused()
    page.keyboard.press("Enter")
    assert panes(page) == {"lanes": ["hired", "hired"], "seen": 0, "linked": False}
    page.keyboard.press("Escape")
    expect(row(page, 1).locator("summary")).to_be_focused()
    expect(row(page, 1).locator(".panel")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(same).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_label("Method of pane 3")).to_be_focused()
    row(page, 2).locator("[data-do=see]").focus()
    page.keyboard.press("Enter")
    assert panes(page)["seen"] == 1


def test_four_panes_fit_a_phone_and_are_worked_with_a_finger(visit) -> None:
    page = visit(viewport={"width": 375, "height": 812}, has_touch=True)
    page.wait_for_selector("html.ready", timeout=PATIENCE_MS)
    for place in (2, 3):
        row(page, place).locator("summary").tap()
        row(page, place).locator("[data-do=add]").tap()
    assert panes(page) == {"lanes": ["full", *["hired"] * 3], "seen": 3, "linked": False}
    row(page, 3).locator("summary").tap()
    panel = row(page, 3).locator(".panel").bounding_box()
    assert panel["x"] >= 0 and panel["x"] + panel["width"] <= 375
    page.locator("#pane-1 h3").tap()
    assert panes(page)["seen"] == 1
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    assert not page.faults
