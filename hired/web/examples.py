"""The bundled examples: image, question, known answer and what to look for. Absent is fine."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "examples"
REAL = FOLDER / "real"  # for models that read photographs and documents


@dataclass(frozen=True)
class Example:
    """One example.

    Attributes:
        key: short name for links.
        title: for the button.
        image: path of the file.
        question: what to ask.
        answer: the known answer.
        note: what it shows.
        budget: a budget that tells the story, or None.
        scene: `width`, `height` and `things` of a poster, as its maker placed them.
        survives: the least budget from which on HiRED answers right, or None.
    """

    key: str
    title: str
    image: str
    question: str
    answer: str = ""
    note: str = ""
    budget: float | int | None = None
    scene: dict[str, Any] | None = field(default=None, hash=False)
    survives: float | None = None

    @property
    def known(self) -> dict[str, str]:
        """Its question and the right answer to it, which is no other question's."""
        return {self.question: self.answer} if self.answer else {}


def read_examples(folder: Path = FOLDER) -> list[Example]:
    """All whole entries of `examples.json`, in order; an empty list when there is none."""
    try:
        found = json.loads((folder / "examples.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    entries = found.get("examples", []) if isinstance(found, dict) else found
    examples = (_read(folder, entry) for entry in entries if isinstance(entry, dict))
    return [example for example in examples if example is not None]


def _read(folder: Path, entry: dict[str, Any]) -> Example | None:
    name = entry.get("image") or entry.get("file") or ""
    path = (folder / name).resolve()
    asked = entry.get("question") or (entry.get("questions") or [""])[0]
    answer = entry.get("answer", "")
    if isinstance(asked, dict):
        asked, answer = asked.get("question") or asked.get("text"), asked.get("answer", "")
    if not name or not path.is_file() or folder.resolve() not in path.parents or not asked:
        return None
    title = entry.get("title") or entry.get("name") or path.stem.replace("-", " ").capitalize()
    note = entry.get("note") or entry.get("story") or entry.get("shows") or ""
    key = entry.get("key") or entry.get("id") or path.stem
    budget = entry.get("budget")
    told = (str(key), title, str(path), str(asked), str(answer), str(note), budget)
    return Example(*told, entry.get("scene"), entry.get("survives"))
