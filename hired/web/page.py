"""The page: its tabs around one engine, and how it is launched."""

from pathlib import Path
from typing import Any

import gradio as gr

from hired.web.api import add_endpoints
from hired.web.benchmarks_tab import add_benchmarks_tab
from hired.web.compare_tab import add_compare_tab
from hired.web.engine import Engine
from hired.web.examples import FOLDER
from hired.web.film_tab import add_film_tab
from hired.web.gate import Gate
from hired.web.handlers import Handlers
from hired.web.limits import Limits
from hired.web.model_box import head
from hired.web.plain import Page
from hired.web.sweep_tab import add_sweep_tab
from hired.web.tabs import add_api_tab, add_how_tab
from hired.web.theme import LAYOUT, MARKS, STYLE, make_theme
from hired.web.wiring import OPEN, QUIET

TITLE = "HiRED side by side"
SESSIONS = 100  # kept by gradio, the last used ones; each holds a copy of the page, 0.3 MB
READY = Path(__file__).with_name("page.js").read_text(encoding="utf-8")


def build(engine: Engine) -> Page:
    """The whole page around one engine; nothing is loaded yet."""
    handlers = Handlers(engine)
    with Page(
        engine, title=TITLE, analytics_enabled=False, delete_cache=(3600, 7200), fill_width=True
    ) as demo:
        header = gr.HTML(head(None), elem_id="header")
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Compare", id="compare"):
                asked = add_compare_tab(demo, handlers, header)
            with gr.Tab("Sweep", id="sweep") as swept:
                add_sweep_tab(handlers, asked, tabs, swept)
            with gr.Tab("Film", id="film") as film:
                add_film_tab(handlers, asked, film)
            with gr.Tab("Benchmarks", id="benchmarks") as benchmarks:
                add_benchmarks_tab(benchmarks)
            with gr.Tab("How it works", id="how") as how:
                add_how_tab(handlers, asked, how)
            with gr.Tab("API", id="api") as api:
                add_api_tab(handlers, asked, api)
        add_endpoints(engine)
        demo.load(
            lambda: head(engine.get().info, engine.note), None, header, js=READY, **OPEN, **QUIET
        )
    return demo


def launch_options(limits: Limits | None = None) -> dict[str, Any]:
    """What `launch` has to be told for this page: looks, limits, and nothing that leaks."""
    limits = limits or Limits()
    return {
        "theme": make_theme(),
        "css_paths": [STYLE, MARKS, LAYOUT],
        "allowed_paths": [str(FOLDER)],
        "max_file_size": limits.upload_mb * 1_000_000,
        "state_session_capacity": SESSIONS,
        "app_kwargs": {"middleware": [(Gate, (), {"limits": limits})]},
        "show_error": False,
        "enable_monitoring": False,
        "run_history": False,
        "ssr_mode": False,
        "strict_cors": True,
        "footer_links": ["api", "settings"],
    }
