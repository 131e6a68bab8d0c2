"""The layout of the page and what is wired to what. No logic of its own."""

from functools import partial
from typing import Any

import gradio as gr

from hired.web import form, panes, pictures
from hired.web.api import add_endpoints
from hired.web.engine import Engine
from hired.web.form import Form
from hired.web.handlers import NO_IMAGE, Handlers
from hired.web.settings import Settings
from hired.web.theme import STYLE, make_theme
from hired.web.views import View

TITLE = "HiRED side by side"
GPU = {"concurrency_id": "gpu", "concurrency_limit": 1}
LOOK = {"concurrency_id": "preview", "concurrency_limit": 2}
QUIET = {"api_visibility": "private", "show_progress": "hidden"}
MAX_WAITING = 24
LIVE = """() => {
  const live = document.querySelector('#live');
  if (live) { live.setAttribute('role', 'status'); live.setAttribute('aria-live', 'polite'); }
  document.documentElement.lang = 'en';
}"""


def build(engine: Engine) -> gr.Blocks:
    """The whole page around one engine; nothing is loaded yet."""
    handlers = Handlers(engine)
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(3600, 7200), fill_width=True
    ) as demo:
        header = gr.HTML(_header(None), elem_id="header")
        with gr.Tabs(elem_id="tabs"), gr.Tab("Compare", id="compare"):
            _compare_tab(demo, engine, handlers)
        add_endpoints(engine, GPU, LOOK)
        demo.load(lambda: _header(_info(engine)), None, header, js=LIVE, **LOOK, **QUIET)
    demo.queue(max_size=MAX_WAITING, api_open=False)
    return demo


def launch_options() -> dict[str, Any]:
    """What `launch` has to be told for this page: looks, limits, and nothing that leaks."""
    return {
        "theme": make_theme(),
        "css_paths": [STYLE],
        "max_file_size": "15mb",
        "show_error": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "strict_cors": True,
        "footer_links": ["api", "settings"],
    }


def _compare_tab(demo: gr.Blocks, engine: Engine, handlers: Handlers) -> None:
    parts: dict[str, Any] = {}
    with gr.Row(elem_id="compare"):
        with gr.Column(elem_id="ask", scale=1, min_width=300):
            image = gr.Image(
                type="filepath",
                image_mode=None,
                sources=["upload", "clipboard"],
                label="Image",
                height=190,
                buttons=["fullscreen"],
                elem_id="image",
            )
            # Gradio would decode the file itself and answer a broken one with a trace.
            image.preprocess = lambda payload: payload.path if payload else None
            question = gr.Textbox(
                label="Question", lines=1, max_lines=3, elem_id="question",
                placeholder="What do you want to know?", submit_btn=False,
            )  # fmt: skip
            form.build_budget(parts)
            with gr.Row(elem_id="go"):
                start = gr.Button("Run", variant="primary", elem_id="run", scale=3, min_width=80)
                stop = gr.Button("Stop", variant="stop", elem_id="stop", scale=1, min_width=70,
                                 interactive=False)  # fmt: skip
            with gr.Accordion("Method and settings", open=False, elem_id="more"):
                form.build_settings(parts)
        with gr.Column(elem_id="happens", scale=3, min_width=320):
            seen, told, mode = _preview_parts()
            results = _result_parts(handlers)
    fields = Form(parts)
    _wire_preview(handlers, image, mode, fields, [seen, told], demo, engine)
    _wire_run(handlers, image, question, fields, results, start, stop)


def _preview_parts() -> tuple[gr.HTML, gr.HTML, gr.Radio]:
    with gr.Group(elem_id="sight"):
        with gr.Row(elem_id="sightbar"):
            told = gr.HTML("", elem_id="readout")
            mode = gr.Radio(
                list(pictures.MODES), value=pictures.KEPT, show_label=False, container=False,
                elem_id="mode", label="What the picture shows",
            )  # fmt: skip
        seen = gr.HTML(NO_IMAGE, elem_id="seen")
    return seen, told, mode


def _result_parts(handlers: Handlers) -> list[Any]:
    views = [View(method) for method in Settings().methods]
    with gr.Row(elem_id="panes"):
        sides = [
            gr.HTML(panes.pane(view, index), elem_id=f"pane-{index}", elem_classes="side")
            for index, view in enumerate(views)
        ]
        sides.append(gr.HTML("", visible=False, elem_id="pane-2", elem_classes="side"))
    verdict = gr.HTML(panes.verdict(views), elem_id="verdict")
    bars = gr.HTML(panes.timeline(views), elem_id="timeline")
    live = gr.HTML("", elem_id="live", elem_classes="hidden")
    return [*sides, verdict, bars, live]


def _wire_preview(
    handlers: Handlers,
    image: gr.Image,
    mode: gr.Radio,
    fields: Form,
    outputs: list[Any],
    demo: gr.Blocks,
    engine: Engine,
) -> None:
    watched = ("left", "right", "third", "kind", "rate", "count", "alpha", "init_layer",
               "final_layer", "heads", "newline", "seed")  # fmt: skip
    gr.on(
        [image.change, mode.change, *(fields.parts[name].change for name in watched)],
        handlers.preview,
        [image, mode, *fields.all],
        outputs,
        trigger_mode="always_last",
        **LOOK,
        **QUIET,
    )
    ranges = [fields.parts[name] for name in ("init_layer", "final_layer", "heads")]
    demo.load(partial(_ranges, engine), None, ranges, **LOOK, **QUIET)


def _wire_run(
    handlers: Handlers,
    image: gr.Image,
    question: gr.Textbox,
    fields: Form,
    results: list[Any],
    start: gr.Button,
    stop: gr.Button,
) -> None:
    buttons = [start, stop]
    begin = gr.on(
        [start.click, question.submit],
        handlers.begin,
        fields.all,
        [*results, *buttons],
        queue=False,
        trigger_mode="once",
        **QUIET,
    )
    running = begin.success(handlers.run, [image, question, *fields.all], results, **GPU, **QUIET)
    running.then(handlers.end, None, buttons, queue=False, **QUIET)
    stop.click(handlers.stop, None, None, queue=False, **QUIET)


def _ranges(engine: Engine) -> list[Any]:
    """Layers and heads this model has."""
    preview = engine.get().preview
    last = preview.layers - 1
    heads = ["sum", "max", *(f"head {index}" for index in range(preview.heads))]
    return [
        gr.update(maximum=last),
        gr.update(maximum=last, value=preview.feature_tap),
        gr.update(choices=heads),
    ]


def _info(engine: Engine) -> dict[str, Any]:
    return engine.get().info


def _header(info: dict[str, Any] | None) -> str:
    model = "loading the model …"
    if info:
        quantized = f", {info['quantization']}" if info["quantization"] else ""
        model = f"{info['name']} · {info['device']} · {info['dtype']}{quantized}"
    toy = ""
    if info and info["origin"] == "embedded":
        toy = '<span class="chip warn" title="Trained for this demo; it knows nothing else">'
        toy += "toy model: coloured shapes only</span>"
    return (
        '<header class="top"><h1>HiRED <span>side by side</span></h1>'
        "<p>One model, one question. The left pane reads every visual token, the right one only "
        "those worth reading.</p>"
        f'<p class="model"><span class="chip">{panes.esc(model)}</span>{toy}</p></header>'
    )
