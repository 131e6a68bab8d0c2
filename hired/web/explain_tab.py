"""The tabs that explain: the method step by step on the visitor's image, and the API."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from hired.comparison import overlay
from hired.comparison.layout import cut_words
from hired.errors import HiredError
from hired.selectors import Selection, build
from hired.tiles import TileGrid
from hired.web import form, permalink
from hired.web.blocks import Values, listen, pick
from hired.web.engine import Loaded
from hired.web.handlers import Handlers
from hired.web.markup import fill
from hired.web.pictures import data_uri, lay_out
from hired.web.queues import LOOK, QUIET
from hired.web.settings import Settings
from hired.web.uploads import read_image


def walked(settings: Settings) -> Any:
    """The HiRED to explain: that of the first pane that has it, else one of usual settings."""
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
    cropped = _cut(grid)
    only_overview = np.where(np.arange(grid.tiles)[:, None] == 0, early, 0.0)
    return fill(
        "walk",
        "walk",
        cut=cropped,
        tiles=_picture(overlay.draw_plain(layout), cropped),
        init=selector.init_layer,
        early=_picture(
            overlay.draw_attention(layout, grid, only_overview),
            overlay.describe_attention(grid, early),
        ),
        kept=f"{selection.kept:,}",
        alpha=f"{selector.alpha:g}",
        shares=_shares(selection, selector.content(grid, overview)),
        final=final,
        late=_picture(
            overlay.draw_attention(layout, grid, late), overlay.describe_attention(grid, late)
        ),
        nominal=f"{grid.nominal:,}",
        stock=f"{grid.stock:,}",
        left=_picture(overlay.draw_kept(layout, selection), overlay.describe_kept(selection)),
    )


def _cut(grid: TileGrid) -> str:
    """Tiles and patches that an image is cut into, in words."""
    if grid.tiles == 1:
        return f"One square of {grid.nominal:,} patches. {cut_words(grid)}".strip()
    return (
        f"An overview and {grid.rows} × {grid.cols} crops of {grid.patches} patches each: "
        f"{grid.nominal:,}. {grid.nominal - grid.candidates:,} of them show only the border "
        f"around the image and can't be kept. With its newline tokens stock LLaVA feeds "
        f"{grid.stock:,}."
    )


def _picture(picture: Image.Image, words: str) -> dict[str, str]:
    return {"source": data_uri(picture), "words": words}


def _shares(selection: Selection, content: Sequence[float]) -> list[tuple[str, str, int, Any]]:
    """Name, worth, budget and candidates of each partition."""
    mass = sum(content) or 1.0
    worth = ["–", *(f"{score / mass:.0%}" for score in content)]
    tiles = overlay.count_tiles(selection)
    return [
        (overlay.tile_name(selection.grid, index), worth[index], budget, tile["candidates"])
        for index, (budget, tile) in enumerate(zip(selection.budgets, tiles, strict=True))
    ]


API = """
### From another program
The page is also a server: `/compare` streams both answers, `/select` tells which patches stay,
`/sweep` measures many budgets. A budget is text: `"0.2"` or `"20%"` is a share, `"640"` a count.

```python
from gradio_client import Client, handle_file

client = Client("ADDRESS")
job = client.submit(
    image=handle_file("image.png"), question="What is this?", budget="20%", api_name="/compare"
)
for stock, hired, details in job:
    print(stock, "|", hired)
```

As MCP tools: `pip install -r hired/web/mcp-requirements.txt`, then start the app with `--mcp`.

### These settings in Python
"""


def add_how_tab(handlers: Handlers, asked: Any, tab: gr.Tab) -> None:
    """HiRED walked through on the image of the Compare tab."""
    shown = gr.HTML("", elem_id="walk")
    reads, walk = pick(asked.parts, "path", *form.FIELDS), {"walk": shown}
    listen(tab.select, partial(_walk, handlers), reads, walk, **LOOK, **QUIET)


def add_api_tab(handlers: Handlers, asked: Any, tab: gr.Tab) -> None:
    """The endpoints, and the current settings as code."""
    words = gr.Markdown(API.replace("ADDRESS", "http://127.0.0.1:7860"))
    code = gr.Code(
        language="python", label="Use in Python", interactive=False, elem_id="python-code"
    )

    def show(request: gr.Request, question: str, **fields: Any) -> Values:
        address = request.headers.get("origin") or "http://127.0.0.1:7860"
        told = API.replace("ADDRESS", address)
        return {"words": told, "code": _code(handlers, question, **fields)}

    reads = pick(asked.parts, "question", *form.FIELDS)
    listen(tab.select, show, reads, {"words": words, "code": code}, **LOOK, **QUIET)


def _walk(handlers: Handlers, path: str | None, **fields: Any) -> Values:
    if not path:
        words = "Choose an image in the Compare tab first."
        return {"walk": fill("pictures", "nothing", words=words)}
    try:
        image = handlers.engine.limits.check_image(read_image(path))
        return {"walk": walk(handlers.engine.get(), image, form.read(**fields))}
    except HiredError as error:
        return {"walk": fill("pictures", "fault", words=error, again=False)}


def _code(handlers: Handlers, question: str, **fields: Any) -> str:
    try:
        info = handlers.engine.get().info
        return permalink.to_python(
            form.read(**fields), info["name"], question or "What is this?", info["quantization"]
        )
    except HiredError as error:
        return f"# {error}"
