"""Whatever a user hands over is an RGB image or a plain sentence."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from hired.errors import InputError
from hired.images import MAX_BYTES, frames_words, open_image


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def bomb(side=20_000):
    """A small PNG that claims and holds `side`² pixels."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


RED = Image.new("RGB", (40, 30), (200, 10, 10))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_formats(kind):
    image = open_image(encoded(RED, kind))
    assert (image.mode, image.size) == ("RGB", (40, 30))
    assert np.abs(np.asarray(image).astype(int) - (200, 10, 10)).max() < 8


@pytest.mark.parametrize(
    "image, colour",
    [
        (Image.new("RGBA", (4, 4), (0, 0, 0, 0)), (255, 255, 255)),
        (Image.new("LA", (4, 4), (0, 0)), (255, 255, 255)),
        (Image.new("CMYK", (4, 4), (0, 255, 255, 0)), (255, 0, 0)),
        (Image.new("1", (4, 4), 1), (255, 255, 255)),
        (RED.quantize(4), (200, 10, 10)),
        (Image.fromarray(np.full((4, 4), 32896, np.uint16)), (128, 128, 128)),
        (Image.fromarray(np.full((4, 4), 0.5, np.float32)), (128, 128, 128)),
        (Image.fromarray(np.full((4, 4), 128, np.float32)), (128, 128, 128)),
        (Image.fromarray(np.full((4, 4), 128, np.int32)), (128, 128, 128)),
        (Image.fromarray(np.full((4, 4), 32896, np.int32)), (128, 128, 128)),
    ],
    ids=[
        "alpha",
        "grey-alpha",
        "cmyk",
        "bits",
        "palette",
        "16-bit",
        "unit-float",
        "float",
        "integer",
        "wide-integer",
    ],
)
def test_modes(image, colour):
    got = np.asarray(open_image(image)).astype(int)
    assert np.abs(got - colour).max() <= 1


def test_transparent_palette_lies_on_white():
    image = Image.new("P", (4, 4), 0)
    image.putpalette([0, 0, 0] * 256)
    assert np.asarray(open_image(encoded(image, "GIF", transparency=0))).min() == 255


def test_exif_rotation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert open_image(encoded(RED, "JPEG", exif=exif)).size == (30, 40)


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_an_animation_is_its_first_frame(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=10)
    assert open_image(data).getpixel((4, 4))[0] > 200


@pytest.mark.parametrize("size", [(1, 1), (10_000, 10), (1, 4000)])
def test_extreme_shapes_are_fine(size):
    assert open_image(encoded(Image.new("RGB", size))).size == size


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "empty"),
        (b"not an image", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (encoded(RED)[:60], "damaged"),
        (encoded(RED, "JPEG")[:300], "damaged"),
        (bomb(), "megapixels"),
        (bomb(8000), "megapixels"),
        (b"x" * (MAX_BYTES + 1), "limit is 15 MB"),
        (b"%PDF-1.4", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    ],
    ids=[
        "empty",
        "text",
        "svg",
        "cut png",
        "cut jpeg",
        "bomb",
        "small bomb",
        "20 MB",
        "pdf",
        "eps",
    ],
)
def test_bad_files_are_explained(data, message):
    with pytest.raises(InputError, match=message):
        open_image(data)


def test_damage_that_shows_only_when_pixels_are_read():
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    whole = bytearray(encoded(RED, "JPEG", exif=exif))
    whole[whole.index(b"Exif") + 17] = 0  # the rotation's type: none that there is
    cut = Image.open(io.BytesIO(encoded(RED.resize((400, 300)), "JPEG")[:700]))
    for damaged in (bytes(whole), cut):
        with pytest.raises(InputError, match="damaged"):
            open_image(damaged)


def test_paths(tmp_path):
    path = tmp_path / "a.png"
    RED.save(path)
    assert open_image(path).size == open_image(str(path)).size == (40, 30)
    with pytest.raises(InputError, match="cannot be read"):
        open_image(tmp_path / "missing.png")
    with pytest.raises(InputError, match="cannot be read"):
        open_image(tmp_path)


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "MPO"])
def test_a_file_of_several_pictures_says_that_the_first_is_used(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    image = open_image(data)
    assert np.asarray(image)[4, 4].argmax() == 0
    assert frames_words(image) == "The file holds 3 pictures; the first is used."
    assert frames_words(open_image(image)) == frames_words(image)
    assert frames_words(open_image(encoded(frames[0], "PNG"))) == ""


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"avif"])
def test_a_phones_photograph_is_named(brand):
    with pytest.raises(InputError, match=r"HEIC or AVIF photograph.*JPEG"):
        open_image(b"\0\0\0\x18ftyp" + brand + b"\0" * 40)
