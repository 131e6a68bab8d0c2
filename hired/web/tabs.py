"""How it works, API: the tabs that explain."""

from functools import partial
from typing import Any

import gradio as gr

from hired.errors import HiredError
from hired.web import explain, form, panes, share
from hired.web.handlers import Handlers
from hired.web.uploads import read_image
from hired.web.wiring import LOOK, QUIET

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
    tab.select(partial(_walk, handlers), [asked.image, *asked.form.all], shown, **LOOK, **QUIET)


def add_api_tab(handlers: Handlers, asked: Any, tab: gr.Tab) -> None:
    """The endpoints, and the current settings as code."""
    words = gr.Markdown(API.replace("ADDRESS", "http://127.0.0.1:7860"))
    code = gr.Code(
        language="python", label="Use in Python", interactive=False, elem_id="python-code"
    )

    def show(request: gr.Request, question: str, *values: Any) -> list[str]:
        address = request.headers.get("origin") or "http://127.0.0.1:7860"
        return [API.replace("ADDRESS", address), _code(handlers, question, *values)]

    tab.select(show, [asked.question, *asked.form.all], [words, code], **LOOK, **QUIET)


def _walk(handlers: Handlers, path: str | None, *values: Any) -> str:
    if not path:
        return '<div class="nothing"><p>Choose an image in the Compare tab first.</p></div>'
    try:
        image = handlers.engine.limits.check_image(read_image(path))
        return explain.walk(handlers.engine.get(), image, form.read(*values))
    except HiredError as error:
        return f'<div class="nothing"><p class="fault">{panes.esc(error)}</p></div>'


def _code(handlers: Handlers, question: str, *values: Any) -> str:
    try:
        info = handlers.engine.get().info
        return share.to_python(
            form.read(*values), info["name"], question or "What is this?", info["quantization"]
        )
    except HiredError as error:
        return f"# {error}"
