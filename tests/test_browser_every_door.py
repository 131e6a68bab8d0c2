"""The settings of a toy method on the page in a real Chromium: its row, a link, sweep and code."""

import json

import pytest
from browsing import PATIENCE_MS, browser, open_tab, picture, upload, url, visit
from playwright.sync_api import expect
from toy import HELP, TEXT, registered

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", autouse=True)
def toy():
    with registered() as method:
        yield method


def test_a_toy_s_settings_are_seen_changed_and_carried_away(visit, picture) -> None:
    page = visit(f"?lane=full&lane={TEXT}")
    page.wait_for_selector("html.ready", timeout=PATIENCE_MS)
    upload(page, picture)
    row = page.locator(".lane-form[data-index='1']")
    row.locator("summary").click()
    for key, words in HELP.items():
        label = row.locator(f"label.own.{key}")
        expect(label.locator("b")).to_have_text(key.capitalize())
        expect(label.locator("small")).to_have_text(f"{words.capitalize()}.")
    box = {key: row.locator(f"[data-key={key}]") for key in HELP}
    for key, value in (("weight", "-0.5"), ("rounds", "9"), ("order", "down"), ("face", "1")):
        expect(box[key].first).to_have_value(value)
    expect(box["strict"]).to_be_checked()
    slider, layers = box["weight"].last, box["depth"].last
    assert [slider.get_attribute(name) for name in ("min", "max", "step")] == ["-1", "4", "0.25"]
    assert [layers.get_attribute(name) for name in ("min", "max")] == ["0", "3"], "of this model"
    assert box["order"].locator("option").all_text_contents() == ["up", "down"]
    assert box["face"].locator("option").all_text_contents()[:4] == [
        "sum",
        "max",
        "head 0",
        "head 1",
    ]
    box["weight"].first.fill("2.5")
    box["order"].select_option("up")
    box["strict"].uncheck()
    lane = "toy:budget=30,weight=2.5,rounds=9,depth=2,face=1"
    assert json.loads(page.locator("#panes-text textarea").input_value())["lanes"][1] == lane
    expect(page.locator("#readout")).to_contain_text("Toy reads 30 tokens", timeout=PATIENCE_MS)
    open_tab(page, "API")
    expect(page.locator("#python-code")).to_contain_text(lane, timeout=PATIENCE_MS)
    open_tab(page, "Sweep")
    page.locator("#sweep-axis input").click()
    page.get_by_role("option", name="Weight", exact=True).click()
    values = page.get_by_role("textbox", name="Its values")
    told = "Its values how much a patch counts: a number from -1 to 4"
    expect(values).to_have_accessible_name(told, timeout=PATIENCE_MS)
    assert not page.faults
