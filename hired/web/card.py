"""A card to share: one picture with what each pane kept, said, counted and measured.

Knows no gradio. Fonts are those that come with matplotlib, which know Latin, Greek, Cyrillic and
the marks used here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from hired.comparison.overlay import draw_kept
from hired.metrics import seconds, size
from hired.selectors import Selection
from hired.web.export import Record
from hired.web.pane_state import PaneState
from hired.web.pictures import lay_out
from hired.web.render import count_words, matches

WIDTH, MARGIN, GAP = 1200, 44, 28  # pixels
INK, SOFT, PAPER, CARD, LINE = "#111827", "#526077", "#f6f7fb", "#ffffff", "#dfe4ee"
GOOD, BAD = "#047857", "#b42318"
MOST_LINES = 6  # of an answer; the export has all of it


@dataclass(frozen=True, eq=False)
class Pen:
    """Canvas and the pen that writes on it."""

    canvas: Image.Image
    draw: ImageDraw.ImageDraw

    def write(
        self, at: tuple[int, int], text: str, points: int, width: int,
        colour: str = INK, bold: bool = False, most: int = 3,
    ) -> int:  # fmt: skip
        """Write text broken to `width` pixels; gives the y below it."""
        left, top = at
        font = load_font(points, bold)
        for line in wrap(text, font, width, most):
            self.draw.text((left, top), line, font=font, fill=colour)
            top += round(points * 1.4)
        return top


@cache
def load_font(points: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans of a size in pixels."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / f"DejaVuSans{'-Bold' if bold else ''}.ttf"), points)


def wrap(text: str, font: ImageFont.FreeTypeFont, width: int, most: int) -> list[str]:
    """Lines of at most `width` pixels; more than `most` end in an ellipsis, long words break."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    if len(lines) <= most:
        return lines
    last = lines[most - 1]
    while last and font.getlength(last + " …") > width:
        last = last[:-1]
    return [*lines[: most - 1], last + " …"]


def draw_card(
    record: Record,
    image: Image.Image,
    kept: Sequence[Selection],
    known: str = "",
    link: str = "",
) -> Image.Image:
    """The card of a comparison.

    Args:
        record: the comparison.
        image: RGB, what it is about.
        kept: what each pane read of it.
        known: the right answer to the question, where there is one.
        link: what brings the settings back.
    """
    count = len(record.views)
    column = (WIDTH - 2 * MARGIN - (count - 1) * GAP) // count
    canvas = Image.new("RGB", (WIDTH, 1600), PAPER)
    pen = Pen(canvas, ImageDraw.Draw(canvas))
    whole = WIDTH - 2 * MARGIN
    y = pen.write((MARGIN, 34), "HiRED side by side", 22, whole, SOFT, bold=True)
    y = pen.write((MARGIN, y + 6), record.question or "No question", 34, whole, bold=True)
    if known:
        y = pen.write((MARGIN, y), f"Known answer: {known}", 20, whole, SOFT)
    top, bottom = y + 14, 0
    for index, (view, selection) in enumerate(zip(record.views, kept, strict=True)):
        left = MARGIN + index * (column + GAP)
        bottom = max(bottom, _column(pen, (left, top), column, view, image, selection, known))
    y = bottom + 10
    for index in range(count):
        left = MARGIN + index * (column + GAP)
        box = (left - 12, top - 12, left + column + 12, y)
        pen.draw.rounded_rectangle(box, 12, outline=LINE, width=2)
    facts = record.about
    where = f"{facts.get('model')}, {facts.get('device_name')}, {facts.get('dtype')}, "
    y = pen.write((MARGIN, y + 18), where + str(facts.get("date"))[:10], 18, whole, SOFT)
    y = pen.write((MARGIN, y), link, 18, whole, "#4f46e5") if link else y
    return canvas.crop((0, 0, WIDTH, y + 26))


def _column(
    pen: Pen,
    at: tuple[int, int],
    width: int,
    view: PaneState,
    image: Image.Image,
    selection: Selection,
    known: str,
) -> int:
    """Draw one pane; gives the y below it."""
    left, top = at
    y = pen.write((left, top), view.title, 24, width, bold=True, most=1)
    if known and view.phase == "done":
        right = matches(view.text, known)
        words, colour = ("✓ right", GOOD) if right else ("✗ wrong", BAD)
        y = pen.write((left, y), words, 22, width, colour, bold=True)
    elif view.phase != "done":
        y = pen.write((left, y), view.phase, 22, width, BAD, bold=True)
    picture = draw_kept(lay_out(image, selection.grid), selection)
    picture.thumbnail((width, 320))
    pen.canvas.paste(picture, (left, y + 6), picture)
    y += picture.height + 20
    y = pen.write((left, y), view.error or view.text or "No answer", 24, width, most=MOST_LINES)
    for line in figures(view, selection):
        y = pen.write((left, y + 4), line, 18, width, SOFT)
    return y


def figures(view: PaneState, selection: Selection) -> list[str]:
    """Lines of what was counted and what was measured, with its spread or that it is one run."""
    metrics = view.metrics or {}
    tokens = metrics.get("visual_tokens", view.visual_tokens)
    lines = []
    if tokens is not None:
        lines.append(f"{count_words(tokens)} of stock's {selection.stock:,}")
    if metrics.get("kv_cache_bytes") is not None:
        lines.append(f"KV cache {size(metrics['kv_cache_bytes'])}")
    if metrics.get("contended"):
        return [*lines, "The device was shared: no times"]
    if metrics.get("ttft_s") is not None:
        seen = view.measured("ttft_s")
        spread = "one run" if view.repeats == 1 else f"median of {view.repeats} runs"
        if view.repeats > 1 and seen:
            spread += f", {seconds(min(seen))} to {seconds(max(seen))}"
        lines.append(f"First token after {seconds(metrics['ttft_s'])} ({spread})")
    return lines
