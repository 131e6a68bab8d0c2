"""The page in a real Chromium: it claims what it knows, on the embedded model."""

import json
import re
from pathlib import Path
from urllib.parse import quote_plus

import matplotlib
import pytest
from browsing import PATIENCE_MS, browser, finish, open_box, serving, settle, upload
from playwright.sync_api import expect

from hired.web.engine import Engine
from hired.web.examples import read_examples
from hired.web.render import FOREIGN

pytestmark = pytest.mark.browser
SHOWN = {one.key: one for one in read_examples()}
PHOTOGRAPH = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


@pytest.fixture(autouse=True, scope="module")
def patience():
    """A run takes seconds on a busy machine."""
    expect.set_options(timeout=40_000)
    yield
    expect.set_options(timeout=5_000)


@pytest.fixture(scope="module")
def url():
    engine = Engine()
    engine.get()
    with serving(engine) as address:
        yield address


@pytest.fixture
def page(browser, url):
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    page.set_default_timeout(60_000)
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(url)
    finish(page)
    yield page
    assert not page.faults
    page.close()


def choose(page, title: str) -> None:
    page.locator(".examples button:visible", has_text=title).click()
    expect(page.locator("#stop")).to_be_enabled()
    settle(page)
    finish(page)


def set_budget(page, percent: int) -> None:
    page.fill("#rate input[type=number]", str(percent))
    page.press("#rate input[type=number]", "Tab")


def test_a_wrong_answer_comes_first_and_one_run_claims_no_speed(page) -> None:
    choose(page, "A page as full as text")
    verdict = page.locator("#verdict .verdict")
    expect(verdict).to_have_class("verdict bad")
    expect(verdict.locator(":scope > :first-child")).to_have_text(
        "Wrong: the answer was lost at 20 %."
    )
    expect(verdict).to_contain_text("This is one run")
    expect(verdict).not_to_contain_text("faster")
    page.click("#measure")
    expect(verdict).to_contain_text("medians of 5 runs")
    expect(page.locator("#measure")).to_be_hidden()
    settle(page)


def test_lanes_that_are_the_same_are_not_said_to_differ(browser, url) -> None:
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{url}?left=hired&right=hired&repeats=5")
    page.wait_for_selector("#seen .picture img")
    page.click("#run")
    verdict = page.locator("#verdict .verdict")
    expect(verdict).to_contain_text("no difference in time that these runs can show")
    for claim in ("faster", "slower", "sooner", "less", "more", "fewer"):
        expect(verdict).not_to_contain_text(claim)
    settle(page)
    page.close()


def test_answers_of_another_question_dim_and_say_so(page) -> None:
    choose(page, "Six shapes on a quiet poster")
    stale, answer = page.locator("#stale .stale"), page.locator("#pane-0 .answer")
    expect(stale).to_have_count(0)
    for change, back, what in (
        (lambda: set_budget(page, 35), lambda: set_budget(page, 20), "budget"),
        (lambda: page.fill("#question textarea", "What is in the image?"),
         lambda: page.fill("#question textarea", SHOWN["sparse"].question),
         "question"),
    ):  # fmt: skip
        change()
        expect(stale).to_have_text(f"Answers at 20 %, before the change of the {what}. Run")
        expect(answer).to_have_css("opacity", "0.38")
        back()
        expect(stale).to_have_count(0)
        expect(answer).to_have_css("opacity", "1")
    page.get_by_role("button", name="clear").or_(page.get_by_label("Remove")).first.click()
    expect(stale).to_contain_text("before the change of the picture")
    page.locator(".examples button:visible", has_text="A page as full").click()
    expect(answer).not_to_contain_text(SHOWN["sparse"].answer, timeout=5_000)
    expect(page.locator("#verdict")).to_contain_text("the answer was lost")
    settle(page)
    set_budget(page, 100)
    expect(stale).to_contain_text("budget")
    page.click(".run-again")
    expect(page.locator("#verdict")).to_contain_text("Right: both give the known answer.")
    expect(stale).to_have_count(0)
    settle(page)


CHANGES = """() => new Promise((tell) => {
  let found = 0;
  const watch = new MutationObserver((news) => { found += news.length; });
  watch.observe(document.body, {childList: true, subtree: true, characterData: true});
  setTimeout(() => { watch.disconnect(); tell(found); }, 2000);
})"""


def test_a_page_at_rest_does_nothing(page) -> None:
    """It drew itself anew in every frame, beside the model that it measures."""
    page.wait_for_timeout(1500)
    assert page.evaluate(CHANGES) < 10


