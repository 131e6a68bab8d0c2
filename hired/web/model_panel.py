"""The panel of the model: its name, size, what to ask it, and a switch to another one."""

from typing import Any
from urllib.parse import urlsplit

import gradio as gr

from hired.errors import HiredError, ModelError
from hired.metrics import size
from hired.models.allowed import KNOWS
from hired.web.blocks import Values, listen
from hired.web.handlers import Handlers
from hired.web.markup import fill
from hired.web.queues import GPU, OPEN, QUIET
from hired.web.settings import Settings

LOCAL = ("127.0.0.1", "localhost", "::1")
FORWARDED = ("x-forwarded-for", "x-real-ip", "forwarded", "via", "cf-connecting-ip")
BADGES = {
    "embedded": "A toy, trained on pictures that this demo draws: receipts, price lists, departure "
    "boards, bar charts and posters of coloured shapes. Ask it what something costs, when a train "
    "leaves, which bar is the highest, or which digit is on a shape and where that is. It knows "
    "nothing else and says nothing about how HiRED does on real images.",
    "random": "Random weights in a real model's shape: times and sizes are real, words are not.",
    "hub": "A published model. Ask it about photographs and documents.",
    "remote": "Two servers answer, the stock one on the left. What they do not tell is unknown.",
    "local": "A model from this machine's disk.",
}
TOYS = {
    "embedded": f"toy model: it only knows {KNOWS}",
    "random": "random weights: real times, invented words",
}


def add_model_panel(handlers: Handlers, demo: gr.Blocks, asked: Any, header: gr.HTML) -> gr.HTML:
    """Build and wire the box; gives what says which model was loaded."""
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
            words = f"{error} {engine.name} answers on."
            return {"said": fill("page", "not_loaded", words=words)}
        return {
            "panel": describe(info),
            "header": head(info),
            "methods": handlers.describe_methods(),
            **handlers.fit_form(Settings()),
            **handlers.fit_examples(),
            "said": fill("page", "loaded", name=name),
        }

    shown = {"panel": panel, "header": header, **asked.model, "said": said}
    listen(
        load.click, switch, {"name": choice}, shown, api_visibility="private",
        show_progress="full", show_progress_on=said, **GPU,
    )  # fmt: skip

    def arrive(request: gr.Request) -> list[Any]:
        info = engine.get().info
        may = engine.may_switch and is_here(request)
        models = [(f"{name}: {words}", name) for name, words in engine.choices.items()]
        choices = gr.update(choices=models, value=info["name"], visible=may)
        return [describe(info), choices, gr.update(visible=may)]

    demo.load(arrive, None, [panel, choice, load], **OPEN, **QUIET)
    return said


def is_here(request: gr.Request) -> bool:
    """Tell whether a visitor sits at this machine, not behind a proxy or a tunnel."""
    client = request.client.host if request.client else ""
    asked = urlsplit(f"//{request.headers.get('host', '')}").hostname
    return client in LOCAL and asked in LOCAL and not any(map(request.headers.get, FORWARDED))


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
    return fill("page", "model", badge=BADGES[info["origin"]], rows=rows)


def head(info: dict[str, Any] | None, note: str = "") -> str:
    """Head of the page: title, name of the model, and a note on why it is this one."""
    if info is None:
        return fill("page", "head", model="loading the model …", toy="", note=note)
    quantized = f", {info['quantization']}" if info["quantization"] else ""
    model = f"{info['name']} · {info['device']} · {info['dtype']}{quantized}"
    return fill("page", "head", model=model, toy=TOYS.get(info["origin"], ""), note=note)
