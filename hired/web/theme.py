"""One theme, light and dark, on system fonts: nothing is fetched from anywhere."""

from pathlib import Path

import gradio as gr

STYLE = Path(__file__).with_name("style.css")
MARKS = Path(__file__).with_name("marks.css")
LAYOUT = Path(__file__).with_name("layout.css")
FONT = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
MONO = ["ui-monospace", "SF Mono", "Menlo", "Consolas", "monospace"]


def make_theme() -> gr.themes.Base:
    """Slate on white or near-black, one indigo accent."""
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
