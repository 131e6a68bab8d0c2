"""The history of runs in a real Chromium: what leaving it says, two tabs that share it, and runs
of before.
"""

import json
import re
from pathlib import Path

import pytest
from browsing import (
    PATIENCE_MS,
    ask,
    browser,
    expect_answer,
    finish,
    open_box,
    picture,
    settle,
    url,
    visit,
)
from playwright.sync_api import expect

from hired.web.share_panel import HISTORY, LIST

pytestmark = pytest.mark.browser
SOON_MS = 15_000
BEFORE = Path(__file__).parent / "data" / "before_lanes"
OPTION = "#history [role=option]"
STORED = "JSON.parse(localStorage.getItem('hired-runs') ?? '[]')"


def answer(page, question: str) -> None:
    """Run a question until its run is in the history."""
    page.fill("#question textarea", question)
    page.click("#run")
    finish(page)
    settle(page)
    page.wait_for_function(f"asked => {STORED}[0]?.run.question === asked", arg=question)


def expect_list(page, questions: list[str]) -> None:
    """The list of the open box, opened, shows the runs of these questions in this order."""
    shown = [re.compile(re.escape(f" · {question} · ")) for question in questions]
    for tries in range(10, -1, -1):  # an open list does not take up a new run
        page.click("#history input")
        try:
            expect(page.locator(OPTION)).to_have_text(shown, timeout=SOON_MS / 10)
            return
        except AssertionError:
            if not tries:
                raise
            page.click("#question textarea")


def test_the_list_of_runs_is_read_when_the_page_opens_and_not_while_a_run_is_stored(served) -> None:
    """Read at the same moment, what a run has just added was missing from the list."""
    reading = [fn for fn in served.fns.values() if fn.js == LIST]
    assert [fn.targets for fn in reading] == [[(served._id, "load")]]


def test_leaving_the_history_says_nothing_and_changes_nothing(visit, picture) -> None:
    page = visit()
    ask(page, picture)
    open_box(page, "Share, export, history")
    page.click("#history input")
    page.click("#question textarea")
    page.wait_for_timeout(700)
    expect(page.locator(".toast-body")).to_have_count(0)
    answer(page, "what is first ?")
    answer(page, "what is second ?")
    expect_list(page, ["what is second ?", "what is first ?"])
    page.locator(OPTION).nth(1).click()
    expect(page.locator("#question textarea")).to_have_value("what is first ?", timeout=SOON_MS)
    page.click("#history input")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator("#question textarea")).to_have_value("what is second ?", timeout=SOON_MS)
    page.fill("#question textarea", "typed since")
    page.click("#history input")
    page.click("#question textarea")
    page.wait_for_timeout(700)
    expect(page.locator("#question textarea")).to_have_value("typed since")
    expect(page.locator(".toast-body")).to_have_count(0)
    assert not page.faults


def test_two_tabs_keep_each_others_runs(visit, url, picture) -> None:
    one = visit()
    two = one.context.new_page()
    two.set_default_timeout(SOON_MS)
    two.goto(url)
    for page in (one, two):
        ask(page, picture)
        open_box(page, "Share, export, history")
    answer(one, "asked in one ?")
    answer(two, "asked in two ?")
    answer(one, "again in one ?")
    expected = ["again in one ?", "asked in two ?", "asked in one ?"]
    expect_list(one, expected)
    one.locator(OPTION).nth(1).click()  # a run of the other tab
    expect(one.locator("#question textarea")).to_have_value("asked in two ?", timeout=SOON_MS)

    two.evaluate(
        """most => {
          const runs = JSON.parse(localStorage.getItem('hired-runs'));
          const more = Array.from({length: most}, (_, place) => ({...runs[0], id: `n${place}`}));
          localStorage.setItem('hired-runs', JSON.stringify([...runs, ...more]));
        }""",
        HISTORY,
    )
    answer(two, "one too many ?")
    kept = two.evaluate(f"{STORED}.map((kept) => kept.run.question)")
    assert kept[:4] == ["one too many ?", *expected] and len(kept) == HISTORY
    one.reload()
    open_box(one, "Share, export, history")
    expect_list(one, kept)
    one.evaluate("localStorage.clear()")
    one.locator(OPTION).first.click()
    told = one.locator(".toast-body", has_text="no longer in the history of this browser")
    expect(told).to_be_visible(timeout=SOON_MS)


def test_runs_of_before_panes_had_settings_of_their_own_open(visit) -> None:
    links = json.loads((BEFORE / "links.json").read_text())
    page = visit(f"?{links['hired'].removesuffix('&run=1')}")
    page.wait_for_selector("html.ready", timeout=PATIENCE_MS)
    told = json.loads(page.locator("#panes-text textarea").input_value())["lanes"]
    shared = "budget=35%,newline=rows,alpha=0.3,init_layer=2,final_layer=3,heads=max,fuse=true"
    assert told == [f"hired-release:{shared}", f"hired:{shared}"]
    page.evaluate(
        "runs => localStorage.setItem('hired-runs', runs)", (BEFORE / "history.json").read_text()
    )
    page.reload()
    page.wait_for_selector("html.ready", timeout=PATIENCE_MS)
    open_box(page, "Share, export, history")
    page.click("#history input")
    options = page.locator("#history [role=option]")
    expect(options).to_have_count(2, timeout=PATIENCE_MS)
    expect(options.last).to_contain_text(" · budget 64")
    options.last.click()
    for index in range(3):
        expect_answer(page, index, "The orange circle shows the digit 6.")
    expect(page.locator("#pane-2")).to_contain_text("64 visual tokens")
    expect(page.get_by_label("Budget of pane 3")).to_have_value("64")
    page.set_input_files("#share input[type=file]", BEFORE / "hired.json")
    expect(page.locator("#pane-1")).to_contain_text("209 visual tokens", timeout=PATIENCE_MS)
    expect(page.locator("#side-2")).to_be_hidden()
    expect(page.get_by_label("Budget of pane 1")).to_have_value("35%")
    assert not page.faults


def test_the_same_file_is_imported_twice_in_a_row(visit, picture, tmp_path) -> None:
    page = visit("?max_new_tokens=4")
    ask(page, picture)
    page.click("#run")
    finish(page)
    settle(page)
    open_box(page, "Share, export, history")
    with page.expect_download() as saved:
        page.click("#save-json")
    saved.value.save_as(tmp_path / "run.json")
    for typed in ("another question", "and one more"):
        page.fill("#question textarea", typed)
        with page.expect_file_chooser() as chooser:
            page.click("#import")
        chooser.value.set_files(tmp_path / "run.json")
        box = page.locator("#question textarea")
        expect(box).to_have_value("what colour is the circle ?", timeout=PATIENCE_MS)
    assert not page.faults


def test_a_clipboard_without_an_image_is_told(visit, url) -> None:
    page = visit("")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url.rstrip("/"))
    page.wait_for_selector("#image img")
    page.evaluate("navigator.clipboard.writeText('only words')")
    page.get_by_role("button", name="Paste from clipboard").click()
    page.locator("#image").get_by_text("Paste from Clipboard").click()
    told = page.locator("#note [role=alert]")
    expect(told).to_contain_text("clipboard holds no image", timeout=PATIENCE_MS)
    assert not page.faults
