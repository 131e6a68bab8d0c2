"""Images, questions and scores of the task `shapes_world`."""

from pathlib import Path
from typing import Any

from PIL import Image

from hired.shapes.evaluate import is_right
from hired.shapes.questions import Question


def doc_to_visual(doc: dict[str, Any]) -> list[Image.Image]:
    """The poster."""
    return [Image.open(Path(doc["image"])).convert("RGB")]


def doc_to_text(doc: dict[str, Any], kwargs: dict[str, Any] | None = None) -> str:
    """The question as it stands."""
    return doc["question"]


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Exact match on the words that carry the answer's content, as `hired eval` counts."""
    question = Question(doc["kind"], doc["question"], doc["answer"])
    return {"content_match": float(is_right(results[0], question))}
