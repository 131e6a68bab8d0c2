"""Named endpoints for programs: the same runs as the page, plain values in and out."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr

from hired.comparison.overlay import describe_kept
from hired.errors import InputError, SettingError
from hired.images import describe_image
from hired.selectors import split_lane
from hired.web import export
from hired.web.blocks import path_of, plain_errors, take_as_sent
from hired.web.engine import Engine, Stops
from hired.web.export import Record
from hired.web.pane_state import PaneState
from hired.web.queues import GPU, LOOK
from hired.web.runs import check_here, cover, look_back, run
from hired.web.settings import Settings, from_mapping
from hired.web.sweep import AXES, plan, sweep
from hired.web.uploads import read_image

DROPPING = ("right", "budget", "alpha", "init_layer", "final_layer", "heads", "newline", "seed")
WORDS = {
    "image": "a picture: a file uploaded to this server, or a data: URL over MCP",
    "question": "what is asked about it",
    "method": "a name in hired.SELECTORS, such as hired, visionzip or random; settings that have "
    "no parameter of their own after a colon: visionzip:contextual=0.3,newline=rows",
    "budget": "what is kept: a rate such as 0.2 or 20%, or a count of patches per image such as "
    "640, all partitions together; one beyond what the image has keeps all",
    "alpha": "the overview's share of the budget, 0 to 1",
    "init_layer": "layer of the vision tower that shares the budget out",
    "final_layer": "layer that ranks patches, or none for the feature layer",
    "heads": "sum, max or the number of one attention head",
    "newline": "none, or rows for a newline token after each row",
    "seed": "of the random method",
    "max_new_tokens": "tokens per answer at most",
    "lanes": "all panes as text, parted by spaces, in place of the parameters of one method: "
    "full hired:budget=20% hired:budget=40%,alpha=0.3",
    "lane": "a method with its settings as text, in place of the other parameters: "
    "hired:budget=20%,alpha=0.3",
    "methods": "what is swept, parted by spaces: names, or lanes as text such as hired:alpha=0.3",
    "budgets": "rates and counts, parted by spaces",
    "axis": f"what else is swept: {', '.join(AXES)}",
    "values": "values of the axis, parted by spaces",
    "coverage": "also tell how much of what the stock answer looked at each lane keeps, word by "
    "word; one pass more, after the run",
}


def documented(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """The endpoint with its parameters in its docstring, where clients and MCP read them."""
    names = [name for name in inspect.signature(endpoint).parameters if name in WORDS]
    lines = "\n".join(f"    {name}: {WORDS[name]}" for name in names)
    endpoint.__doc__ = f"{inspect.getdoc(endpoint)}\n\nArgs:\n{lines}"
    return endpoint


def add_endpoints(engine: Engine) -> None:
    """Add `/compare`, `/select` and `/sweep` to the page being built; none is visible."""
    with gr.Group(visible=False):
        image = gr.Image(type="filepath", image_mode=None, label="image")
        take_as_sent(image, path_of)
        question = _text("", "question")
        choice = [
            _text("hired", "method"),
            _text("0.2", "budget"),
            _number(0.5, "alpha"),
            _number(0, "init_layer"),
            _text("none", "final_layer"),
            _text("sum", "heads"),
            _text("none", "newline"),
            _number(0, "seed"),
        ]
        tokens = _number(64, "max_new_tokens")
        lanes, lane, methods = _text("", "lanes"), _text("", "lane"), _text("", "methods")
        budgets = _text("10% 20% 40%", "budgets")
        axis, values = _text("none", "axis"), _text("", "values")
        coverage = gr.Checkbox(False, label=f"coverage: {WORDS['coverage']}")
        texts = [gr.Textbox(label="stock answer so far"), gr.Textbox(label="answer so far")]
        details, selection, rows = gr.JSON(label="details"), gr.JSON(), gr.JSON(label="rows")
        buttons = [gr.Button() for _ in range(3)]
    do = Endpoints(engine)
    asked = [image, question]
    buttons[0].click(
        do.compare, [*asked, *choice, tokens, lanes, coverage], [*texts, details],
        api_name="compare", **GPU,
    )  # fmt: skip
    buttons[1].click(do.select, [image, *choice, lane], selection, api_name="select", **LOOK)
    swept = [*asked, budgets, axis, values, tokens, methods, coverage]
    buttons[2].click(do.sweep, swept, rows, api_name="sweep", **GPU)


class Endpoints:
    """Handlers of the endpoints around one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @documented
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
        lanes: str = "",
        coverage: bool = False,
    ) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Answer a question about an image with all visual tokens and with a method's choice.

        Streams both answers as they grow, of more lanes the first two; the last value has text and
        metrics of every lane. Counts and bytes of the KV cache in them are exact; times
        and peak memory are of one run, which
        shows no difference between the lanes: call it five times and compare the ranges. A
        budget is what is kept: "0.2" or "20%" is a share of all patches, "640" a count, so "1.0"
        is everything and "1" a single token. Cancelling the job stops all lanes.
        """
        chosen = (method, budget, alpha, init_layer, final_layer, heads, newline, seed)
        with plain_errors(html=False):
            settings = _settings(*chosen, lanes=lanes, max_new_tokens=max_new_tokens)
            loaded, picture = self.engine.start(), _open(image)
            if coverage:
                check_here(loaded)
            frames = run(loaded, picture, question, settings, Stops(), self.engine.limits)
            with closing(frames):
                for views in frames:
                    kept = self._details(image, question, settings, views)
                    yield views[0].text, views[1].text, kept
            if coverage:
                found = look_back(loaded, picture, question, settings.lanes, max_new_tokens)
                kept = self._details(image, question, settings, cover(views, found))
                yield views[0].text, views[1].text, kept

    @documented
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
        lane: str = "",
    ) -> dict[str, Any]:
        """Which patches of an image a method keeps, without asking anything.

        Gives `kept`, `nominal`, `stock`, `newlines`, the `grid`, `budgets` per partition (the
        overview first, crops row by row) and `patches`: the kept raster indices of each.
        """
        with plain_errors(html=False):
            given = (method, budget, alpha, init_layer, final_layer, heads, newline, seed)
            lanes = f"{Settings().texts[0]} {lane}" if lane else ""
            last = _settings(*given, lanes=lanes).lanes[-1]
            picture, loaded = self.engine.limits.check_image(_open(image)), self.engine.get()
            chosen = loaded.preview.select(picture, last)
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

    @documented
    def sweep(
        self,
        image: str,
        question: str,
        budgets: str = "10% 20% 40%",
        axis: str = "none",
        values: str = "",
        max_new_tokens: int = 64,
        methods: str = "",
        coverage: bool = False,
    ) -> Iterator[list[dict[str, Any]]]:
        """One prompt at many budgets, and at several values of one more setting if asked.

        Streams the rows measured so far, the stock baseline first. Cancelling the job ends it.
        """
        with plain_errors(html=False):
            settings = from_mapping({"max_new_tokens": max_new_tokens})
            planned = plan(settings, budgets, axis, values, methods.split())
            picture, stops = _open(image), Stops()
            frames = sweep(
                self.engine.start(), picture, question, planned, stops.everything,
                limits=self.engine.limits, name=Path(image).name, coverage=coverage,
            )  # fmt: skip
            with closing(frames):
                for progress in frames:
                    yield progress.rows
            if progress.note or progress.gap:
                raise InputError(progress.note or progress.gap)

    def _details(
        self, image: str, question: str, settings: Settings, views: list[PaneState]
    ) -> dict[str, Any]:
        shown = describe_image(Path(image).name, read_image(image))
        facts = export.about(self.engine.get().info, self.engine.versions())
        return export.as_dict(Record(question, shown, settings, views, facts))


def _settings(*chosen: Any, lanes: str = "", **more: Any) -> Settings:
    """What an endpoint was asked: lanes as text, or stock beside one method.

    Raises:
        SettingError: both are given, or one of them is wrong.
    """
    given = dict(zip(DROPPING, chosen, strict=True))
    if lanes.strip():
        usual = inspect.signature(Endpoints.select).parameters
        names = ["method" if name == "right" else name for name in DROPPING]
        for name, value in zip(names, chosen, strict=True):
            if value != usual[name].default:
                raise SettingError(
                    f"lanes say all of a pane, and {name} is of the form without them. Write it "
                    f"into the lane, such as hired:budget=10%,alpha=0.3."
                )
        return from_mapping({"lanes": lanes, **more})
    given["right"], own = split_lane(str(given["right"]))
    return from_mapping(given | own | more)


def _open(path: str | None) -> Any:
    if not path:
        raise InputError("There is no image. Pass one with gradio_client.handle_file.")
    return read_image(path)


def _text(value: str, name: str) -> gr.Textbox:
    return gr.Textbox(value, label=f"{name}: {WORDS[name]}")


def _number(value: float, name: str) -> gr.Number:
    """A number as it was sent: `Settings` says better than gradio what is wrong with it."""
    number = gr.Number(value, label=f"{name}: {WORDS[name]}")
    take_as_sent(number, lambda payload: payload)
    return number
