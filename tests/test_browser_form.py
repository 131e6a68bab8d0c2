"""The form in a real Chromium: boxes, picture and run always agree, whatever is typed."""

import re

import pytest
from browsing import PATIENCE_MS, ask, browser, finish, picture, settle, url, visit
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
BOX = "#rate input[type=number]"


def type_into(page, box: str, text: str) -> None:
    page.click(box)
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.keyboard.type(text)


def test_budget_box_picture_and_run_agree(visit, picture) -> None:
    page = visit("?budget=0.05&max_new_tokens=4")
    ask(page, picture)
    line = page.locator("#readout")
    expect(line).to_contain_text("reads 9 tokens", timeout=PATIENCE_MS)
    type_into(page, BOX, "150")
    expect(page.locator("#seen .fault")).to_contain_text("up to 100; got 150", timeout=PATIENCE_MS)
    page.keyboard.press("Tab")  # the slider takes its nearest end
    expect(page.locator(BOX)).to_have_value("100")
    expect(line).to_contain_text("reads 166 tokens instead of 166", timeout=PATIENCE_MS)
    page.click("#run")
    finish(page)
    settle(page)
    expect(page.locator("#pane-1")).to_contain_text("166 visual tokens")
    type_into(page, BOX, "")
    expect(page.locator("#seen .fault")).to_contain_text("the box is empty", timeout=PATIENCE_MS)
    page.get_by_label("Count", exact=True).check()
    for typed, told in (("0", "got 0"), ("-5", "got -5"), ("2.5", "got 2.5"), ("", "is empty")):
        type_into(page, "#count input", typed)
        expect(page.locator("#seen .fault")).to_contain_text(told, timeout=PATIENCE_MS)
        expect(line.locator(".readout")).to_have_count(0)
        page.click("#run")
        toast = page.locator(".toast-body", has_text=told)
        expect(toast).to_be_visible(timeout=PATIENCE_MS)
        settle(page)
    type_into(page, "#count input", "5000")
    expect(line).to_contain_text("5,000 asked, but this image has only", timeout=PATIENCE_MS)
    assert not page.faults


def test_a_link_opens_run(visit) -> None:
    page = visit("?run=1&max_new_tokens=4&heads=77&example=nothing")
    finish(page)
    settle(page)
    told = page.locator(".toast-body", has_text="heads=77")
    expect(told).to_contain_text("example=nothing")


def test_fields_that_no_chosen_method_has_are_hidden_and_reset_brings_the_defaults(
    visit, picture
) -> None:
    page = visit("?right=visionzip&contextual=0.3&budget=0.05&max_new_tokens=4&alpha=0.9")
    ask(page, picture)
    page.get_by_role("button", name="Methods and settings").click()
    contextual = page.locator("#contextual input[type=number]")
    expect(contextual).to_have_value("0.3", timeout=PATIENCE_MS)
    expect(page.locator("#contextual")).to_contain_text("Share of the budget that goes to merged")
    for name in ("alpha", "init-layer", "fuse", "seed", "important", "exact"):
        expect(page.locator(f"#{name}")).to_be_hidden()
    page.get_by_role("button", name="Reset all settings").click()
    expect(page.locator("#alpha input[type=number]")).to_have_value("0.5", timeout=PATIENCE_MS)
    expect(contextual).to_be_hidden()
    expect(page.locator(BOX)).to_have_value("20")
    told = {
        "alpha": "overview's share of the budget",
        "init-layer": "Layer whose CLS attention shares the budget out",
        "final-layer": "Layer whose CLS attention picks the patches",
        "heads": "Sum or max over the heads",
        "newline": "one newline token per row",
    }
    for name, words in told.items():
        expect(page.locator(f"#{name}")).to_contain_text(words)
    expect(page.locator("#question textarea")).to_have_value("what colour is the circle ?")
    expect(page.locator("#image img")).to_be_visible()
    page.get_by_label("Right pane").click()
    page.get_by_role("option", name=re.compile("^All tokens")).click()
    expect(page.locator("#budget")).to_be_hidden(timeout=PATIENCE_MS)
    assert not page.faults


def test_a_link_with_an_unknown_setting_says_so(visit) -> None:
    page = visit("?contextal=0.5")
    told = page.locator(".toast-body", has_text="contextal=0.5")
    expect(told).to_contain_text("Did you mean 'contextual'?", timeout=PATIENCE_MS)


def test_figures_are_explained_by_keyboard(visit, picture) -> None:
    page = visit("?max_new_tokens=4")
    ask(page, picture)
    page.click("#run")
    finish(page)
    settle(page)
    words = page.locator("#pane-0 .terms dl")
    expect(words).to_be_hidden()
    page.locator("#pane-0 .terms summary").focus()
    page.keyboard.press("Enter")
    expect(words).to_contain_text("keys and values that the language model keeps")
    expect(words).to_contain_text("the most that was in use")
