"""Named endpoints for programs: the same runs as the page, plain values in and out."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import gradio as gr

from hired.errors import InputError
from hired.overlay import describe_kept
from hired.web import record
from hired.web.engine import Engine, Stops, read_image
from hired.web.handlers import plain_errors
from hired.web.record import Record
from hired.web.runs import run
from hired.web.settings import Settings, from_mapping
from hired.web.sweep import plan, sweep
from hired.web.views import View
from hired.web.wiring import GPU, LOOK

DROPPING = ("right", "budget", "alpha", "init_layer", "final_layer", "heads", "newline", "seed")


def add_endpoints(engine: Engine) -> None:
    """Add `/compare`, `/select` and `/sweep` to the page being built; none is visible."""
    with gr.Group(visible=False):
        image = gr.Image(type="filepath", image_mode=None, label="image")
        image.preprocess = lambda payload: payload.path if payload else None
        question = gr.Textbox(label="question")
        choice = [
            gr.Textbox("hired", label="method: a name in hired.SELECTORS"),
            gr.Textbox("0.2", label="budget: a rate '0.2' or '20%', or a count '640'"),
            gr.Number(0.5, label="alpha, 0 to 1"),
            gr.Number(0, precision=0, label="init_layer"),
            gr.Textbox("none", label="final_layer: a number, or 'none' for the feature layer"),
            gr.Textbox("sum", label="heads: 'sum', 'max' or a number"),
            gr.Textbox("none", label="newline: 'none' or 'rows'"),
            gr.Number(0, precision=0, label="seed of the random method"),
        ]
        tokens = gr.Number(64, precision=0, label="max_new_tokens, per lane")
        budgets = gr.Textbox("10% 20% 40%", label="budgets, parted by spaces")
        axis = gr.Textbox("none", label="axis: none, method, alpha, init_layer or final_layer")
        values = gr.Textbox("", label="values of the axis, parted by spaces")
        texts = [gr.Textbox(label="stock answer so far"), gr.Textbox(label="answer so far")]
        details, selection, rows = gr.JSON(label="details"), gr.JSON(), gr.JSON(label="rows")
        buttons = [gr.Button() for _ in range(3)]
    do = Endpoints(engine)
    asked = [image, question]
    buttons[0].click(
        do.compare, [*asked, *choice, tokens], [*texts, details], api_name="compare", **GPU
    )
    buttons[1].click(do.select, [image, *choice], selection, api_name="select", **LOOK)
    buttons[2].click(
        do.sweep, [*asked, budgets, axis, values, tokens], rows, api_name="sweep", **GPU
    )


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
        chosen = (method, budget, alpha, init_layer, final_layer, heads, newline, seed)
        with plain_errors():
            settings = _settings(*chosen, max_new_tokens=max_new_tokens)
            frames = run(self.engine.get(), _open(image), question, settings, Stops())
            with closing(frames):
                for views in frames:
                    kept = self._details(image, question, settings, views)
                    yield views[0].text, views[1].text, kept

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
            settings = _settings(
                method, budget, alpha, init_layer, final_layer, heads, newline, seed
            )
            picture, loaded = _open(image), self.engine.get()
            chosen = loaded.preview.select(picture, settings.selector(method))
        return {
            "kept": chosen.kept,
            "nominal": chosen.nominal,
            "stock": chosen.stock,
            "newlines": chosen.newlines,
            "grid": {"rows": chosen.grid.rows, "cols": chosen.grid.cols, "side": chosen.grid.side},
            "budgets": list(chosen.budgets),
            "patches": [row.nonzero().flatten().tolist() for row in chosen.mask],
            "summary": describe_kept(chosen),
        }

    def sweep(
        self,
        image: str,
        question: str,
        budgets: str = "10% 20% 40%",
        axis: str = "none",
        values: str = "",
        max_new_tokens: int = 64,
    ) -> Iterator[list[dict[str, Any]]]:
        """One prompt at many budgets, and at several values of one more setting if asked.

        Streams the rows measured so far, the stock baseline first. Cancelling the job ends it.
        """
        with plain_errors():
            planned = plan(from_mapping({"max_new_tokens": max_new_tokens}), budgets, axis, values)
            picture, stops = _open(image), Stops()
            frames = sweep(self.engine.get(), picture, question, planned, stops.everything)
            with closing(frames):
                for progress in frames:
                    yield progress.rows

    def _details(
        self, image: str, question: str, settings: Settings, views: list[View]
    ) -> dict[str, Any]:
        picture = read_image(image)
        size = {"name": "image", "height": picture.height, "width": picture.width}
        facts = record.about(self.engine.get().info, self.engine.versions())
        return record.as_dict(Record(question, size, settings, views, facts))


def _settings(*chosen: Any, **more: Any) -> Settings:
    return from_mapping(dict(zip(DROPPING, chosen, strict=True)) | more)


def _open(path: str | None) -> Any:
    if not path:
        raise InputError("There is no image. Pass one with gradio_client.handle_file.")
    return read_image(path)
