"""The picture that belongs to a run, as plain data: which example it is, or a thumbnail of it.

Knows no gradio. What comes back from a browser or a file is untrusted and read field by field.
"""

import base64
import binascii
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from hired.images import describe_image
from hired.web.examples import Example
from hired.web.panes import esc
from hired.web.pictures import data_uri
from hired.web.uploads import digest

THUMBNAIL = 320  # px of its longer side
MAX_THUMBNAIL, MAX_NAME = 120_000, 200  # characters
_START = "data:image/webp;base64,"
_DIGEST, _KEY = re.compile(r"[0-9a-f]{64}"), re.compile(r"[\w.-]{1,60}")


def keep(path: str, image: Image.Image, example: Example | None) -> dict[str, Any]:
    """What a run keeps of the picture it was asked about: `image`, decoded from the file `path`."""
    kept = describe_image(Path(path).name, image) | {"digest": digest(path)}
    if example is not None:
        return kept | {"example": example.key}
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return kept | {"thumbnail": data_uri(small)}


def read(found: Mapping[str, Any]) -> dict[str, Any]:
    """The same from an untrusted source; what makes no sense is left out."""
    kept: dict[str, Any] = {}
    if isinstance(found.get("name"), str):
        kept["name"] = found["name"][:MAX_NAME]
    for key in ("height", "width"):
        if isinstance(found.get(key), int):
            kept[key] = int(found[key])
    for key, shape in (("digest", _DIGEST), ("example", _KEY)):
        if isinstance(found.get(key), str) and shape.fullmatch(found[key]):
            kept[key] = found[key]
    if _is_thumbnail(found.get("thumbnail")):
        kept["thumbnail"] = found["thumbnail"]
    if found.get("foreign") is True:
        kept["foreign"] = True
    return kept


def _is_thumbnail(text: Any) -> bool:
    if not isinstance(text, str) or len(text) > MAX_THUMBNAIL or not text.startswith(_START):
        return False
    try:
        data = base64.b64decode(text.removeprefix(_START), validate=True)
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            return max(image.size) <= THUMBNAIL
    except (binascii.Error, OSError, ValueError):
        return False


def show(image: Mapping[str, Any]) -> str:
    """What stands in the picture's place where only a run of it is here: the thumbnail, or why not
    even that.
    """
    name = esc(image.get("name") or "without a name")
    size = ""
    if image.get("width") and image.get("height"):
        size = f", {image['width']} × {image['height']} px"
    if "thumbnail" not in image:
        return (
            '<div class="nothing"><p>The picture of this run did not come with it '
            f"({name}{size}). Upload it to run again.</p></div>"
        )
    return (
        f'<div class="nothing kept"><img alt="The picture of this run, small" '
        f'src="{image["thumbnail"]}"><p>The picture of this run, small ({name}{size}). '
        "The file itself was not kept: upload it to run again.</p></div>"
    )
