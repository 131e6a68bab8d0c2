"""Pictures of both halves of the world, posters and documents: by number, with their questions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from PIL import Image

from hired.shapes import printing, scenes
from hired.shapes.documents import KINDS as PAGES
from hired.shapes.documents import Bar, Document, Look, Row, Word, text_patches
from hired.shapes.layouts import document_for
from hired.shapes.page_questions import PAGE_KINDS, foreign
from hired.shapes.questions import KINDS, Question
from hired.shapes.scenes import SPLITS, STREAMS, Scene, Thing, object_patches, scene_for

Picture = Scene | Document
Kind = Callable[[Any, np.random.Generator], Question | None]
TESTED = {
    "sparse": "sparse posters",
    "large": "large posters",
    "receipt": "receipts",
    "prices": "price lists",
    "board": "departure boards",
    "chart": "bar charts",
}
"""Splits that accuracy is measured on, and what their pictures are called: two of posters, and the
kinds of documents.
"""
QUESTIONS = 9
"""Part of the seed of a picture's questions, so that none shares the picture's own numbers."""


def picture_for(stream: str, split: str, seed: int, index: int) -> Picture:
    """Picture number `index` of a stream: the same arguments always give the same one."""
    make = document_for if split in PAGES else scene_for
    return make(stream, split, seed, index)


def render(picture: Picture, scale: int = 1) -> Image.Image:
    """The pixels at `scale` times the picture's size (an RGB image)."""
    if isinstance(picture, Document):
        return printing.render(picture, scale)
    return scenes.render(picture, scale)


def to_data(picture: Picture) -> dict[str, Any]:
    """A picture as plain data."""
    return asdict(picture)


def from_data(data: Mapping[str, Any]) -> Picture:
    """The picture that `to_data` made into data, through JSON or not."""
    if "things" in data:
        return Scene(**{**data, "things": tuple(Thing(**one) for one in data["things"])})
    parts = {
        "look": Look(**data["look"]),
        "words": tuple(Word(**one) for one in data["words"]),
        "rows": tuple(Row(one["name"], tuple(one["numbers"])) for one in data["rows"]),
        "bars": tuple(Bar(**one) for one in data["bars"]),
        "rules": tuple(data["rules"]),
    }
    return Document(**{**data, **parts})


def content_patches(picture: Picture) -> np.ndarray:
    """Patches a quarter of which an object or words cover: bool (T, N), overview first."""
    return text_patches(picture) if isinstance(picture, Document) else object_patches(picture)


def grammar(picture: Picture) -> Mapping[str, Kind]:
    """The kinds of questions about posters, or about documents."""
    return PAGE_KINDS if isinstance(picture, Document) else KINDS | {"foreign": foreign}


def styled(text: str, rng: np.random.Generator) -> str:
    """The question as people type it: capital or not, question mark or not."""
    draw = rng.random()
    text = text[0].upper() + text[1:] if draw < 0.6 else text
    return text.rstrip("?.") if rng.random() < 0.15 else text


def offered(picture: Picture, rng: np.random.Generator, kinds: Iterable[str]) -> list[str]:
    """Those of the kinds that have a question about the picture."""
    return [kind for kind in kinds if grammar(picture)[kind](picture, rng) is not None]


def draw(picture: Picture, rng: np.random.Generator, kinds: Sequence[str]) -> list[Question]:
    """One question for each kind in `kinds` that the picture offers, in that order."""
    questions = []
    for kind in kinds:
        question = grammar(picture)[kind](picture, rng)
        if question is not None:
            text = styled(question.text, rng)
            questions.append(Question(question.kind, text, question.answer))
    return questions


def ask_about(
    split: str, index: int, seed: int = 0, stream: str = "test"
) -> tuple[Picture, list[Question]]:
    """Picture `index` of a stream and one question of every kind that it offers."""
    number = (SPLITS | PAGES)[split]
    rng = np.random.default_rng([STREAMS[stream], number, seed, index, QUESTIONS])
    picture = picture_for(stream, split, seed, index)
    return picture, draw(picture, rng, list(PAGE_KINDS if split in PAGES else KINDS))
