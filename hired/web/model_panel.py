"""Which model answers: what it is, what it weighs, what it can be asked; and switching it."""

from typing import Any
from urllib.parse import urlsplit

import gradio as gr

from hired.errors import HiredError, ModelError
from hired.metrics import size
from hired.web import render
from hired.web.handlers import Handlers
from hired.web.queues import GPU, OPEN, QUIET
from hired.web.settings import Settings
from hired.web.wires import Values, listen

LOCAL = ("127.0.0.1", "localhost", "::1")
FORWARDED = ("x-forwarded-for", "x-real-ip", "forwarded", "via", "cf-connecting-ip")
BADGES = {
    "embedded": "A toy, trained for this demo on posters of coloured shapes with digits. Ask it "
    "which digit is on a shape, where a shape is, what colour it has, or how many there are. It "
    "knows nothing else and says nothing about how HiRED does on real images.",
    "random": "Random weights in a real model's shape: times and sizes are real, words are not.",
    "hub": "A published model. Ask it about photographs and documents.",
    "remote": "Two servers answer, the stock one on the left. What they do not tell is unknown.",
    "local": "A model from this machine's disk.",
}


def add_model_panel(handlers: Handlers, demo: gr.Blocks, asked: Any, header: gr.HTML) -> None:
    """Build the box around the Compare tab's left column and the page's header."""
    engine = handlers.engine
    with gr.Accordion("Model", open=False, elem_id="model"):
        panel = gr.HTML("", elem_id="model-panel")
        choice = gr.Dropdown([], label="Load another model", elem_id="model-choice")
        load = gr.Button("Load it", size="sm", elem_id="model-load")
        said = gr.HTML("", elem_id="model-said")

    def switch(
        request: gr.Request, name: str, progress: gr.Progress = gr.Progress(track_tqdm=True)
    ) -> Values:
        progress(0.1, desc=f"Loading {name}; a download can take long")
        try:
            if not is_here(request):
                raise ModelError("Only who sits at this server's machine may switch its model.")
            info = engine.switch(name).info
        except HiredError as error:  # stays to be read, unlike a toast
            return {"said": _failure(error, engine.name)}
        told = f'<p class="note" role="status">{render.esc(name)} is loaded.</p>'
        return {
            "panel": describe(info),
            "header": head(info),
            "methods": handlers.describe_methods(),
            **handlers.fit_form(Settings()),
            **handlers.fit_examples(),
            "said": told,
        }

    shown = {"panel": panel, "header": header, **asked.model, "said": said}
    listen(
        load.click,
        switch,
        {"name": choice},
        shown,
        api_visibility="private",
        show_progress="full",
        show_progress_on=said,
        **GPU,
    )

    def arrive(request: gr.Request) -> list[Any]:
        info = engine.get().info
        may = engine.may_switch and is_here(request)
        models = [(f"{name}: {words}", name) for name, words in engine.choices.items()]
        choices = gr.update(choices=models, value=info["name"], visible=may)
        return [describe(info), choices, gr.update(visible=may)]

    demo.load(arrive, None, [panel, choice, load], **OPEN, **QUIET)


def is_here(request: gr.Request) -> bool:
    """Does a visitor sit at this machine?  Who comes through a proxy or a tunnel on it does not."""
    client = request.client.host if request.client else ""
    asked = urlsplit(f"//{request.headers.get('host', '')}").hostname
    return client in LOCAL and asked in LOCAL and not any(map(request.headers.get, FORWARDED))


def _failure(error: HiredError, kept: str) -> str:
    """Why a model was not loaded, and which one answers on."""
    words = f"{error} {kept} answers on."
    return f'<p class="fault" role="alert">{render.esc(words)}</p>'


def describe(info: dict[str, Any]) -> str:
    """A model's description as a table and an honest badge."""
    quantized = info["quantization"] or "no"
    if info["quantized_tower"]:
        quantized += ", the vision tower too: tokens are selected by quantised attention"
    rows = [
        ("Name", info["name"]),
        ("Family", info["family"]),
        ("Runs on", f"{info['device']} ({info['device_name']})"),
        ("Numbers", info["dtype"]),
        ("Quantised", quantized),
        ("Vision", f"{info['vision_layers']} layers, {info['vision_heads']} heads, "
                   f"{info['tile']} px tiles, {info['patch']} px patches"),
        ("Language", f"{info['text_layers']} layers, {info['text_width']} wide"),
        ("Resting memory", size(info["resting_bytes"])),
    ]  # fmt: skip
    cells = "".join(
        f'<tr><th scope="row">{name}</th><td>{render.esc(value)}</td></tr>' for name, value in rows
    )
    return (
        f'<div class="partitions about"><p class="note">{render.esc(BADGES[info["origin"]])}</p>'
        f"<table><tbody>{cells}</tbody></table></div>"
    )


def head(info: dict[str, Any] | None, note: str = "") -> str:
    """Title, which model answers, and a note on why it is this one."""
    model, toy = "loading the model …", ""
    why = f'<span class="chip">{render.esc(note)}</span>' if note else ""
    if info:
        quantized = f", {info['quantization']}" if info["quantization"] else ""
        model = f"{info['name']} · {info['device']} · {info['dtype']}{quantized}"
        if info["origin"] == "embedded":
            toy = '<span class="chip warn">toy model: it only knows coloured shapes</span>'
        elif info["origin"] == "random":
            toy = '<span class="chip warn">random weights: real times, invented words</span>'
    return (
        '<header class="top"><h1>HiRED <span>side by side</span></h1>'
        "<p>One model, one image, one question: each side reads its own choice of tokens.</p>"
        f'<p class="model"><span class="chip">{render.esc(model)}</span>{toy}{why}'
        '<button type="button" class="to-stage" aria-pressed="false">Stage view</button>'
        "</p></header>"
    )
