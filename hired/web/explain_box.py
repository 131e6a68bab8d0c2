"""The box "What did it look at?": empty-handed until somebody asks, so that no run pays for it."""

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from hired.errors import HiredError
from hired.models.hardware import run_aside
from hired.web import gaze, gpu, record
from hired.web.handlers import Handlers
from hired.web.panes import esc
from hired.web.uploads import read_image
from hired.web.wiring import GPU, LOOK, QUIET

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


def add_explain_box(handlers: Handlers, image: gr.Image, last: gr.State) -> gr.HTML:
    """The box, wired: offered after every run of the picture shown, filled when asked for."""
    box = gr.HTML("", elem_id="gaze", js_on_load=POINTS)
    last.change(partial(offer, handlers), [image, last], box, **LOOK, **QUIET)
    box.click(partial(answer, handlers), [image, last], box, **GPU, **QUIET)
    return box


def offer(handlers: Handlers, path: str | None, kept: dict[str, Any] | None) -> str:
    """The button, where a model of this machine has answered about the picture shown."""
    return gaze.ASK if _read(handlers, path, kept) else ""


def answer(handlers: Handlers, path: str | None, kept: dict[str, Any] | None) -> str:
    """What the answers looked at, or why that cannot be told."""
    try:
        found = _read(handlers, path, kept)
        if path is None or found is None:
            return ""
        loaded, lanes = handlers.engine.get(), found.settings.lanes
        asked = read_image(path), found.question, lanes, found.settings.max_new_tokens
        return str(run_aside(partial(gaze.look_back, loaded, *asked)))
    except HiredError as error:
        return f'<section class="gaze"><p>{esc(error)}</p></section>'


def _read(
    handlers: Handlers, path: str | None, kept: dict[str, Any] | None
) -> record.Record | None:
    """The last run, if its picture is the one shown and its model is here."""
    if not path or not kept or gpu.BORROWED or handlers.engine.servers is not None:
        return None
    try:
        found = record.from_json(record.dump(kept))
    except HiredError:
        return None
    here = found.image.get("name") == Path(path).name
    return found if here and found.about.get("model") == handlers.engine.name else None
