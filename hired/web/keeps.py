"""The small picture in every pane: which patches its method keeps, as a style sheet.

A pane is written anew many times while it runs; its picture stays, so it is sent once, as the
background of a place that the pane leaves free.
"""

from typing import Any

from PIL import Image

from hired.comparison.overlay import draw_kept
from hired.errors import HiredError
from hired.web import form
from hired.web.engine import Engine
from hired.web.pictures import data_uri, lay_out
from hired.web.settings import Settings
from hired.web.uploads import read_image

WIDE, HIGH = 148, 96  # pixels of a small picture at most, on screen


def show(engine: Engine, path: str | None, *values: Any) -> str:
    """Pictures of what every pane keeps of the current image; nothing where that is unknown."""
    if not path:
        return ""
    try:
        settings, image = form.read(*values), engine.limits.check_image(read_image(path))
        return draw(engine, image, settings)
    except HiredError:  # the large picture says why
        return ""


def draw(engine: Engine, image: Image.Image, settings: Settings) -> str:
    """The style sheet.

    Raises:
        SettingError: a layer or head does not exist in this model.
    """
    loaded = engine.get()
    if loaded.servers is not None:
        return ""
    rules, wide, high = [], WIDE, HIGH
    for index, method in enumerate(settings.methods):
        kept = loaded.preview.select(image, settings.selector(method))
        picture = draw_kept(lay_out(image, kept.grid), kept)
        scale = min(WIDE / picture.width, HIGH / picture.height)
        wide, high = round(picture.width * scale), round(picture.height * scale)
        twice = picture.resize((2 * wide, 2 * high), Image.Resampling.BOX, reducing_gap=2.0)
        rules.append(f"--keeps-{index}:url({data_uri(twice)})")
    rules.append(f"--keeps-wide:{wide}px;--keeps-shape:{wide}/{high}")
    return f"<style>#panes{{{';'.join(rules)}}}</style>"
