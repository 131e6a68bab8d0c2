"""Named endpoints for programs: the same runs as the page, plain values in and out."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from hired.comparison.overlay import describe_kept
from hired.errors import InputError, SettingError
from hired.selectors import (
    Selector,
    build,
    every_setting,
    settings_of,
    split_lane,
    usual_value,
)
from hired.settings import EXAMPLE, NEW_TOKENS, Number, Setting, Whole
from hired.web import export
from hired.web.blocks import Values, listen, path_of, pick, plain_errors, take_as_sent
from hired.web.engine import Engine
from hired.web.export import Record
from hired.web.pane_state import PaneState
from hired.web.queues import GPU, LOOK
from hired.web.runs import check_here, cover, look_back, run
from hired.web.settings import RUN, Settings, from_mapping, read_lanes
from hired.web.sweep import axes, plan, sweep
from hired.web.uploads import name_picture, read_image
from hired.web.visitors import Stops

BEFORE = ("budget", "alpha", "init_layer", "final_layer", "heads", "newline", "seed")
"""The settings that programs of before give by their places; all others follow at the end."""
WORDS = {
    "image": "a picture: a file uploaded to this server, or a data: URL over MCP",
    "question": "what is asked about it",
    "method": "a name in hired.SELECTORS, such as hired, visionzip or random, or a lane as text: "
    f"{EXAMPLE}",
    "max_new_tokens": RUN["max_new_tokens"].help,
    "lanes": "all panes as text, parted by spaces, in place of the parameters of one method: "
    f"full hired {EXAMPLE}",
    "lane": "a method with its settings as text, in place of the other parameters: " + EXAMPLE,
    "methods": "what is swept, parted by spaces: names, or lanes as text such as " + EXAMPLE,
    "budgets": "rates and counts, parted by spaces",
    "axis": "what else is swept",
    "values": "values of the axis, parted by spaces",
    "coverage": "also tell how much of what the stock answer looked at each lane keeps, word by "
    "word; one pass more, after the run",
}


def describe_parameters() -> dict[str, str]:
    """Describe each parameter of the endpoints, for programs and MCP."""
    settings = {
        key: f"{one.help} ({one.allowed}); left out: {one.write(usual_value(key)) or 'empty'}"
        for key, one in every_setting().items()
    }
    return {**WORDS, "axis": f"{WORDS['axis']}: {', '.join(axes())}", **settings}


def add_endpoints(engine: Engine) -> None:
    """Add `/compare`, `/select` and `/sweep` to the page being built; none is visible."""
    words = describe_parameters()
    with gr.Group(visible=False):
        image = gr.Image(type="filepath", image_mode=None, label="image")
        take_as_sent(image, path_of)
        usual = {"question": "", "method": "hired", "lanes": "", "lane": "", "methods": "",
                 "budgets": "10% 20% 40%", "axis": "none", "values": ""}  # fmt: skip
        texts = {name: gr.Textbox(value, label=words[name]) for name, value in usual.items()}
        tokens = _number(NEW_TOKENS, words["max_new_tokens"])
        coverage = gr.Checkbox(False, label=words["coverage"])
        settings = {key: _box(one, words[key]) for key, one in every_setting().items()}
        answers = {
            "stock": gr.Textbox(label="stock answer so far"),
            "answer": gr.Textbox(label="answer so far"),
            "details": gr.JSON(label="details"),
        }
        selection, rows = gr.JSON(), gr.JSON(label="rows")
        buttons = [gr.Button() for _ in range(3)]
    do = Endpoints(engine)
    old = {"method": texts["method"], **pick(settings, *BEFORE)}
    new = {key: box for key, box in settings.items() if key not in old}
    asked = {"image": image, "question": texts["question"]}
    more = {"max_new_tokens": tokens, "lanes": texts["lanes"], "coverage": coverage}
    swept = {**pick(texts, "budgets", "axis", "values"), "max_new_tokens": tokens,
             "methods": texts["methods"], "coverage": coverage}  # fmt: skip
    listen(
        buttons[0].click, do.compare, {**asked, **old, **more, **new}, answers, words,
        api_name="compare", **GPU,
    )  # fmt: skip
    listen(
        buttons[1].click, do.select, {"image": image, **old, "lane": texts["lane"], **new},
        {"selection": selection}, words, api_name="select", **LOOK,
    )  # fmt: skip
    listen(
        buttons[2].click, do.sweep, {**asked, **swept}, {"rows": rows}, words,
        api_name="sweep", **GPU,
    )  # fmt: skip


def _box(setting: Setting, words: str) -> Component:
    """A setting as a parameter that may be left out, taken as it is sent."""
    plain = isinstance(setting, Number | Whole) and not getattr(setting, "auto", False)
    return _number(None, words) if plain else _as_sent(gr.Textbox("", label=words))


class Endpoints:
    """Handlers of the endpoints around one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def compare(
        self,
        image: str,
        question: str,
        method: str = "hired",
        max_new_tokens: int = NEW_TOKENS,
        lanes: str = "",
        coverage: bool = False,
        **given: Any,
    ) -> Iterator[Values]:
        """Answer a question about an image with all visual tokens and with a method's choice.

        Streams both answers as they grow, of more lanes the first two; the last value has text and
        metrics of every lane. Counts and bytes of the KV cache in them are exact; times
        and peak memory are of one run, which
        shows no difference between the lanes: call it five times and compare the ranges. A
        budget is what is kept: "0.2" or "20%" is a share of all patches, "640" a count, so "1.0"
        is everything and "1" a single token. Cancelling the job stops all lanes.
        """
        with plain_errors(html=False):
            settings = from_mapping(
                {"lanes": read_panes(method, given, lanes), "max_new_tokens": max_new_tokens}
            )
            loaded, picture = self.engine.start(), _open(image)
            if coverage:
                check_here(loaded)
            frames = run(loaded, picture, question, settings, Stops(), self.engine.limits)
            with closing(frames):
                for views in frames:
                    yield self._answers(image, question, settings, views)
            if coverage:
                found = look_back(loaded, picture, question, settings.lanes, max_new_tokens)
                yield self._answers(image, question, settings, cover(views, found))

    def select(self, image: str, method: str = "hired", lane: str = "", **given: Any) -> Values:
        """Tell which patches of an image a method keeps, without asking anything.

        Gives `kept`, `nominal`, `stock`, `newlines`, the `grid`, `budgets` per partition (the
        overview first, crops row by row) and `patches`: the kept raster indices of each.
        """
        with plain_errors(html=False):
            last = read_panes(method, given, lane)[-1]
            picture, loaded = self.engine.limits.check_image(_open(image)), self.engine.get()
            chosen = loaded.preview.select(picture, last)
        told = {
            "kept": chosen.kept,
            "nominal": chosen.nominal,
            "stock": chosen.stock,
            "newlines": chosen.newlines,
            "grid": {"rows": chosen.grid.rows, "cols": chosen.grid.cols, "side": chosen.grid.side},
            "budgets": list(chosen.budgets),
            "patches": [row.nonzero().flatten().tolist() for row in chosen.mask],
            "summary": describe_kept(chosen),
        }
        return {"selection": told}

    def sweep(
        self,
        image: str,
        question: str,
        budgets: str = "10% 20% 40%",
        axis: str = "none",
        values: str = "",
        max_new_tokens: int = NEW_TOKENS,
        methods: str = "",
        coverage: bool = False,
    ) -> Iterator[Values]:
        """Measure one prompt at many budgets, and at several values of one more setting if asked.

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
                    yield {"rows": progress.rows}
            if progress.note or progress.gap:
                raise InputError(progress.note or progress.gap)

    def _answers(
        self, image: str, question: str, settings: Settings, views: list[PaneState]
    ) -> Values:
        shown = name_picture(image, read_image(image))
        facts = export.about(self.engine.get().info, self.engine.versions())
        details = export.as_dict(Record(question, shown, settings, views, facts))
        return {"stock": views[0].text, "answer": views[1].text, "details": details}


def read_panes(method: str, given: Mapping[str, Any], lanes: str = "") -> tuple[Selector, ...]:
    """Read the panes of a call: lanes as text, one alone beside stock, or one method's settings.

    Programs of before send every setting with every method, so that one at its default is as good
    as left out where the method does not have it.

    Raises:
        SettingError: both ways are given, or one of them is wrong.
    """
    known, sent = every_setting(), {k: v for k, v in given.items() if v is not None and v != ""}
    read = {key: known[key].read(key, value) for key, value in sent.items()}
    said = {key: value for key, value in read.items() if repr(value) != repr(usual_value(key))}
    if not lanes.strip():
        name, own = split_lane(str(method))
        mine = {key: value for key, value in read.items() if key in settings_of(name)}
        return Settings().lanes[0], build(name, **{**said, **mine, **own})
    if method != "hired" or said:
        name = "method" if method != "hired" else next(iter(said))
        raise SettingError(
            f"lanes say all of a pane, and {name} is of the form without them. Write it into the "
            f"lane, such as {EXAMPLE}."
        )
    chosen = read_lanes(lanes)
    return chosen if len(chosen) > 1 else (Settings().lanes[0], *chosen)


def _open(path: str | None) -> Any:
    if not path:
        raise InputError("There is no image. Pass one with gradio_client.handle_file.")
    return read_image(path)


def _number(value: float | None, words: str) -> Component:
    return _as_sent(gr.Number(value, label=words))


def _as_sent(box: Component) -> Component:
    """A box whose value comes as it was sent: a declaration says better than gradio what is wrong
    with it.
    """
    take_as_sent(box, lambda payload: payload)
    return box
