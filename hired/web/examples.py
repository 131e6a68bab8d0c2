"""The bundled examples, those that suit the model, and the recorded answers of the first one.

Knows no gradio. The answers are of this server's last such run, or of one shipped as
`assets/examples/recorded/MODEL.json`, an export of the page. Missing files are no error.
"""

import json
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from hired.errors import HiredError
from hired.shapes.lexicon import knows_documents
from hired.shapes.likeness import looks_like_page, looks_like_poster
from hired.shapes.pictures import Picture, from_data
from hired.web.afresh import Afresh
from hired.web.engine import Engine
from hired.web.export import Record, about, from_json
from hired.web.markup import fill
from hired.web.pane_state import Case, PaneState
from hired.web.settings import Settings
from hired.web.uploads import digest, keep_picture, read_image

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "examples"
REAL = FOLDER / "real"  # for models that read photographs and documents


@dataclass(frozen=True)
class Example:
    """One example of the page.

    Attributes:
        key: short name for links.
        title: for the button.
        image: path of the file.
        question: what to ask.
        answer: the known answer.
        note: what it shows.
        picture: of the embedded model's world, as its maker placed everything on it, or None.
        survives: the least budget from which on HiRED answers right, or None.
    """

    key: str
    title: str
    image: str
    question: str
    answer: str = ""
    note: str = ""
    picture: Picture | None = None
    survives: float | None = None

    @property
    def known(self) -> dict[str, str]:
        """Its question and the right answer to it, which is no other question's."""
        return {self.question: self.answer} if self.answer else {}


def note(example: Example) -> str:
    """Note under an example: what it shows, and its known answer."""
    return fill("page", "example", words=example.note, known=example.answer)


