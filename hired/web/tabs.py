"""Benchmarks, How it works, API: the tabs that explain."""

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from hired.bench.records import read_lines, rounds_in
from hired.bench.tables import make_report
from hired.errors import HiredError
from hired.web import explain, form, panes, share
from hired.web.engine import read_image
from hired.web.handlers import Handlers
from hired.web.wiring import LOOK, QUIET

RESULTS = Path(__file__).resolve().parents[2] / "assets" / "results"
PUBLISHED = """
### What the paper reports
Cited from [arXiv 2408.10945](https://arxiv.org/abs/2408.10945), LLaVA-NeXT-7B; not measured here.

| Tokens kept | VQAv2 | SQA | TextVQA | DocVQA | OCRBench | MME | POPE | ChartQA |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| all | 80.3 | 73.2 | 64.8 | 73.4 | 501 | 1519 | 87.6 | 54.8 |
| HiRED 40 % | 78.8 | 73.8 | 63.6 | 68.7 | 488 | 1474 | 88.2 | 46.5 |
| HiRED 20 % | 77.5 | 73.4 | 61.4 | 60.8 | 475 | 1483 | 87.0 | 42.0 |
| Spatial 40 % | 77.7 | 68.0 | 57.0 | 58.9 | 369 | 1401 | 87.2 | 39.0 |

On a Tesla P40 (24 GB), batch of one:

| Tokens kept | Tokens/s | To the first token | Peak memory |
| --- | --- | --- | --- |
| all | 0.49 | 19.49 s | 16.04 GB |
| HiRED 40 % | 1.40 | 6.91 s | 14.33 GB |
| HiRED 20 % | 2.30 | 4.21 s | 13.76 GB |

Its tokens per second count 15 new tokens over preparing, prefill and decoding together, so the
4.7× is mostly prefill. Here the phases are always timed apart. A small model on a fast machine
spends little time in prefill and gains little; a 7B model spends most of it there.
"""
API = """
### From another program
The page is also a server: `/compare` streams both answers, `/select` tells which patches stay,
`/sweep` measures many budgets. A budget is text: `"0.2"` or `"20%"` is a share, `"640"` a count.

```python
from gradio_client import Client, handle_file

client = Client("http://127.0.0.1:7860")
job = client.submit(
    image=handle_file("image.png"), question="What is this?", budget="20%", api_name="/compare"
)
for stock, hired, details in job:
    print(stock, "|", hired)
```

### These settings in Python
"""


def add_benchmarks_tab() -> None:
    """What `python -m hired bench` recorded on real machines, and the published numbers."""
    gr.Markdown(recorded(), elem_id="recorded")
    gr.Markdown(PUBLISHED, elem_id="published")


def recorded(folder: Path = RESULTS) -> str:
    """The reports of all recorded benchmarks as Markdown; how to make one if there is none."""
    reports = []
    for path in sorted(folder.glob("*.jsonl")):
        try:
            lines = read_lines(path)
        except HiredError:
            continue
        if rounds_in(lines):
            reports.append(make_report(lines))
    if not reports:
        return "### Measured here\nNothing recorded yet. `python -m hired bench` does it."
    return "### Measured here\n" + "\n\n".join(reports)


def add_how_tab(handlers: Handlers, asked: Any, tab: gr.Tab) -> None:
    """HiRED walked through on the image of the Compare tab."""
    shown = gr.HTML("", elem_id="walk")
    tab.select(partial(_walk, handlers), [asked.image, *asked.form.all], shown, **LOOK, **QUIET)


def add_api_tab(handlers: Handlers, asked: Any, tab: gr.Tab) -> None:
    """The endpoints, and the current settings as code."""
    gr.Markdown(API)
    code = gr.Code(
        language="python", label="Use in Python", interactive=False, elem_id="python-code"
    )
    tab.select(partial(_code, handlers), [asked.question, *asked.form.all], code, **LOOK, **QUIET)


def _walk(handlers: Handlers, path: str | None, *values: Any) -> str:
    if not path:
        return '<div class="nothing"><p>Choose an image in the Compare tab first.</p></div>'
    try:
        return explain.walk(handlers.engine.get(), read_image(path), form.read(*values))
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
