"""The page in a real Chromium: what a visitor does with it."""

import json
import re
import time

import pytest
from browsing import (
    PATIENCE_MS,
    QUESTION,
    answer,
    ask,
    browser,
    expect_answer,
    finish,
    open_box,
    picture,
    settle,
    upload,
    url,
    visit,
)
from playwright.sync_api import expect
from serving import SELECT, Caller, before_each_step, serve

from hired.errors import InputError
from hired.web.engine import Engine
from hired.web.queues import gpu_queue

pytestmark = pytest.mark.browser


def test_upload_preview_run_export_import_history(visit, picture, tmp_path) -> None:
    page = visit()
    ask(page, picture)
    expect(page.locator("#readout")).to_contain_text("HiRED reads 36 tokens instead of 166 (22 %)")
    page.click("#readout summary")
    expect(page.locator("#readout details p")).to_contain_text("20 %: 36 of the 180 patches")
    before = page.get_attribute("#seen img", "src")
    page.fill("#rate input[type=number]", "50")
    page.press("#rate input[type=number]", "Tab")
    expect(page.locator("#readout")).to_contain_text("reads 90 tokens", timeout=PATIENCE_MS)
    assert page.get_attribute("#seen img", "src") != before
    assert "90 of 180 patches are kept" in page.get_attribute("#seen img", "alt")
    page.get_by_label("Init-layer attention").check()
    expect(page.locator("#seen figcaption")).to_contain_text("layer 0", timeout=PATIENCE_MS)
    page.locator(".spot").nth(1).hover()
    expect(page.locator(".spot span").nth(1)).to_be_visible()

    page.click("#run")
    finish(page)
    settle(page)
    expect(page.locator("#verdict")).to_contain_text("fewer")
    expect(page.locator("#timeline .lane")).to_have_count(2)
    expect(page.locator("#said")).to_have_attribute("aria-live", "polite")
    texts = [answer(page, index) for index in (0, 1)]
    assert all(texts) and all(text in page.text_content("#live") for text in texts)

    open_box(page, "Share, export, history")
    expect(page.locator("#save-json")).to_be_enabled(timeout=PATIENCE_MS)
    with page.expect_download() as download:
        page.click("#save-json")
    saved = tmp_path / "run.json"
    download.value.save_as(saved)
    data = json.loads(saved.read_text())
    assert [lane["text"] for lane in data["lanes"]] == texts
    assert "hired:budget=50%" in data["settings"]["lanes"] and data["versions"]["torch"]

    data["lanes"][1]["text"] = "<b>imported</b>"
    saved.write_text(json.dumps(data))
    page.set_input_files("#share input[type=file]", saved)
    expect_answer(page, 1, "<b>imported</b>")
    page.click("#history input")
    page.locator("#history [role=option]").first.click()
    expect_answer(page, 1, texts[1])
    assert not page.faults and not page.strayed


def test_stop_keeps_what_was_said(visit, picture, tiny) -> None:
    page = visit("?max_new_tokens=512")
    ask(page, picture)
    with before_each_step(tiny[0], lambda _: time.sleep(0.02)):  # or it has said all
        page.click("#run")
        page.wait_for_selector("#pane-0 .pane.decode")
        page.press("#question textarea", "Enter")  # again
        told = page.locator(".toast-body", has_text="still being answered; press Stop first")
        expect(told).to_be_visible(timeout=PATIENCE_MS)
        expect(page.locator(".examples button:visible").first).to_be_disabled()
        page.click("#stop")
        page.wait_for_selector("#pane-0 .pane.stopped")
        page.wait_for_selector("#pane-1 .pane.stopped")
        assert page.inner_text("#pane-0 .answer p")
        settle(page)
        page.click("#run")
        page.wait_for_selector("#pane-0 .pane.decode")
        page.locator("#side-0 .halt").click()  # one side; the other goes on
        page.wait_for_selector("#pane-0 .pane.stopped")
        page.wait_for_selector("#pane-1 .pane.decode")
        page.click("#stop")
        settle(page)


def test_link_brings_settings_back_and_is_clamped(visit) -> None:
    page = visit("?budget=64&alpha=0.25&init_layer=99&third=spatial&q=what+%3Cb%3E&nonsense=1")
    expect(page.locator("#question textarea")).to_have_value("what <b>")
    expect(page.locator("#count input")).to_have_value("64")
    expect(page.locator("#pane-2 h3")).to_contain_text("Every k-th patch")
    open_box(page, "Share, export, history")
    page.click("#copy-link")
    expect(page.locator("#link textarea, #link input")).to_have_value(
        re.compile(r"\?.*budget=64"), timeout=PATIENCE_MS
    )
    link = page.input_value("#link textarea, #link input")
    assert "lane=full&lane=hired:budget=64,alpha=0.25,init_layer=3&lane=spatial:budget=64&" in link
    assert page.url == link


def test_errors_are_sentences(visit, tmp_path) -> None:
    page = visit()
    ask(page, None, "   ")
    page.click("#run")
    expect(page.get_by_text("The question is empty")).to_be_visible(timeout=PATIENCE_MS)
    settle(page)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 50)
    upload(page, broken)
    told = page.locator("#note [role=alert]")
    expect(told).to_contain_text("The image file is damaged", timeout=PATIENCE_MS)
    expect(page.locator("#seen .nothing")).to_be_visible()
    assert "Traceback" not in page.content()


