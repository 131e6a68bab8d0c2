"""What a visitor meets: examples that suit the model, and the first one's answers.

Knows no gradio. The answers are of this server's last such run, or of one shipped as
`assets/examples/recorded/MODEL.json`, an export of the page.
"""

import re
from dataclasses import replace
from pathlib import Path

from PIL import Image

from hired.errors import HiredError
from hired.web.engine import Engine
from hired.web.examples import FOLDER, REAL, Example, read_examples
from hired.web.record import Record, from_json
from hired.web.settings import Settings
from hired.web.uploads import read_image

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

    def run(self) -> Record | None:
        """The first example answered by this model before, with these settings."""
        name = self.engine.name
        path = self._recorded / (re.sub(r"[^\w.-]+", "-", name) + ".json")
        if name not in self._runs and path.is_file():
            try:
                self._runs[name] = from_json(path.read_bytes())
            except HiredError:
                return None
        return self._runs.get(name)

    def shown(self, path: str) -> Example | None:
        """The example that an uploaded file is, if it is one."""
        same = [one for one in self.every if Path(one.image).name == Path(path).name]
        return next((one for one in same if read_image(one.image) == read_image(path)), None)

    def keep(self, run: Record, path: str, image: Image.Image) -> None:
        """Show a run to those who come later, if it is whole and of the first example; `path` was
        decoded to `image` when the run began, and may be gone.
        """
        first = self.example()
        whole = all(view.phase == "done" for view in run.views)
        if first is None or not whole or run.settings != self.settings:
            return
        same = Path(path).name == Path(first.image).name and image == read_image(first.image)
        if run.question == first.question and same:
            self._runs[self.engine.name] = run
