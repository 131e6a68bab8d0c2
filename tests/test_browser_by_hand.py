"""Patches picked by hand in a real Chromium: mouse, finger and keys, the budget, and a run."""

import json

import pytest
from browsing import PATIENCE_MS, ask, browser, finish, picture, settle, upload, url, visit
from conftest import make_image
from playwright.sync_api import expect

from hired.selectors import ByHand, parse, read_settings
from hired.selectors.by_hand import read_patches

pytestmark = pytest.mark.browser
LANES = "?lane=full&lane=hired:budget=20&max_new_tokens=4"


@pytest.fixture
def editor(visit, picture):
    """A page whose second pane is picked by hand, from the 20 patches that HiRED keeps."""

    def go(**options):
        page = visit(LANES, **options)
        ask(page, picture)
        expect(page.locator("#readout")).to_contain_text("reads 20 tokens", timeout=PATIENCE_MS)
        choose(page)
        return page

    return go


def choose(page) -> None:
    page.locator(".lane-form[data-index='1'] .method").select_option("hand")
    told(page, "20 of 180 patches kept.")


def told(page, words: str) -> None:
    expect(page.locator(".by-hand .count b")).to_have_text(words, timeout=PATIENCE_MS)


def picked(page):
    """The mask that the page's text says; the text is as Python writes it."""
    text = json.loads(page.locator("#panes-text textarea").input_value())["lanes"][1]
    lane = parse(text)
    assert lane.text == text
    return read_patches(lane.patches)[2]


def place(page, tile: int, row: int, col: int) -> tuple[float, float]:
    """The middle of a patch on the screen."""
    find = """([tile, row, col]) => {
      const figure = document.querySelector('.by-hand'), canvas = figure.querySelector('canvas');
      const {boxes, cut} = JSON.parse(figure.dataset.hand), box = canvas.getBoundingClientRect();
      const [left, top, edge] = boxes[tile], scale = box.width / canvas.width;
      const at = (cell) => (edge * (cell + .5)) / cut[2];
      return [box.left + (left + at(col)) * scale, box.top + (top + at(row)) * scale];
    }"""
    page.locator(".by-hand .cells").scroll_into_view_if_needed()
    return tuple(page.evaluate(find, [tile, row, col]))


def test_mouse_tile_keys_undo_and_a_run(editor, visit) -> None:
    page = editor()
    first = picked(page)
    page.get_by_role("button", name="All tokens (stock)").click()
    open_ = picked(page)
    assert 36 < open_.sum() < 180, "its letterbox is no patch to keep"
    page.get_by_role("button", name="Undo").click()
    assert (picked(page) == first).all()
    page.evaluate("document.querySelector('.by-hand').dataset.same = 'yes'")

    value = not first[0, 0]
    page.mouse.click(*place(page, 0, 0, 0))
    told(page, f"{20 + (1 if value else -1)} of 180 patches kept.")
    assert picked(page)[0, 0] == value

    value = not picked(page)[1, 6]  # a drag does with all what it does with the first
    page.mouse.move(*place(page, 1, 1, 0))
    page.mouse.down()
    page.mouse.move(*place(page, 1, 1, 4))
    page.mouse.up()
    assert picked(page)[1, 6:11].tolist() == [value] * 5

    header = page.locator(".by-hand [data-tile='2']")
    header.click()
    expect(header).to_have_attribute("aria-pressed", "true")
    assert (picked(page)[2] == open_[2]).all()
    header.click()
    expect(header).to_have_attribute("aria-pressed", "false")
    before = picked(page)
    assert not before[2].any()

    page.locator(".by-hand .cells").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert (picked(page) != before).sum() == 1
    expect(page.locator(".by-hand .count span")).to_contain_text("row")
    page.keyboard.press("Control+z")
    assert (picked(page) == before).all()

    kept = int(before.sum())
    expect(page.locator("#readout")).to_contain_text(f"reads {kept} tokens", timeout=PATIENCE_MS)
    assert page.evaluate("document.querySelector('.by-hand').dataset.same") == "yes"
    page.click("#run")
    expect(page.locator("#pane-1")).to_contain_text(f"{kept} visual tokens", timeout=PATIENCE_MS)
    finish(page)
    settle(page)
    assert not page.faults