def test_sweep_is_measured_live_and_can_be_cancelled(visit, picture) -> None:
    page = visit("?max_new_tokens=8")
    ask(page, picture)
    page.get_by_role("tab", name="Sweep").click()
    page.fill("#sweep-budgets textarea, #sweep-budgets input", "abc")
    page.click("#sweep-run")
    told = page.locator(".toast-body", has_text="A budget is a rate")
    expect(told).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#sweep-stop")).to_be_disabled(timeout=PATIENCE_MS)
    expect(page.locator("#sweep-asked")).to_contain_text(QUESTION)
    expect(page.locator("#sweep-asked img")).to_be_visible()
    page.fill("#sweep-budgets textarea, #sweep-budgets input", "50 %")
    page.click("#sweep-run")
    expect(page.locator("#sweep-bar")).to_contain_text("3 of 3 runs measured.", timeout=PATIENCE_MS)
    expect(page.locator("#sweep-ttft-s g.line")).to_have_count(3)  # stock, HiRED, Random
    expect(page.locator("#sweep-coverage")).to_be_hidden()  # was not asked for
    expect(page.locator("#sweep-csv")).to_be_enabled(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Random at 50 %").click()  # opens its run
    expect(page.locator("#pane-1 h3")).to_have_text("Random", timeout=PATIENCE_MS)
    expect(page.locator("#rate input[type=number]")).to_have_value("50")
    open_box(page, "Share, export, history")
    with page.expect_download() as saved:
        page.click("#save-json")
    assert [lane["method"] for lane in json.loads(saved.value.path().read_text())["lanes"]] == [
        "full", "random",
    ]  # fmt: skip
    page.get_by_role("tab", name="Sweep").click()
    page.fill("#sweep-budgets textarea, #sweep-budgets input", "10% " * 29)
    page.click("#sweep-run")
    expect(page.locator("#sweep-bar")).to_contain_text(
        "of 59 runs measured, about", timeout=PATIENCE_MS
    )
    page.locator("#sweep-grid button").last.dispatch_event("click")  # every row draws it anew
    told = page.locator(".toast-body", has_text="still being measured")
    expect(told).to_be_visible(timeout=PATIENCE_MS)
    page.click("#sweep-stop")
    expect(page.locator("#sweep-bar")).to_contain_text("then cancelled", timeout=PATIENCE_MS)
    page.get_by_role("tab", name="How it works").click()
    expect(page.locator(".walk li")).to_have_count(5, timeout=PATIENCE_MS)
    page.get_by_role("tab", name="API").click()
    expect(page.locator("#python-code")).to_contain_text("hired.compare", timeout=PATIENCE_MS)


def test_comparison_fits_without_scrolling(visit, picture) -> None:
    page = visit()
    ask(page, picture)
    page.click("#run")
    finish(page)
    for part in ("#run", "#pane-0", "#pane-1", "#verdict", "#timeline"):
        box = page.locator(part).bounding_box()
        assert box["y"] + box["height"] <= 800, f"{part} ends below the first screen"


def test_an_example_whose_run_is_refused_leaves_nothing_waiting(
    browser, tiny, picture, monkeypatch
) -> None:
    engine = Engine.holding(*tiny, name="tiny")
    with serve(engine) as demo:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(demo.local_url)
        ask(page, picture)
        page.click("#run")
        finish(page)
        settle(page)
        open_box(page, "Share, export, history")
        expect(page.locator("#save-json")).to_be_enabled(timeout=PATIENCE_MS)
        expect(page.locator("#gaze button")).to_be_visible()

        def refuse(visitor) -> None:
            raise InputError("Not now.")

        monkeypatch.setattr(engine, "expect", refuse)
        page.locator(".examples button:visible").first.click()
        told = page.locator(".toast-body", has_text="Not now.")
        expect(told).to_be_visible(timeout=PATIENCE_MS)
        idle = re.compile("idle")
        expect(page.locator("#pane-1 .pane")).to_have_class(idle, timeout=PATIENCE_MS)
        expect(page.locator("#save-json")).to_be_disabled()
        expect(page.locator("#gaze button")).to_have_count(0)
        expect(page.locator("#run")).to_be_enabled()
        page.close()


def test_a_full_queue_is_told_with_its_limit(browser, tiny, picture) -> None:
    with serve(Engine.holding(*tiny, name="tiny"), queue=1) as demo:
        page, caller = browser.new_page(), Caller(demo.local_url)
        page.set_default_timeout(PATIENCE_MS)
        page.goto(demo.local_url)
        ask(page, picture)
        values = [caller.upload(picture.read_bytes()), QUESTION, *SELECT, 200]
        with before_each_step(tiny[0], lambda _: time.sleep(0.05)):
            while caller.ask("compare", values)[0] == 200:
                pass
            page.click("#run")
            told = page.locator(".toast-body", has_text="at most 1 may wait on this server")
            expect(told).to_be_visible(timeout=PATIENCE_MS)
            expect(page.locator("#panes")).not_to_contain_text("Waiting for the device")
            settle(page)
        while any(gpu_queue(demo)):
            time.sleep(0.1)
        page.click("#run")
        finish(page)
        page.close()


def test_the_first_visitor_sees_the_first_example_answered(browser, tiny) -> None:
    engine = Engine.holding(*tiny)
    engine.name = "not recorded"
    with serve(engine) as demo:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(demo.local_url)
        finish(page)
        page.close()
