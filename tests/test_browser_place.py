"""A run that waits in a real Chromium: its place in the queue, then the number of its repeat."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from browsing import QUESTION, ask, browser, finish, picture, settle
from playwright.sync_api import expect
from serving import SELECT, Caller, before_each_step, serve

from hired.web.engine import Engine
from hired.web.queues import gpu_queue

pytestmark = pytest.mark.browser
SOON_MS = 30_000
ANOTHER = "which digit is it ?"


def test_a_waiting_pane_tells_its_place_and_a_repeat_its_number(browser, tiny, picture) -> None:
    with serve(Engine.holding(*tiny, name="tiny")) as demo:
        page, caller = browser.new_page(), Caller(demo.local_url)
        page.set_default_timeout(SOON_MS)
        page.goto(demo.local_url + "?repeats=2&max_new_tokens=20")
        ask(page, picture)
        values = [caller.upload(picture.read_bytes()), QUESTION, *SELECT, 30]
        held = threading.Event()
        with (
            ThreadPoolExecutor() as others,
            ExitStack() as last,
            before_each_step(tiny[0], lambda _: held.wait(SOON_MS / 1000)),
        ):
            last.callback(held.set)
            calls = [others.submit(caller.call, "compare", values) for _ in range(2)]
            while (queue := gpu_queue(demo))[0] < 1 or len(queue[1]) < 1:
                time.sleep(0.05)
            page.click("#run")
            place = "getComputedStyle(document.querySelector('#pane-1 .hint'), '::after').content"
            page.wait_for_function(f"""() => {place} === '" 2 before you."'""")
            page.click("#stop")  # and another question, before the one that was stopped had a turn
            expect(page.locator("#run")).to_be_enabled()
            expect(page.locator("#pane-1 .pane.idle")).to_have_count(1)
            page.fill("#question textarea", ANOTHER)
            page.press("#question textarea", "Enter")
            page.wait_for_function(f"""() => {place} === '" 2 before you."'""")
            held.set()
            assert {call.result()[0] for call in calls} == {"complete"}
        with before_each_step(tiny[0], lambda _: time.sleep(0.02)):
            for turn in ("1 of 2", "2 of 2"):
                state = page.locator("#pane-0 .state", has_text=f"run {turn}")
                expect(state).to_be_visible(timeout=SOON_MS)
        finish(page)
        settle(page)
        expect(page.locator("#pane-0 .state")).to_have_text("done", timeout=SOON_MS)
        stored = page.evaluate("JSON.parse(localStorage.getItem('hired-runs'))")
        assert [kept["run"]["question"] for kept in stored] == [ANOTHER]
        expect(page.locator("#place style")).to_have_count(0)
        page.close()
