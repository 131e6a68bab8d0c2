"""The panel "What did it look at?": words of the answers to point at, each with its map.

Empty until a visitor asks, so that no run pays for it. Every word brings its map as bytes; the
browser draws the one that is pointed at.
"""

import base64
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hired.comparison.explain import Explanation, Word
from hired.comparison.overlay import draw_plain
from hired.errors import HiredError
from hired.selectors import Selector
from hired.web import zerogpu
from hired.web.blocks import Values, listen, plain_errors
from hired.web.engine import Loaded
from hired.web.export import Record
from hired.web.handlers import Handlers
from hired.web.markup import fill, script
from hired.web.pictures import data_uri, lay_out
from hired.web.queues import GPU, LOOK, QUIET
from hired.web.runs import cover, look_back
from hired.web.uploads import read_image


def show_looks(
    loaded: Loaded,
    image: Image.Image,
    question: str,
    lanes: Sequence[Selector],
    max_new_tokens: int,
) -> tuple[str, Explanation]:
    """The answers of the stock model and of every lane that drops something, to point at.

    Returns:
        HTML, and what the stock model looked at.

    Raises:
        HiredError: the model's attention cannot be read, or there is no answer.
    """
    dropping = [lane for lane in lanes if lane.name != "full"]
    given = loaded, image, question
    stock = look_back(*given, dropping, max_new_tokens)
    others = [look_back(*given, (), max_new_tokens, reader=lane) for lane in dropping]
    layout = lay_out(image, stock.grid)
    width, height = layout.size
    titles = _titles(dropping)
    answers = [_answer("the stock model", stock, titles)]
    answers += [_answer(name, one, {}) for name, one in zip(titles.values(), others, strict=True)]
    html = fill(
        "why",
        "looks",
        width=width,
        height=height,
        source=data_uri(draw_plain(layout)),
        boxes=";".join(",".join(map(str, box)) for box in layout.boxes),
        side=stock.grid.side,
        kept=_bytes(stock.kept[dropping[0].text].numpy()) if dropping else "",
        sinks=_bytes(stock.sinks.numpy()),
        answers=answers,
        crossed=next(iter(titles.values()), ""),
        ringed=_sinks(stock),
    )
    return html, stock


def _titles(lanes: Sequence[Selector]) -> dict[str, str]:
    """Lane as text -> its name for people; with its settings where two have one title."""
    titles = [lane.title for lane in lanes]
    return {lane.text: lane.title if titles.count(lane.title) == 1 else lane.text for lane in lanes}


def _answer(title: str, found: Explanation, titles: dict[str, str]) -> tuple[str, list[Any]]:
    """An answer word by word, one stop of the Tab key; the stock model's last one is shown."""
    stop = len(found.words) - 1 if titles else 0
    words = [
        _word(word, found, titles, title)
        | {"stop": index == stop, "shown": index == stop and bool(titles)}
        for index, word in enumerate(found.words)
    ]
    return title[:1].upper() + title[1:], words


def _word(word: Word, found: Explanation, titles: dict[str, str], title: str) -> dict[str, Any]:
    """A word, its map, and what is said of it: how much of what it drew on each lane keeps."""
    shares = {titles[lane]: word.coverage(mask) for lane, mask in found.kept.items()}
    say, below = (
        f"What {title} looked at when it wrote «{word.text}», among the patches it read.",
        "",
    )
    if shares:
        kept = ", ".join(f"{name} kept {100 * share:.0f} %" for name, share in shares.items())
        say = f"Of what the stock model looked at for «{word.text}», {kept}."
        below = f"{100 * next(iter(shares.values())):.0f} %"
    weights = word.weights.numpy()
    level = np.sqrt(weights / max(float(weights.max()), 1e-30))  # a root shows the middle
    return {"text": word.text, "map": _bytes(255 * level), "say": say, "share": below,
            "stop": False, "shown": False}  # fmt: skip


def _sinks(found: Explanation) -> str:
    count = int(found.sinks.sum())
    if not count:
        return ""
    patches = "1 patch draws" if count == 1 else f"{count} patches draw"
    kept = ", ".join(f"{int((mask & found.sinks).sum())}" for mask in found.kept.values())
    of = f" (kept: {kept})" if kept else ""
    return f"{patches} attention in every word, whatever it says{of}."


def _bytes(values: NDArray[Any]) -> str:
    return base64.b64encode(values.round().astype(np.uint8).tobytes()).decode()


GONE = "That run was about another picture than the one here. Ask about this one first."


def add_gaze_panel(handlers: Handlers, image: gr.Image, shared: Any) -> gr.HTML:
    """The box, wired: offered after every run of the picture shown, filled when asked for.

    The files of the run then say what each lane keeps, word by word.
    """
    box = gr.HTML("", elem_id="gaze", js_on_load=script("gaze"))
    offered, asked = partial(offer, handlers), {"path": image, "kept": shared.last}
    listen(shared.last.change, offered, asked, {"box": box}, **LOOK, **QUIET)
    told = {"box": box, **shared.downloads}
    event = listen(box.click, partial(answer, handlers), asked, told, **GPU, **QUIET)
    listen(event.failure, offered, asked, {"box": box}, queue=False, **QUIET)
    return box


def offer(handlers: Handlers, path: str | None, kept: Record | None) -> Values:
    """Offer the button where a model of this machine has answered about the picture shown."""
    shown = handlers.shows(path, kept) and not zerogpu.BORROWED
    return {"box": fill("why", "ask") if shown else ""}


def answer(handlers: Handlers, path: str | None, kept: Record | None) -> Values:
    """Show what the answers looked at, or why that cannot be told; and files that tell it too."""
    if not kept or zerogpu.BORROWED:
        return {"box": ""}
    if not path or not handlers.shows(path, kept):
        return {"box": fill("why", "unseen", words=GONE)}
    with plain_errors():
        try:
            limits, tokens = handlers.engine.limits, kept.settings.max_new_tokens
            image = limits.check_image(read_image(path))
            limits.check_asked(kept.question, tokens)  # a record may come from elsewhere
            asked = image, kept.question, kept.settings.lanes, tokens
            html, stock = show_looks(handlers.engine.get(), *asked)
        except HiredError as error:
            return {"box": fill("why", "unseen", words=error)}
        return {"box": html, **handlers.files(replace(kept, views=cover(kept.views, stock)))}
