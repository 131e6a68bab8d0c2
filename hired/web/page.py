"""The page: its tabs around one engine, and the options of its launch."""

from pathlib import Path
from typing import Any

import gradio as gr

from hired.web.api import add_endpoints
from hired.web.benchmarks_tab import add_benchmarks_tab
from hired.web.blocks import Page
from hired.web.compare_tab import add_compare_tab
from hired.web.engine import Engine
from hired.web.examples import FOLDER
from hired.web.explain_tab import add_api_tab, add_how_tab
from hired.web.film_tab import add_film_tab
from hired.web.handlers import Handlers
from hired.web.limits import Limits
from hired.web.markup import script
from hired.web.middleware import Gate
from hired.web.model_panel import head
from hired.web.queues import OPEN, QUIET
from hired.web.sweep_tab import add_sweep_tab

STYLE = Path(__file__).with_name("style.css")
MARKS = Path(__file__).with_name("marks.css")
LAYOUT = Path(__file__).with_name("layout.css")
CHART = Path(__file__).with_name("chart.css")
FONT = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
MONO = ["ui-monospace", "SF Mono", "Menlo", "Consolas", "monospace"]


def make_theme() -> gr.themes.Base:
    """Theme of the page: slate on white or near-black, one indigo accent."""
    return gr.themes.Base(
        primary_hue="indigo",
        secondary_hue="emerald",
        neutral_hue="slate",
        font=FONT,
        font_mono=MONO,
        radius_size="md",
        spacing_size="sm",
        text_size="sm",
    ).set(
        body_background_fill="#f6f7fb",
        body_background_fill_dark="#0d111b",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#151a27",
        block_background_fill="#ffffff",
        block_background_fill_dark="#151a27",
        block_border_width="1px",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="#ffffff",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_600",
    )


TITLE = "HiRED side by side"
SESSIONS = 100  # kept by gradio, the last used ones; each holds a copy of the page, 0.3 MB


def build(engine: Engine) -> Page:
    """The whole page around one engine; nothing is loaded yet."""
    handlers = Handlers(engine)

    def show_head() -> str:
        return head(engine.get().info, engine.note)

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
        demo.load(show_head, None, header, js=script("page"), **OPEN, **QUIET)
    return demo


def launch_options(limits: Limits | None = None) -> dict[str, Any]:
    """Options of `launch` for this page: looks, limits, and nothing that leaks."""
    limits = limits or Limits()
    return {
        "theme": make_theme(),
        "css_paths": [STYLE, MARKS, LAYOUT, CHART],
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
