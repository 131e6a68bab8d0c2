"""Pictures that visitors upload: decoded, and what a run keeps of them as plain data.

What comes back from a browser or a file is untrusted and read field by field.
"""

import base64
import binascii
import hashlib
import io
import os
import re
import tempfile
import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from hired.errors import InputError
from hired.images import describe_image, open_image
from hired.web.limits import RESULT
from hired.web.markup import fill
from hired.web.pictures import data_uri

MAX_IMAGES = 8  # decoded images kept
_images: dict[str, Image.Image] = {}
_decoding = threading.Lock()


def read_image(path: str) -> Image.Image:
    """An uploaded file as RGB; the last few are kept, as a moving slider asks again and again.

    Raises:
        InputError: it cannot be used, or is no longer there.
    """
    image = _images.get(path)
    if image is None:
        with _decoding:  # a legal file can take 1.2 GB on its way to RGB
            image = _images.get(path) or _decode(path)
            _images[path] = image
            while len(_images) > MAX_IMAGES:
                _images.pop(next(iter(_images)), None)
    return image


@lru_cache(maxsize=64)
def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(path: str) -> str | None:
    """SHA-256 of an uploaded file; None while the file is not there.

    It is kept by path, as gradio names the folders of uploads by their content.
    """
    try:
        return _digest(path)
    except OSError:
        return None


def is_same(image: Mapping[str, Any], path: str | None) -> bool:
    """Tell whether a run's picture, as `name_picture` describes it, is the file `path`."""
    return bool(path) and image.get("digest") == digest(path or "") is not None


def _decode(path: str) -> Image.Image:
    if path and not os.path.exists(path):
        raise InputError("The image is no longer on this server. Upload it again.")
    return open_image(path)


def upload_folder() -> str:
    """Gradio's own temporary folder, which it clears by itself."""
    folder = Path(gr.utils.get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def result_folder(kind: str) -> Path:
    """Make a folder for files of one result, which count towards the limit of the disk."""
    return Path(tempfile.mkdtemp(prefix=f"{RESULT}{kind}-", dir=upload_folder()))


THUMBNAIL = 320  # px of its longer side
MAX_THUMBNAIL, MAX_NAME = 120_000, 200  # characters
_START = "data:image/webp;base64,"
_DIGEST, _KEY = re.compile(r"[0-9a-f]{64}"), re.compile(r"[\w.-]{1,60}")


def name_picture(path: str, image: Image.Image) -> dict[str, Any]:
    """Facts that tell a picture from others: `image`, decoded from the file `path`."""
    return describe_image(Path(path).name, image) | {"digest": digest(path)}


def keep_picture(path: str, image: Image.Image, example: str = "") -> dict[str, Any]:
    """The same and what can stand in its place, as a run on the page keeps them.

    `example` is the key of the bundled example that it is, if it is one.
    """
    kept = name_picture(path, image)
    if example:
        return kept | {"example": example}
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return kept | {"thumbnail": data_uri(small)}


def read_picture(found: Mapping[str, Any]) -> dict[str, Any]:
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


def show_picture(image: Mapping[str, Any]) -> str:
    """Stand-in for a picture of which only a run is here: its thumbnail, or why not even that."""
    about = str(image.get("name") or "without a name")
    if image.get("width") and image.get("height"):
        about += f", {image['width']} × {image['height']} px"
    return fill("pictures", "brought", about=about, thumbnail=image.get("thumbnail"))
