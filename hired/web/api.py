"""Named endpoints for programs: the same runs as the page, plain values in and out."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import gradio as gr

from hired.errors import InputError
from hired.web import pictures
from hired.web.engine import Engine, Stops, read_image
from hired.web.handlers import plain_errors
from hired.web.runs import run
from hired.web.settings import Settings, from_mapping
from hired.web.views import View


def add_endpoints(engine: Engine, gpu: dict[str, Any], look: dict[str, Any]) -> None:
    """Add `/compare` and `/select` to the page being built; nothing of them is visible."""
    with gr.Group(visible=False):
        image = gr.Image(type="filepath", image_mode=None, label="image")
        image.preprocess = lambda payload: payload.path if payload else None
        question = gr.Textbox(label="question")
        method = gr.Textbox("hired", label="method: a name in hired.SELECTORS")
        budget = gr.Textbox("0.2", label="budget: a rate '0.2' or '20%', or a count '640'")
        alpha = gr.Number(0.5, label="alpha, 0 to 1")
        init_layer = gr.Number(0, precision=0, label="init_layer")
        final_layer = gr.Textbox("none", label="final_layer: a number or 'none' for the default")
        heads = gr.Textbox("sum", label="heads: 'sum', 'max' or a number")
        newline = gr.Textbox("none", label="newline: 'none' or 'rows'")
        seed = gr.Number(0, precision=0, label="seed of the random method")
        tokens = gr.Number(64, precision=0, label="max_new_tokens, per lane")
        baseline_text = gr.Textbox(label="baseline answer so far")
        method_text = gr.Textbox(label="the method's answer so far")
        details = gr.JSON(label="model, device, versions, settings, lanes")
        selection = gr.JSON(label="selection")
        compare_it, select_it = gr.Button(), gr.Button()
    choice = [method, budget, alpha, init_layer, final_layer, heads, newline, seed]
    endpoints = Endpoints(engine)
    compare_it.click(
        endpoints.compare,
        [image, question, *choice, tokens],
        [baseline_text, method_text, details],
        api_name="compare",
        **gpu,
    )
    select_it.click(endpoints.select, [image, *choice], selection, api_name="select", **look)


class Endpoints:
    """Handlers of the endpoints around one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def compare(
        self,
        image: str,
        question: str,
        method: str = "hired",
        budget: str = "0.2",
        alpha: float = 0.5,
        init_layer: int = 0,
        final_layer: str = "none",
        heads: str = "sum",
        newline: str = "none",
        seed: int = 0,
        max_new_tokens: int = 64,
    ) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Answer a question about an image with all visual tokens and with a method's choice.

        Streams both answers as they grow; the last value has the metrics of both lanes. A budget
        is what is kept: "0.2" or "20%" is a share of all patches, "640" a count, so "1.0" is
        everything and "1" a single token. Cancelling the job stops both lanes.
        """
        with plain_errors():
            if not image:
                raise InputError("There is no image. Pass one with gradio_client.handle_file.")
            settings = from_mapping(
                {
                    "right": method,
                    "budget": budget,
                    "alpha": alpha,
                    "init_layer": init_layer,
                    "final_layer": final_layer,
                    "heads": heads,
                    "newline": newline,
                    "seed": seed,
                    "max_new_tokens": max_new_tokens,
                }
            )
            loaded = self.engine.get()
            frames = run(loaded, read_image(image), question, settings, Stops())
            with closing(frames):
                for views in frames:
                    yield views[0].text, views[1].text, self._details(settings, views)

    def select(
        self,
        image: str,
        method: str = "hired",
        budget: str = "0.2",
        alpha: float = 0.5,
        init_layer: int = 0,
        final_layer: str = "none",
        heads: str = "sum",
        newline: str = "none",
        seed: int = 0,
    ) -> dict[str, Any]:
        """Which patches of an image a method keeps, without asking anything.

        Gives `kept`, `nominal`, `stock`, `newlines`, the `grid`, `budgets` per partition (the
        overview first, crops row by row) and `patches`: the kept raster indices of each.
        """
        with plain_errors():
            if not image:
                raise InputError("There is no image. Pass one with gradio_client.handle_file.")
            settings = from_mapping(
                {
                    "right": method,
                    "budget": budget,
                    "alpha": alpha,
                    "init_layer": init_layer,
                    "final_layer": final_layer,
                    "heads": heads,
                    "newline": newline,
                    "seed": seed,
                }
            )
            loaded = self.engine.get()
            chosen = loaded.preview.select(read_image(image), settings.selector(method))
        return {
            "kept": chosen.kept,
            "nominal": chosen.nominal,
            "stock": chosen.stock,
            "newlines": chosen.newlines,
            "grid": {"rows": chosen.grid.rows, "cols": chosen.grid.cols, "side": chosen.grid.side},
            "budgets": list(chosen.budgets),
            "patches": [row.nonzero().flatten().tolist() for row in chosen.mask],
            "summary": pictures.describe_kept(chosen),
        }

    def _details(self, settings: Settings, views: list[View]) -> dict[str, Any]:
        info = self.engine.get().info
        return {
            "model": info["name"],
            "device": info["device"],
            "versions": self.engine.versions(),
            "settings": settings.as_dict(),
            "lanes": [
                {
                    "name": view.title,
                    "method": view.method,
                    "phase": view.phase,
                    "text": view.text,
                    "error": view.error,
                    "metrics": view.metrics,
                }
                for view in views
            ],
        }
