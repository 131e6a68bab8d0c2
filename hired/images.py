"""Open whatever a user hands over as an RGB image, or say plainly why not.

Knows nothing of models. Files are untrusted: size and pixels are checked before decoding.
"""

import io
import os
import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from hired.errors import InputError

MAX_BYTES = 15_000_000
MAX_PIXELS = 50_000_000
HEIF = {b"ftyp" + brand for brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif")}
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # what PIL may try; nothing that can run


def open_image(source: str | os.PathLike[str] | bytes | Image.Image) -> Image.Image:
    """An RGB image, upright, alpha laid onto white, first frame of an animation.

    It is marked read-only: PIL copies its pixels before they are drawn on, so that an
    image that is known by its identity shows what it showed.

    Args:
        source: a path, the bytes of a file, or an image already open.

    Raises:
        InputError: no such file, too large, no image, damaged, or of a format not taken.
    """
    image = _decode(source)
    image.readonly = 1
    return image


def frames_words(image: Image.Image) -> str:
    """Tell that only the first of a file's frames is used; "" where there is one."""
    frames = image.info.get("frames", 1)
    return f"The file holds {frames} pictures; the first is used." if frames > 1 else ""


def describe_image(name: str, image: Image.Image) -> dict[str, str | int]:
    """The `name`, `height` and `width` of an image, as every record has them."""
    return {"name": name, "height": image.height, "width": image.width}


def _decode(source: str | os.PathLike[str] | bytes | Image.Image) -> Image.Image:
    data = source if isinstance(source, bytes | Image.Image) else _read(Path(source))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we have our own cap
            opened = data if isinstance(data, Image.Image) else _open(data)
            frames = opened.info.get("frames", getattr(opened, "n_frames", 1))
            image = _checked_rgb(opened)
            image.info["frames"] = frames
            return image
    except UnidentifiedImageError:
        if isinstance(data, bytes) and data[4:12] in HEIF:
            raise InputError(
                f"The file is a HEIC or AVIF photograph, as phones take them, which is not read "
                f"here. Save it as one of {', '.join(FORMATS)}."
            ) from None
        raise InputError(
            f"The file is not an image that can be read. Use one of {', '.join(FORMATS)}."
        ) from None
    except Image.DecompressionBombError:
        raise InputError(
            f"The image has too many pixels; the limit is {MAX_PIXELS / 1e6:.0f} megapixels. "
            f"Scale it down."
        ) from None
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error) as error:
        raise InputError(
            f"The image file is damaged or cut off ({error}). Save it again or choose another."
        ) from error


def _open(data: bytes) -> Image.Image:
    if not data:
        raise InputError("The image file is empty. Choose another file.")
    if len(data) > MAX_BYTES:
        raise InputError(
            f"The image file has {len(data) / 1e6:.1f} MB; the limit is {MAX_BYTES / 1e6:.0f} MB. "
            f"Save it smaller or as JPEG."
        )
    return Image.open(io.BytesIO(data), formats=FORMATS)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"The image file {path.name!r} cannot be read ({error.strerror}). Check the path."
        ) from error


def _checked_rgb(image: Image.Image) -> Image.Image:
    width, height = image.size
    if width < 1 or height < 1:
        raise InputError(f"The image has no pixels ({width} x {height}). Choose another.")
    if width * height > MAX_PIXELS:
        raise InputError(
            f"The image has {width * height / 1e6:.0f} megapixels ({width} x {height}); the limit "
            f"is {MAX_PIXELS / 1e6:.0f}. Scale it down."
        )
    image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _to_8_bit(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """PIL clips wide greys instead of scaling them; 16-bit files use the whole range.

    Floats and 32-bit integers say nothing of theirs: up to 1 (floats), 255, or 65,535.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    most = values.max(initial=0)
    scale = 257.0
    if image.mode in ("I", "F") and most <= 255:
        scale = 1 / 255 if image.mode == "F" and most <= 1 else 1.0
    return Image.fromarray(np.clip(values / scale, 0, 255).round().astype(np.uint8))
