"""The tabs that explain: the method step by step on the visitor's image, and the API."""

from functools import partial
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from hired.comparison import overlay
from hired.comparison.layout import cut_words
from hired.errors import HiredError
from hired.selectors import build
from hired.web import form, permalink
from hired.web.engine import Loaded
from hired.web.handlers import Handlers
from hired.web.pictures import data_uri, lay_out
from hired.web.queues import LOOK, QUIET
from hired.web.render import esc
from hired.web.settings import Settings
from hired.web.uploads import read_image
from hired.web.wires import Values, listen, pick


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
        nothing = "<p>Choose an image in the Compare tab first.</p>"
        return {"walk": f'<div class="nothing">{nothing}</div>'}
    try:
        image = handlers.engine.limits.check_image(read_image(path))
        return {"walk": walk(handlers.engine.get(), image, form.read(**fields))}
    except HiredError as error:
        return {"walk": f'<div class="nothing"><p class="fault">{esc(error)}</p></div>'}


def _code(handlers: Handlers, question: str, **fields: Any) -> str:
    try:
        info = handlers.engine.get().info
        return permalink.to_python(
            form.read(**fields), info["name"], question or "What is this?", info["quantization"]
        )
    except HiredError as error:
        return f"# {error}"
