"""What visitors upload, as images. Knows no gradio."""

import hashlib
import os
import threading
from functools import lru_cache

from PIL import Image

from hired.errors import InputError
from hired.images import open_image

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
def digest(path: str) -> str | None:
    """SHA-256 of an uploaded file; gradio's folders are named by content, so a path has one. None
    where it is no longer there.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _decode(path: str) -> Image.Image:
    if path and not os.path.exists(path):
        raise InputError("The image is no longer on this server. Upload it again.")
    return open_image(path)
