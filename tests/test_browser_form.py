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
    page.keyboard.type(
        text, delay=30
    )  # as fast as hands; gradio turns "2." and "5" at once into 52


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
    expect(page.locator("#count input")).to_have_value("160")
    expect(line).to_contain_text("160 asked, but this image has only", timeout=PATIENCE_MS)
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
    row = page.locator(".lane-form[data-index='1']")
    row.locator("summary").click()
    contextual = row.locator(".contextual input[type=number]")
    expect(contextual).to_have_value("0.3", timeout=PATIENCE_MS)
    expect(row.locator(".contextual")).to_contain_text("Share of the budget that goes to merged")
    for name in ("alpha", "init-layer", "fuse", "seed", "important", "exact"):
        expect(row.locator(f".{name}")).to_have_count(0)
    page.get_by_role("button", name="Settings of the run").click()
    page.get_by_role("button", name="Reset all settings").click()
    row.locator("summary").click()
    expect(row.locator(".alpha input[type=number]")).to_have_value("0.5", timeout=PATIENCE_MS)
    expect(contextual).to_have_count(0)
    expect(page.locator(BOX)).to_have_value("20")
    told = {
        "alpha": "overview's share of the budget",
        "init-layer": "Layer whose CLS attention shares the budget out",
        "final-layer": "Layer whose CLS attention picks the patches",
        "heads": "Sum or max over the heads",
        "newline": "one newline token per row",
    }
    for name, words in told.items():
        expect(row.locator(f".{name}")).to_contain_text(words)
    expect(page.locator("#question textarea")).to_have_value("what colour is the circle ?")
    expect(page.locator("#image img")).to_be_visible()
    page.get_by_label("Method of pane 2").select_option("full")
    expect(page.locator("#budget .no-budget")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#rate")).to_be_hidden()
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


HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(400)
DROPS = """(target, [name, type, bytes]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], name, {type}));
  target.dispatchEvent(
    new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
}"""


def check_refused(page, words: str) -> None:
    """The formats are named, and Run has nothing to answer about."""
    expect(page.locator("#note")).to_contain_text(words, timeout=PATIENCE_MS)
    expect(page.locator("#note")).to_contain_text("PNG, JPEG, WEBP")
    expect(page.locator("#image img")).to_have_count(0)
    expect(page.locator("#seen .nothing")).to_be_visible(timeout=PATIENCE_MS)
    assert not page.get_by_text("image/*").count()
    page.fill("#question textarea", "what colour is the circle ?")
    page.click("#run")
    toast = page.locator(".toast-body", has_text="There is no image")
    expect(toast.last).to_be_visible(timeout=PATIENCE_MS)
    assert not page.locator(".pane.done").count()


@pytest.mark.parametrize(
    ("name", "kind", "content", "words"),
    [
        ("photo.heic", "", HEIC, "HEIC or AVIF photograph"),  # as Windows and Linux name it
        ("photo.heic", "image/heic", HEIC, "HEIC or AVIF photograph"),  # as macOS does
        ("letter.pdf", "application/pdf", b"%PDF-1.7", "not an image that can be read"),
    ],
)
def test_a_dropped_file_of_another_format_takes_the_picture_away(
    visit, picture, name, kind, content, words
) -> None:
    page = visit("?max_new_tokens=4")
    ask(page, picture)
    page.locator("#image img").evaluate(DROPS, [name, kind, list(content)])
    check_refused(page, words)
    page.set_input_files("#image input[type=file]", picture)  # and the next picture is taken
    expect(page.locator("#note")).not_to_contain_text(words, timeout=PATIENCE_MS)
    page.wait_for_selector("#seen .picture img")
    page.click("#run")
    finish(page)


def test_a_chosen_file_of_another_format_is_refused_with_the_formats(visit, picture) -> None:
    page = visit("?max_new_tokens=4")
    ask(page, picture)
    page.get_by_role("button", name=re.compile("clear|remove", re.I)).first.click()
    page.wait_for_selector("#seen .nothing")
    page.set_input_files(
        "#image input[type=file]", {"name": "photo.heic", "mimeType": "", "buffer": HEIC}
    )
    check_refused(page, "HEIC or AVIF photograph")
