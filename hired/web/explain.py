"""The method walked through on the visitor's own image: five steps with its real numbers."""

from typing import Any

import numpy as np
from PIL import Image

from hired.comparison import overlay
from hired.comparison.layout import cut_words
from hired.selectors import build
from hired.web.engine import Loaded
from hired.web.panes import esc
from hired.web.pictures import data_uri, lay_out
from hired.web.settings import Settings


def walked(settings: Settings) -> Any:
    """The HiRED that is explained: that of the first pane that has it, else one as usual."""
    usual = build("hired")
    return next((lane for lane in settings.lanes if lane.name == usual.name), usual)


def walk(loaded: Loaded, image: Image.Image, settings: Settings) -> str:
    """HiRED on this image with these settings, as HTML.

    Raises:
        SettingError: a layer or head does not exist in this model.
    """
    selector = walked(settings)
    preview = loaded.preview
    selection = preview.select(image, selector)
    grid, layout = selection.grid, lay_out(image, selection.grid)
    final = preview.feature_tap if selector.final_layer is None else selector.final_layer
    early = preview.attention(image, selector.init_layer, selector.heads).numpy()
    late = preview.attention(image, final, selector.heads).numpy()
    overview = preview.look(image).cls[selector.init_layer][0]
    content = selector.content(grid, overview)
    cropped = (
        f"An overview and {grid.rows} × {grid.cols} crops of {grid.patches} patches each: "
        f"{grid.nominal:,}. {grid.nominal - grid.candidates:,} of them show only the border "
        f"around the image and can't be kept. With its newline tokens stock LLaVA feeds "
        f"{grid.stock:,}."
        if grid.tiles > 1
        else f"One square of {grid.nominal:,} patches. {cut_words(grid)}".strip()
    )
    only_overview = np.where(np.arange(grid.tiles)[:, None] == 0, early, 0.0)
    steps = [
        ("The image becomes tiles", cropped, overlay.draw_plain(layout), cropped),
        (
            f"Layer {selector.init_layer} looks around",
            "An early layer's CLS attention over the overview shows where there is anything at "
            "all. Each crop is worth the attention that falls into its region.",
            overlay.draw_attention(layout, grid, only_overview),
            overlay.describe_attention(grid, early),
        ),
        ("The budget is shared out", _shares(selection, selector.alpha, content), None, ""),
        (
            f"Layer {final} picks",
            "In each tile the patches that the CLS token of the late layer attends to most win.",
            overlay.draw_attention(layout, grid, late),
            overlay.describe_attention(grid, late),
        ),
        (
            "The rest never reaches the language model",
            f"{selection.kept:,} of {grid.nominal:,} patches go through the projector and are "
            f"read; stock would have fed {grid.stock:,} tokens.",
            overlay.draw_kept(layout, selection),
            overlay.describe_kept(selection),
        ),
    ]
    return '<ol class="walk">' + "".join(_step(*step) for step in steps) + "</ol>"


def _step(title: str, words: str, picture: Image.Image | None, alt: str) -> str:
    shown = f'<img alt="{esc(alt)}" src="{data_uri(picture)}">' if picture else ""
    text = words if words.startswith("<") else f"<p>{esc(words)}</p>"
    return f"<li><div><h2>{esc(title)}</h2>{text}</div>{shown}</li>"


def _shares(selection: Any, alpha: float, content: list[float]) -> str:
    mass = sum(content) or 1.0
    total = selection.kept
    words = (
        f"{total:,} tokens in all. The overview gets α = {alpha:g} of them, the crops "
        f"share the rest by what they are worth; nobody gets more than it has."
    )
    worth = ["–", *(f"{score / mass:.0%}" for score in content)]
    rows = "".join(
        f'<tr><th scope="row">{overlay.tile_name(selection.grid, index)}</th>'
        f"<td>{worth[index]}</td><td>{budget}</td><td>{tile['candidates']}</td></tr>"
        for index, (budget, tile) in enumerate(
            zip(selection.budgets, overlay.count_tiles(selection), strict=True)
        )
    )
    return (
        f'<p>{esc(words)}</p><table><thead><tr><th scope="col">Partition</th>'
        '<th scope="col">Worth</th><th scope="col">Budget</th><th scope="col">Candidates</th>'
        f"</tr></thead><tbody>{rows}</tbody></table>"
    )
