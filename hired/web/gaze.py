"""Words of answers that can be pointed at, and the picture of what the model looked at, as HTML.

Knows no gradio. Every word brings its map as bytes; the browser draws the one that is pointed at.
"""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hired.comparison.explain import Explanation, Word, explain
from hired.comparison.overlay import draw_plain
from hired.selectors import Selector
from hired.web.engine import Loaded
from hired.web.panes import esc
from hired.web.pictures import data_uri, lay_out

ASK = (
    '<section class="gaze" aria-label="What did it look at?"><button type="button" '
    'class="try ask-gaze">What did it look at?</button></section>'
)


def look_back(
    loaded: Loaded,
    image: Image.Image,
    question: str,
    lanes: Sequence[Selector],
    max_new_tokens: int,
) -> str:
    """The answers of the stock model and of every lane that drops something, to point at.

    Raises:
        HiredError: the model's attention cannot be read, or there is no answer.
    """
    dropping = [lane for lane in lanes if lane.name != "full"]
    given = loaded.model, loaded.processor, image, question
    shared = {"max_new_tokens": max_new_tokens, "eye": loaded.preview}
    stock = explain(*given, dropping, **shared)
    others = [explain(*given, (), reader=lane, **shared) for lane in dropping]
    layout = lay_out(image, stock.grid)
    width, height = layout.size
    titles = _titles(dropping)
    rows = [_row("the stock model", stock, titles)]
    rows += [_row(title, found, {}) for title, found in zip(titles.values(), others, strict=True)]
    boxes = ";".join(",".join(map(str, box)) for box in layout.boxes)
    dropped = f' data-kept="{_bytes(stock.kept[dropping[0].text].numpy())}"' if dropping else ""
    sinks = f' data-sinks="{_bytes(stock.sinks.numpy())}"'
    crossed = f"Crossed: {esc(next(iter(titles.values())))} dropped it." if dropping else ""
    return (
        f'<section class="gaze" aria-label="What did it look at?" data-boxes="{boxes}" '
        f'data-side="{stock.grid.side}"{dropped}{sinks}><h4>What did it look at?</h4>'
        f'<div class="frame" style="aspect-ratio:{width}/{height}">'
        f'<img alt="The image as the model sees it" src="{data_uri(draw_plain(layout))}">'
        f'<canvas width="{width}" height="{height}" aria-hidden="true"></canvas></div>'
        f'<p class="told" aria-live="polite"></p>{"".join(rows)}'
        f"<p><small>Bright patches drew the attention of the word you point at, mean over layers "
        f"and heads. {crossed}{_sinks(stock)}</small></p></section>"
    )


def _titles(lanes: Sequence[Selector]) -> dict[str, str]:
    """Lane as text -> its name for people; with its settings where two have one title."""
    titles = [lane.title for lane in lanes]
    return {lane.text: lane.title if titles.count(lane.title) == 1 else lane.text for lane in lanes}


def _row(title: str, found: Explanation, titles: dict[str, str]) -> str:
    """An answer word by word, one stop of the Tab key; the stock model's last one is shown."""
    stop = len(found.words) - 1 if titles else 0
    words = "".join(
        _word(word, found, titles, title, index == stop) for index, word in enumerate(found.words)
    )
    name = esc(title[:1].upper() + title[1:])
    return f'<div class="looked"><b>{name}</b><div class="words">{words}</div></div>'


def _word(word: Word, found: Explanation, titles: dict[str, str], title: str, stop: bool) -> str:
    shares = {titles[lane]: word.coverage(mask) for lane, mask in found.kept.items()}
    say = f"What {title} looked at when it wrote «{word.text}», among the patches it read."
    below = ""
    if shares:
        kept = ", ".join(f"{name} kept {100 * share:.0f} %" for name, share in shares.items())
        say = f"Of what the stock model looked at for «{word.text}», {kept}."
        below = f"<small>{100 * next(iter(shares.values())):.0f} %</small>"
    weights = word.weights.numpy()
    level = np.sqrt(weights / max(float(weights.max()), 1e-30))  # a root shows the middle
    return (
        f'<button type="button" class="word" aria-pressed="{str(stop and bool(titles)).lower()}" '
        f'tabindex="{0 if stop else -1}" data-map="{_bytes(255 * level)}" '
        f'data-say="{esc(say)}">{esc(word.text)}{below}</button>'
    )


def _sinks(found: Explanation) -> str:
    count = int(found.sinks.sum())
    if not count:
        return ""
    patches = "1 patch draws" if count == 1 else f"{count} patches draw"
    kept = ", ".join(f"{int((mask & found.sinks).sum())}" for mask in found.kept.values())
    of = f" (kept: {kept})" if kept else ""
    return f" Ringed: {patches} attention in every word, whatever it says{of}."


def _bytes(values: NDArray[Any]) -> str:
    return base64.b64encode(values.round().astype(np.uint8).tobytes()).decode()
