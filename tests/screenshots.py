"""The README's picture of the running page: `python tests/screenshots.py [FOLDER]`.

Serves the embedded model, waits for the first example's answers, and saves the page on a desktop.
Into a folder of your own go also the page in dark, on a phone, and the walk through the method.
"""

import io
import os
import shutil
import socket
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from PIL import Image  # noqa: E402
from playwright.sync_api import Page, sync_playwright  # noqa: E402

from hired.web.engine import Engine  # noqa: E402
from hired.web.page import build, launch_options  # noqa: E402

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 375, "height": 812}, "device_scale_factor": 2}
SHOWN = ROOT / "assets" / "figures"  # holds only what a README shows
PATIENCE_MS = 240_000
VIEWS = {
    "page-light": DESKTOP | {"color_scheme": "light"},
    "page-dark": DESKTOP | {"color_scheme": "dark"},
    "page-phone": PHONE | {"color_scheme": "light"},
}


def wait_for_answers(page: Page) -> None:
    """Until the first example is answered in both panes and its picture is there."""
    for selector in ("#seen .picture img", "#pane-0 .pane.done", "#pane-1 .pane.done"):
        page.wait_for_selector(selector)
    page.wait_for_timeout(1500)


def save(shot: bytes, path: Path) -> None:
    """A screenshot in 255 colours: a third of the size and no visible difference."""
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    picture.quantize(255, dither=Image.Dither.NONE).save(path, optimize=True)


def main(folder: Path) -> None:
    """Take them all."""
    folder.mkdir(parents=True, exist_ok=True)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    engine = Engine()
    engine.get()
    demo = build(engine)
    demo.launch(
        server_name="127.0.0.1",
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        **launch_options(),
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for name, options in VIEWS.items():
            if folder == SHOWN and name != "page-light":
                continue
            page = browser.new_context(**options).new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.goto(demo.local_url, wait_until="commit")
            wait_for_answers(page)
            save(page.screenshot(full_page="phone" in name), folder / f"{name}.png")
            if name == "page-light" and folder != SHOWN:
                page.get_by_role("tab", name="How it works").click()
                page.wait_for_selector(".walk li img")
                page.wait_for_timeout(800)
                save(page.screenshot(full_page=True), folder / "how-it-works.png")
        browser.close()
    demo.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SHOWN)
