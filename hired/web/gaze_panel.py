"""The panel "What did it look at?": words of the answers to point at, each with its map.

Empty until a visitor asks, so that no run pays for it. Every word brings its map as bytes; the
browser draws the one that is pointed at.
"""

import base64
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
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
from hired.web.engine import Loaded
from hired.web.export import Record
from hired.web.handlers import Handlers
from hired.web.lookback import cover, look_back
from hired.web.pictures import data_uri, lay_out
from hired.web.queues import GPU, LOOK, QUIET
from hired.web.render import esc
from hired.web.uploads import read_image

ASK = (
    '<section class="gaze" aria-label="What did it look at?"><button type="button" '
    'class="try ask-gaze">What did it look at?</button></section>'
)


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
    rows = [_row("the stock model", stock, titles)]
    rows += [_row(title, found, {}) for title, found in zip(titles.values(), others, strict=True)]
    boxes = ";".join(",".join(map(str, box)) for box in layout.boxes)
    dropped = f' data-kept="{_bytes(stock.kept[dropping[0].text].numpy())}"' if dropping else ""
    sinks = f' data-sinks="{_bytes(stock.sinks.numpy())}"'
    crossed = f"Crossed: {esc(next(iter(titles.values())))} dropped it." if dropping else ""
    html = (
        f'<section class="gaze" aria-label="What did it look at?" data-boxes="{boxes}" '
        f'data-side="{stock.grid.side}"{dropped}{sinks}><h4>What did it look at?</h4>'
        f'<div class="frame" style="aspect-ratio:{width}/{height}">'
        f'<img alt="The image as the model sees it" src="{data_uri(draw_plain(layout))}">'
        f'<canvas width="{width}" height="{height}" aria-hidden="true"></canvas></div>'
        f'<p class="told" aria-live="polite"></p>{"".join(rows)}'
        f"<p><small>Bright patches drew the attention of the word you point at, mean over layers "
        f"and heads. {crossed}{_sinks(stock)}</small></p></section>"
    )
    return html, stock


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


POINTS = """const draw = (word) => {
  const box = word.closest('.gaze'), canvas = box.querySelector('canvas');
  const read = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const levels = read(word.dataset.map), kept = box.dataset.kept && read(box.dataset.kept);
  const sinks = box.dataset.sinks && read(box.dataset.sinks);
  const own = !word.querySelector('small'), side = Number(box.dataset.side);
  const pen = canvas.getContext('2d');
  pen.clearRect(0, 0, canvas.width, canvas.height);
  box.dataset.boxes.split(';').forEach((text, tile) => {
    const [left, top, edge] = text.split(',').map(Number), step = edge / side;
    for (let at = 0; at < side * side; at++) {
      const place = tile * side * side + at, level = levels[place] / 255;
      const column = at % side, row = Math.floor(at / side);
      const x = Math.round(left + column * step), y = Math.round(top + row * step);
      const wide = Math.round(left + (column + 1) * step) - x;
      const high = Math.round(top + (row + 1) * step) - y;
      pen.fillStyle = `rgba(10, 12, 30, ${0.82 * (1 - level)})`;
      pen.fillRect(x, y, wide, high);
      if (sinks?.[place]) {
        pen.strokeStyle = 'white';
        pen.beginPath();
        pen.arc(x + wide / 2, y + high / 2, wide / 3, 0, 2 * Math.PI);
        pen.stroke();
      }
      if (level > 0.45) {
        pen.lineWidth = 1;
        pen.strokeStyle = `rgba(250, 204, 21, ${level})`;
        pen.strokeRect(x + 0.5, y + 0.5, wide - 1, high - 1);
        if (kept && !own && !kept[place]) {
          pen.beginPath();
          pen.moveTo(x + 1, y + 1); pen.lineTo(x + wide - 1, y + high - 1);
          pen.moveTo(x + wide - 1, y + 1); pen.lineTo(x + 1, y + high - 1);
          pen.stroke();
        }
      }
    }
  });
  box.querySelector('.told').textContent = word.dataset.say;
};
const choose = (word) => {
  if (!word) return;
  for (const one of element.querySelectorAll('.word')) {
    one.setAttribute('aria-pressed', String(one === word));
  }
  draw(word);
};
const pointed = (event) => choose(event.target.closest?.('.word'));
for (const kind of ['pointerover', 'focusin', 'click']) element.addEventListener(kind, pointed);
element.addEventListener('click', (event) => {
  const button = event.target.closest('.ask-gaze');
  if (!button || button.disabled) return;
  button.disabled = true;
  button.textContent = 'Looking back …';
  trigger('click', {});
});
element.addEventListener('keydown', (event) => {
  const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
  if (!step || !event.target.matches('.word')) return;
  const words = [...event.target.parentElement.querySelectorAll('.word')];
  const next = words[words.indexOf(event.target) + step];
  if (!next) return;
  event.preventDefault();
  words.forEach((one) => { one.tabIndex = one === next ? 0 : -1; });
  next.focus();
});
new MutationObserver(() => {
  const word = element.querySelector('.word[aria-pressed=true]');
  if (word && !element.querySelector('.told').textContent) draw(word);
}).observe(element, {childList: true, subtree: true});"""


def add_gaze_panel(
    handlers: Handlers, image: gr.Image, last: gr.State, downloads: Sequence[gr.DownloadButton]
) -> gr.HTML:
    """The box, wired: offered after every run of the picture shown, filled when asked for.

    The files of the run then say what each lane keeps, word by word.
    """
    box = gr.HTML("", elem_id="gaze", js_on_load=POINTS)
    last.change(partial(offer, handlers), [image, last], box, **LOOK, **QUIET)
    box.click(partial(answer, handlers), [image, last], [box, *downloads], **GPU, **QUIET)
    return box


def offer(handlers: Handlers, path: str | None, kept: Record | None) -> str:
    """The button, where a model of this machine has answered about the picture shown."""
    return ASK if _is_shown(handlers, path, kept) else ""


def answer(handlers: Handlers, path: str | None, kept: Record | None) -> list[Any]:
    """What the answers looked at, or why that cannot be told; and the files that tell it too."""
    as_they_are = [gr.skip()] * 3
    try:
        if not path or not kept or not _is_shown(handlers, path, kept):
            return ["", *as_they_are]
        loaded, lanes = handlers.engine.get(), kept.settings.lanes
        asked = read_image(path), kept.question, lanes, kept.settings.max_new_tokens
        html, stock = show_looks(loaded, *asked)
    except HiredError as error:
        return [f'<section class="gaze"><p>{esc(error)}</p></section>', *as_they_are]
    return [html, *handlers.files(replace(kept, views=cover(kept.views, stock)))]


def _is_shown(handlers: Handlers, path: str | None, kept: Record | None) -> bool:
    """Is the picture of the last run the one shown, and its model here?"""
    if not path or not kept or zerogpu.BORROWED or handlers.engine.servers is not None:
        return False
    here = kept.image.get("name") == Path(path).name
    return here and kept.about.get("model") == handlers.engine.name
