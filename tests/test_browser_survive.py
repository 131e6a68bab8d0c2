"""A connection cut in mid-run, in a real Chromium: the form is there again, the loss is said."""

import re
import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from browsing import PATIENCE_MS, ask, browser, open_box, picture, url
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
ASKED = "what colour is the square ?"


class Wire:
    """A TCP connection to a served page that can be cut and mended."""

    def __init__(self, url: str) -> None:
        self.target = (urlsplit(url).hostname, urlsplit(url).port)
        self.whole, self.ends = True, []
        self.door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.door.getsockname()[1]}/"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Every connection ends; new ones are refused until `mend`."""
        self.whole = False
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.ends.clear()

    def mend(self) -> None:
        """New connections are made again."""
        self.whole = True

    def close(self) -> None:
        """No connection is made any more."""
        self.cut()
        self.door.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.door.accept()
                if not self.whole:
                    near.close()
                    continue
                far = socket.create_connection(self.target)
                self.ends += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            end.close()


def test_a_cut_connection_loses_no_image_question_or_budget(browser, url, picture) -> None:
    wire, context = Wire(url), browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(wire.url + "?max_new_tokens=512")
    page.wait_for_selector("#seen .picture img")
    ask(page, picture, ASKED)
    page.fill("#rate input[type=number]", "33")
    page.press("#rate input[type=number]", "Tab")
    expect(page.locator("#readout")).to_contain_text("reads 59 tokens", timeout=PATIENCE_MS)
    open_box(page, "Share, export, history")
    page.click("#copy-link")  # which changes the address
    expect(page.locator("#link textarea, #link input")).to_have_value(re.compile("image=own"))
    page.click("#run")
    page.wait_for_selector("#pane-0 .pane.decode")
    with page.expect_event("framenavigated", timeout=PATIENCE_MS):
        wire.cut()
        page.wait_for_selector(".toast-body")
        wire.mend()
    expect(page.locator(".toast-body", has_text="that answer is lost")).to_be_visible(
        timeout=PATIENCE_MS
    )
    expect(page.locator("#question textarea")).to_have_value(ASKED)
    expect(page.locator("#rate input[type=number]")).to_have_value("33", timeout=PATIENCE_MS)
    expect(page.locator("#readout")).to_contain_text("reads 59 tokens", timeout=PATIENCE_MS)
    assert "noise" in page.get_attribute("#image img", "src")
    page.click("#run")  # the server has ended the run that nobody waits for
    page.wait_for_selector("#pane-0 .pane.decode")
    page.click("#stop")
    page.wait_for_selector("#pane-1 .pane.stopped")

    page.goto(wire.url + "?budget=0.5")  # another link is no reload
    expect(page.locator("#rate input[type=number]")).to_have_value("50", timeout=PATIENCE_MS)
    expect(page.locator("#question textarea")).not_to_have_value(ASKED)
    context.close()
    wire.close()
