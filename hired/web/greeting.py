"""What a visitor meets: examples that suit the model, and the first one's answers.

Knows no gradio. The answers are of this server's last such run, or of one shipped as
`assets/examples/recorded/MODEL.json`, an export of the page.
"""

import re
from dataclasses import replace
from pathlib import Path

from PIL import Image

from hired.errors import HiredError
from hired.shapes.likeness import looks_like_poster
from hired.web import keepsake
from hired.web.engine import Engine
from hired.web.examples import FOLDER, REAL, Example, read_examples
from hired.web.record import Record, about, from_json
from hired.web.settings import Settings
from hired.web.uploads import read_image
from hired.web.views import Case, View

RECORDED = FOLDER / "recorded"


class Greeting:
    """The examples around one engine and the recorded run of the first."""

    def __init__(self, engine: Engine, recorded: Path = RECORDED) -> None:
        self.engine = engine
        self.posters = read_examples()
        self.documents = read_examples(REAL)
        self.every = [*self.posters, *self.documents]
        self._recorded = recorded
        self._runs: dict[str, Record] = {}

    @property
    def embedded(self) -> bool:
        """Is the model the one that only knows posters of shapes?"""
        return self.engine.get().info["origin"] == "embedded"

    def example(self, key: str = "") -> Example | None:
        """The example a link names, else the first of those that suit the model."""
        named = [one for one in self.every if one.key == key]
        fitting = self.posters if self.embedded else self.documents
        return next(iter(named or fitting), None)

    @property
    def settings(self) -> Settings:
        """The usual ones, within the server's limits."""
        usual = Settings()
        most = self.engine.limits.new_tokens
        return replace(usual, max_new_tokens=min(usual.max_new_tokens, most))

    @property
    def file(self) -> Path:
        """Where the recorded answers of this model are shipped, if they are."""
        return self._recorded / (re.sub(r"[^\w.-]+", "-", self.engine.name) + ".json")

    def run(self) -> Record | None:
        """The first example answered by this model before, with these settings."""
        return self._shipped() or self._runs.get(self.engine.name)

    def _shipped(self) -> Record | None:
        """The recorded answers; None where there are none, or of another question."""
        first = self.example()
        try:
            found = from_json(self.file.read_bytes())
        except (HiredError, OSError):
            return None
        return found if first and found.question == first.question else None

    def record(
        self, question: str, path: str, image: Image.Image, settings: Settings, views: list[View]
    ) -> Record:
        """A run that has ended, with its picture and the answer known of it."""
        example = self.shown(path, image)
        kept = keepsake.keep(path, image, example)
        if self.foreign(path, image):
            kept["foreign"] = True
        known = example.known.get(question, "") if example else ""
        facts = about(self.engine.get().info, self.engine.versions())
        return Record(question, kept, settings, views, facts, known)

    def foreign(self, path: str, image: Image.Image) -> bool:
        """Is a picture one that the embedded model knows nothing of?"""
        if not self.embedded:
            return False
        known = self.shown(path, image)
        return known not in self.posters if known else not looks_like_poster(image)

    def case(self, path: str, image: Image.Image, known: str) -> Case:
        """What the panes of a run are about; `known` is the right answer."""
        return Case(known, self.foreign(path, image))

    def shown(self, path: str, image: Image.Image | None = None) -> Example | None:
        """The example that an uploaded file is, if it is one; `image` where it is decoded by now.

        Raises:
            InputError: it has an example's name and cannot be used.
        """
        same = [one for one in self.every if Path(one.image).name == Path(path).name]
        if same and image is None:
            image = read_image(path)
        return next((one for one in same if read_image(one.image) == image), None)

    def keep(self, run: Record, path: str, image: Image.Image) -> None:
        """Show a run to those who come later, if it is whole and of the first example; `path` was
        decoded to `image` when the run began, and may be gone.
        """
        first = self.example()
        whole = all(view.phase == "done" for view in run.views)
        if first is None or not whole or run.settings != self.settings or self._shipped():
            return
        same = Path(path).name == Path(first.image).name and image == read_image(first.image)
        if run.question == first.question and same:
            self._runs[self.engine.name] = run
