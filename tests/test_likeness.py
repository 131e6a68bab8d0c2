"""The embedded model's world is told from others: every kind of poster, documents, a photograph."""

import io
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from hired.shapes.documents import KINDS, Document
from hired.shapes.likeness import looks_like_page, looks_like_poster
from hired.shapes.pictures import picture_for
from hired.shapes.pictures import render as render_any
from hired.shapes.scenes import SPLITS, Scene, render, scene_for
from hired.web.examples import REAL, read_examples

PHOTOGRAPH = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


@pytest.mark.parametrize("split", SPLITS)
def test_posters_are_known_by_their_maker_s_look(split) -> None:
    posters = [render(scene_for("test", split, 11, index)) for index in range(12)]
    assert all(map(looks_like_poster, posters))
    assert all(looks_like_poster(jpeg(poster, 85)) for poster in posters[:4])
    assert looks_like_poster(render(scene_for("test", split, 11, 0), scale=2))


def test_examples_of_the_own_world_are_and_those_of_real_models_are_not() -> None:
    own, real = read_examples(), read_examples(REAL)
    posters, pages, others = (
        [Image.open(one.image).convert("RGB") for one in some]
        for some in (
            [one for one in own if isinstance(one.picture, Scene)],
            [one for one in own if isinstance(one.picture, Document)],
            real,
        )
    )
    assert posters and all(map(looks_like_poster, posters))
    assert pages and all(map(looks_like_page, pages)) and not any(map(looks_like_poster, pages))
    for image in others:
        assert not any(map(looks_like_poster, (image, jpeg(image, 90))))
        assert not looks_like_page(image)


@pytest.mark.parametrize("change", ["as it is", "small", "grey"])
def test_a_photograph_is_not(change) -> None:
    image = Image.open(PHOTOGRAPH).convert("RGB")
    if change == "small":
        image = image.resize((200, 240))
    elif change == "grey":
        image = image.convert("L").convert("RGB")
    assert not looks_like_poster(image) and not looks_like_page(image)


@pytest.mark.parametrize("kind", KINDS)
def test_documents_are_known_by_their_maker_s_look(kind) -> None:
    pages = [picture_for("test", kind, 11, index) for index in range(12)]
    assert all(looks_like_page(render_any(page)) for page in pages)
    assert all(looks_like_page(jpeg(render_any(page), 85)) for page in pages[:4])
    assert all(looks_like_page(render_any(page, 2)) for page in pages[:4])


def test_flat_and_noisy_pictures_are_not() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    ground = np.random.default_rng(0).normal(240, 3, (200, 200, 1)).clip(0, 255).astype(np.uint8)
    for pixels in (noise, np.full_like(noise, 255), np.zeros_like(noise), ground.repeat(3, 2)):
        image = Image.fromarray(pixels)
        assert not looks_like_poster(image) and not looks_like_page(image)
    dot = Image.new("RGB", (1, 1), "white")
    assert not looks_like_poster(dot) and not looks_like_page(dot)