def read_examples(folder: Path = FOLDER) -> list[Example]:
    """All whole entries of `examples.json`, in order; an empty list when there is none."""
    try:
        found = json.loads((folder / "examples.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    examples = (_read_example(folder, entry) for entry in found)
    return [example for example in examples if example is not None]


def _read_example(folder: Path, entry: Any) -> Example | None:
    """An entry of `examples.json`; None where it is not whole or its file is not in the folder."""
    try:
        path = (folder / entry["file"]).resolve(strict=True)
        asked, title = entry["question"], entry["title"]
        picture = from_data(entry["picture"]) if "picture" in entry else None
    except (KeyError, OSError, TypeError, ValueError):
        return None
    if folder.resolve() not in path.parents:
        return None
    answer, note = entry.get("answer", ""), entry.get("note", "")
    survives = entry.get("survives")
    return Example(path.stem, title, str(path), asked, answer, note, picture, survives)


RECORDED = FOLDER / "recorded"


class Greeting:
    """The examples around one engine, more like them, and the recorded run of the first."""

    def __init__(self, engine: Engine, recorded: Path = RECORDED) -> None:
        self.engine = engine
        self.own = read_examples()  # of the embedded model's world
        self.real = read_examples(REAL)
        self.every = [*self.own, *self.real]
        self.afresh = Afresh()
        self._recorded = recorded

    @property
    def embedded(self) -> bool:
        """True of the small model that ships, which knows its own world alone."""
        return self.engine.get().info["origin"] == "embedded"

    @property
    def reads(self) -> bool:
        """True of an embedded model that reads documents as well."""
        processor = self.engine.get().processor
        known = processor.tokenizer.get_vocab() if processor else ()  # a server tells none
        return self.embedded and knows_documents(known)

    @property
    def fitting(self) -> list[Example]:
        """Those that suit the model."""
        return self.own if self.embedded else self.real

    def example(self, key: str = "") -> Example | None:
        """The example a link names, else the first of those that suit the model."""
        return self.named(key) or next(iter(self.fitting), None)

    def named(self, key: str) -> Example | None:
        """The example of a key: a bundled one, or one drawn afresh after a point."""
        bundled = {one.key: one for one in self.every}
        drawn = None if key in bundled else self.afresh.draw(key)
        if drawn is None:
            return bundled.get(key)
        number = key.rpartition("-")[2]
        told = f"Drawn afresh, number {number}; not seen in training."
        return Example(key, drawn.title, drawn.image, drawn.question, drawn.answer, told,
                       drawn.picture)  # fmt: skip

    def asks(self, question: str) -> bool:
        """Test whether a question is an example's."""
        return question in self.afresh.questions or any(one.question == question
                                                        for one in self.every)  # fmt: skip

    def another(self, path: str | None) -> str | None:
        """The key of a picture to be drawn like the one shown: the embedded model's alone."""
        shown = self.shown(path) if path and self.embedded else None
        return self.afresh.another(shown.key) if shown else None

    @property
    def settings(self) -> Settings:
        """The usual settings, within the server's limits."""
        usual = Settings()
        most = self.engine.limits.new_tokens
        return replace(usual, max_new_tokens=min(usual.max_new_tokens, most))

    @property
    def file(self) -> Path:
        """Path of the recorded answers of this model; the file may be missing."""
        return self._recorded / (re.sub(r"[^\w.-]+", "-", self.engine.name) + ".json")

    def run(self) -> Record | None:
        """The first example answered by this model before, with these settings."""
        return self._shipped() or self.engine.first_runs.get(self.engine.name)

    def _shipped(self) -> Record | None:
        """The recorded answers; None where there are none, or of another question."""
        first = self.example()
        try:
            found = _recorded_run(self.file, self.file.stat().st_mtime_ns)
        except (HiredError, OSError):
            return None
        return found if first and found.question == first.question else None

    def record(
        self,
        question: str,
        path: str,
        image: Image.Image,
        settings: Settings,
        views: list[PaneState],
    ) -> Record:
        """Record of a run that has ended, with its picture and the answer known of it."""
        example = self.shown(path, image)
        kept = keep_picture(path, image, example.key if example else "")
        if self.foreign(path, image):
            kept["foreign"] = True
        known = example.known.get(question, "") if example else ""
        facts = about(self.engine.get().info, self.engine.versions())
        return Record(question, kept, settings, views, facts, known)

    def foreign(self, path: str, image: Image.Image) -> bool:
        """Tell whether the embedded model knows nothing of pictures like this one."""
        if not self.embedded:
            return False
        known = self.shown(path, image)
        if known:
            return known in self.real
        return not (looks_like_poster(image) or (self.reads and looks_like_page(image)))

    def case(self, path: str, image: Image.Image, known: str) -> Case:
        """Facts that the panes of a run are judged by; `known` is the right answer."""
        return Case(known, self.foreign(path, image))

    def shown(self, path: str, image: Image.Image | None = None) -> Example | None:
        """The example that an uploaded file is, if it is one; `image` where it is decoded by now.

        Raises:
            InputError: it has an example's name and cannot be used.
        """
        one = self.named(Path(path).stem)
        if one is None or Path(one.image).name != Path(path).name:
            return None
        return one if _same_picture(path, image, one.image) else None

    def keep(self, run: Record, path: str, image: Image.Image) -> None:
        """Show a run to those who come later, if it is whole and of the first example; `path` was
        decoded to `image` when the run began, and may be gone.
        """
        first = self.example()
        whole = all(view.phase == "done" for view in run.views)
        if first is None or not whole or run.settings != self.settings or self._shipped():
            return
        if run.question == first.question and self.shown(path, image) is first:
            self.engine.first_runs[self.engine.name] = run


def _same_picture(path: str, image: Image.Image | None, of_example: str) -> bool:
    """Compare a file with an example's picture: by its bytes, else by its pixels.

    A picture may have been saved again, or its file be gone and only `image` be left of it.
    """
    if (found := digest(path)) and found == digest(of_example):
        return True
    return (read_image(path) if image is None else image) == read_image(of_example)


@lru_cache(maxsize=8)
def _recorded_run(file: Path, changed_ns: int) -> Record:
    """The run in a file that was written at `changed_ns`."""
    return from_json(file.read_bytes())
