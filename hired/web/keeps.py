"""The small picture in every pane: which patches its method keeps, as a style sheet.

A pane is written anew many times while it runs; its picture stays, so it is sent once, as the
background of a place that the pane leaves free.
"""

from collections.abc import Sequence

from PIL import Image

from hired.comparison.overlay import draw_kept
from hired.selectors import Selection
from hired.web.pictures import data_uri, lay_out

WIDE, HIGH = 148, 96  # pixels of a small picture at most, on screen


def draw(image: Image.Image, selections: Sequence[Selection]) -> str:
    """The style sheet with a picture of what every pane keeps of an image."""
    rules, wide, high = [], WIDE, HIGH
    for index, kept in enumerate(selections):
        picture = draw_kept(lay_out(image, kept.grid), kept)
        scale = min(WIDE / picture.width, HIGH / picture.height)
        wide, high = round(picture.width * scale), round(picture.height * scale)
        twice = picture.resize((2 * wide, 2 * high), Image.Resampling.BOX, reducing_gap=2.0)
        rules.append(f"--keeps-{index}:url({data_uri(twice)})")
    rules.append(f"--keeps-wide:{wide}px;--keeps-shape:{wide}/{high}")
    return f"<style>#panes{{{';'.join(rules)}}}</style>"