def test_the_last_patch_stays(editor) -> None:
    page = editor()
    page.get_by_role("button", name="All tokens (stock)").click()
    open_ = picked(page)
    told(page, f"{int(open_.sum())} of 180 patches kept.")
    for tile in range(5):
        page.locator(f".by-hand [data-tile='{tile}']").click()
    expect(page.locator(".by-hand .count span")).to_have_text("Keep at least one patch.")
    assert (picked(page)[4] == open_[4]).all() and picked(page).sum() == open_[4].sum()
    assert not page.faults


def test_tied_to_the_budget_one_in_is_the_weakest_out(editor) -> None:
    page = editor()
    first = picked(page)
    page.locator(".by-hand .tie input").check()
    told(page, "20 of 180 patches kept, tied to 20.")
    empty = int((~first[0]).nonzero()[0])
    page.mouse.click(*place(page, 0, *divmod(empty, 6)))
    now = picked(page)
    assert now.sum() == 20 and now[0, empty] and (first & ~now).sum() == 1
    full = int((first & now)[0].nonzero()[0])
    page.mouse.click(*place(page, 0, *divmod(full, 6)))
    last = picked(page)
    assert last.sum() == 20 and last[0, empty] and not last[0, full], "what was picked stays"
    assert not page.faults


def test_patches_of_another_picture_are_refused_and_begun_again(editor, tmp_path) -> None:
    page = editor()
    page.locator(".lane-form[data-index='0'] .method").select_option("hand")
    expect(page.locator(".by-hand")).to_be_visible()
    make_image(60, 300).save(tmp_path / "wide.png")
    upload(page, tmp_path / "wide.png")
    fault = page.locator("#seen .fault")
    expect(fault).to_contain_text("The patches were picked on an image of", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Start again on this picture").click()
    expect(page.locator(".by-hand .count b")).to_contain_text("patches kept", timeout=PATIENCE_MS)
    expect(fault).to_have_count(0)
    assert not page.faults


def test_a_finger_picks_by_a_tap_and_by_a_stroke_across_but_scrolls_up_and_down(editor) -> None:
    page = editor(viewport={"width": 375, "height": 812}, has_touch=True, is_mobile=True)
    before = picked(page)
    page.touchscreen.tap(*place(page, 0, 2, 2))
    expect(page.locator(".by-hand .count span")).to_contain_text("overview, row 3, column 3")
    assert (picked(page) != before).nonzero().tolist() == [[0, 14]]
    reach = page.context.new_cdp_session(page)

    def swipe(start, end) -> None:
        points = [[start[i] + (end[i] - start[i]) * step / 8 for i in (0, 1)] for step in range(9)]
        for index, (x, y) in enumerate(points):
            kind = "touchMove" if index else "touchStart"
            point = {"type": kind, "touchPoints": [{"x": x, "y": y}]}
            reach.send("Input.dispatchTouchEvent", point)
        reach.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    before = picked(page)
    value = not before[0, 24]
    swipe(place(page, 0, 4, 0), place(page, 0, 4, 5))
    turned = int((before[0, 24:30] != value).sum()) * (1 if value else -1)
    told(page, f"{int(before.sum()) + turned} of 180 patches kept.")
    assert (picked(page)[0, 24:30] == value).all()
    before, top = picked(page), page.evaluate("scrollY")
    x, y = place(page, 0, 3, 3)
    swipe((x, y), (x, y - 200))
    page.wait_for_function(f"scrollY > {top}")
    assert (picked(page) == before).all()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not page.faults


def test_a_link_without_patches_keeps_everything_until_one_is_dropped(visit, picture) -> None:
    page = visit("?lane=full&lane=hand&max_new_tokens=4")
    ask(page, picture)
    expect(page.locator("#readout")).to_contain_text("reads 166 tokens", timeout=PATIENCE_MS)
    expect(page.locator(".by-hand [data-tile='0']")).to_have_attribute("aria-pressed", "true")
    page.mouse.click(*place(page, 0, 5, 5))
    mask = picked(page)
    assert not mask[0, 35] and mask[0].sum() == 35
    assert not page.faults


def test_a_link_brings_the_patches_and_the_editor(visit, picture) -> None:
    lane = ByHand(**read_settings("hand", {"patches": "2x2x6.AB....I"}))
    page = visit(f"?lane=full&lane={lane.text}&max_new_tokens=4")
    ask(page, picture)
    told(page, "2 of 180 patches kept.")
    assert picked(page).nonzero().tolist() == [[0, 11], [4, 2]]
    assert not page.faults