def test_a_long_answer_shows_where_it_differs_and_all_of_it_when_pointed_at(page) -> None:
    choose(page, "Six shapes on a quiet poster")
    set_budget(page, 60)
    page.fill("#question textarea", "How many shapes are there?")
    expect(page.locator("#note")).not_to_contain_text("Known answer")  # it was another question's
    page.click("#run")
    settle(page)
    finish(page)
    expect(page.locator("#verdict .judged")).to_have_text("No known answer to judge by.")
    for pane in range(2):
        answer = page.locator(f"#pane-{pane} .answer")
        expect(answer).to_have_class("answer more")
        first = answer.locator("mark").first.bounding_box()
        box = answer.bounding_box()
        assert box["y"] <= first["y"] + 6 and first["y"] < box["y"] + box["height"] - 16
        answer.focus()
        assert answer.evaluate("(box) => box.scrollHeight - box.clientHeight") <= 1


def test_a_recorded_sweep_can_be_saved(page) -> None:
    page.get_by_role("tab", name="Sweep").click()
    expect(page.locator("#sweep-bar")).to_contain_text("A recorded sweep")
    with page.expect_download() as saved:
        page.locator("#sweep-csv").click()
    assert "The price of" in Path(saved.value.path()).read_text(encoding="utf-8")


def test_answers_dim_while_a_budget_cannot_be_read(page) -> None:
    choose(page, "Six shapes on a quiet poster")
    page.locator(".lane-form[data-index='1'] .keep").fill("much")
    expect(page.locator("#stale .stale")).to_contain_text("before a change that cannot be read")
    page.locator(".lane-form[data-index='1'] .keep").fill("20%")
    expect(page.locator("#stale .stale")).to_have_count(0)


def test_a_photograph_gets_a_banner_and_no_verdict_on_its_answer(page) -> None:
    upload(page, PHOTOGRAPH)
    expect(page.locator("#note")).to_contain_text("python app.py --model auto")
    expect(page.locator("#note")).to_contain_text("19 GB")
    expect(page.locator("#question textarea")).to_have_value("")
    page.fill("#question textarea", "What is in the image?")
    page.click("#run")
    expect(page.locator("#verdict")).to_contain_text("Not judged")
    finish(page)
    for index in (0, 1):
        expect(page.locator(f"#pane-{index} .foreign")).to_have_text(FOREIGN)
        expect(page.locator(f"#pane-{index} .state")).to_have_text("done")
    expect(page.locator("#verdict .verdict")).to_have_class("verdict ")
    expect(page.locator("#verdict")).not_to_contain_text("Same answer")
    settle(page)


def test_history_brings_a_run_with_its_picture_and_known_answer(page, tmp_path) -> None:
    choose(page, "Six shapes on a quiet poster")
    choose(page, "A page as full as text")
    upload(page, PHOTOGRAPH)
    expect(page.locator("#question textarea")).to_have_value("")
    page.fill("#question textarea", "What is in the image?")
    page.click("#run")
    expect(page.locator("#verdict")).to_contain_text("Not judged")
    settle(page)
    open_box(page, "Share, export, history")
    expect(page.locator("#save-json")).to_be_enabled()
    with page.expect_download() as download:
        page.click("#save-json")
    saved = tmp_path / "run.json"
    download.value.save_as(saved)
    for place, example in ((2, SHOWN["sparse"]), (1, SHOWN["dense"])):
        page.click("#history input")
        page.get_by_role("option").nth(place).click()
        expect(page.locator("#note")).to_contain_text(example.answer)
        expect(page.locator("#pane-0 .state")).to_have_text("✓ right")
        expect(page.locator("#stale .stale")).to_have_count(0)
        page.click("#copy-link")
        expect(page.locator("#link textarea, #link input")).to_have_value(
            re.compile(rf"\?q={re.escape(quote_plus(example.question))}&example={example.key}\b")
        )
    page.set_input_files("#share input[type=file]", saved)
    expect(page.locator("#seen .kept")).to_contain_text("grace_hopper.jpg")
    expect(page.locator("#pane-1 .foreign")).to_have_text(FOREIGN)
    expect(page.locator("#stale .stale")).to_have_count(0)
    data = json.loads(saved.read_text())
    data["image"] = {"name": "lost.png"}
    data["question"] = "Lost?"
    (tmp_path / "lost.json").write_text(json.dumps(data))
    page.set_input_files("#share input[type=file]", tmp_path / "lost.json")
    expect(page.locator("#question textarea")).to_have_value("Lost?")
    expect(page.locator("#seen")).to_contain_text("did not come with it (lost.png)")
