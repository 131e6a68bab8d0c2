"""The one model behind the page, and the limits of what is asked of it.

Knows neither gradio nor HTML. Loading is lazy, so that importing the app costs nothing.
"""

import functools
import gc
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, TypedDict

from PIL import Image

from hired.comparison.lane import Lane, check_lanes
from hired.comparison.preview import Preview, from_arrays, to_arrays
from hired.comparison.run import compare, device_turn
from hired.comparison.stream import Step
from hired.encode import Vision
from hired.errors import MemoryShortage, ModelError
from hired.metrics import release_memory
from hired.models.allowed import ALLOWED, EMBEDDED
from hired.models.hardware import run_aside, versions
from hired.models.load import describe, load
from hired.selectors import Selector
from hired.web import zerogpu
from hired.web.limits import Limits
from hired.web.visitors import Visitors

PATIENCE_S = 10.0  # then a preview is worth more than the measurement beside it


class Options(TypedDict, total=False):
    """Keyword arguments of `hired.load`."""

    quantization: str | None
    device: str
    dtype: str
    unlisted: bool


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model, its processor, the cached looks through it and its description.

    Where servers answer in its place (`hired.web.remote`) there is neither model nor processor.
    """

    model: Any
    processor: Any
    preview: Preview
    info: dict[str, Any]
    servers: Any = None

    def compare(
        self, image: Image.Image, question: str, lanes: Sequence[Lane], **options: Any
    ) -> Generator[Step]:
        """`hired.compare` on this model, or on the servers."""
        if self.servers is not None:
            return self.servers.compare(image, question, lanes, **options)
        if zerogpu.BORROWED:
            return zerogpu.borrow(image, question, lanes, **options)
        return compare(self.model, self.processor, image, question, lanes, **options)

    def check(self, selectors: Iterable[Selector]) -> None:
        """Raise SettingError for layers or heads that are not there; servers say so themselves."""
        if self.servers is None:
            check_lanes(self.preview.tower, [Lane("", each) for each in selectors])


class AsidePreview(Preview):
    """Previews for a server: on a thread of their own, and not beside a lane that is measured.

    The server's threads stay alive, and computing on them would slow down the lanes on a CPU.
    """

    def look(self, image: Image.Image, *received: int) -> Vision:
        """Look as `Preview` does; a new image waits up to `PATIENCE_S` for a comparison to end.

        On MPS it waits as long as it takes: two threads there can end the process.
        """
        patience = None if self.device.type == "mps" else PATIENCE_S
        with nullcontext() if self.knows(image, *received) else device_turn(patience):
            return super().look(image, *received)

    def encode(self, image: Image.Image, *received: int) -> Vision:
        """Run the tower once over an RGB image, not cached; a result of MPS comes to the CPU."""
        vision = run_aside(functools.partial(super().encode, image, *received))
        return from_arrays(to_arrays(vision)) if self.device.type == "mps" else vision


class Engine(Visitors):
    """Loads the model once and hands it out; knows who waits for it, and who has stopped.

    Attributes:
        name: the model asked for.
        options: quantization, device and dtype for `hired.load`.
        may_switch: whether a visitor may load another model of the allow-list.
        limits: what a visitor may ask for.
        choices: models that can be switched to, in a few words: the allow-list, and what this
            server was started with.
        closing: set when the server is about to end; no run begins any more.
        note: why this model, for the page.
        servers: what answers in place of a model of this machine, if anything does.
        first_runs: the record of the first example, by the model that answered it.
    """

    def __init__(
        self,
        name: str = EMBEDDED,
        quantization: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        may_switch: bool = False,
    ) -> None:
        super().__init__()
        self.name = name
        self.options: Options = {"quantization": quantization, "device": device, "dtype": dtype}
        self.may_switch = may_switch
        self.limits = Limits()
        self.closing = threading.Event()
        self.note = ""
        self.servers: Any = None
        self.choices = dict(ALLOWED)
        self.first_runs: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._loaded: Loaded | None = None

    @classmethod
    def holding(cls, model: Any, processor: Any, name: str = EMBEDDED) -> "Engine":
        """An engine around a model that is already there."""
        engine = cls(name)
        model.name_or_path = name
        engine._loaded = engine._dress(model, processor)
        _settle()
        return engine

    @property
    def ready(self) -> bool:
        """True once the model is loaded; asking never waits."""
        return self._loaded is not None

    @property
    def model(self) -> str:
        """The name that records have for what answers; asking never waits."""
        loaded = self._loaded
        return loaded.info["name"] if loaded else self.name

    def start(self) -> Loaded:
        """The model, for a comparison or sweep that begins now.

        Raises:
            ModelError, MemoryShortage: it cannot be loaded, or the server is about to end.
        """
        if self.closing.is_set():
            raise ModelError("This server is shutting down. Try again in a minute.")
        return self.get()

    def get(self) -> Loaded:
        """The model, loaded on first use.

        Raises:
            ModelError, MemoryShortage: it cannot be loaded.
        """
        with self._lock:
            if self._loaded is None:
                with _changing_model():
                    self._loaded = self._load(self.name)
            return self._loaded

    def switch(self, name: str) -> Loaded:
        """Load another model of the allow-list in place of this one.

        The old model stays until the new one is there; where both do not fit, it goes first and
        is loaded again if the new one cannot be.

        Raises:
            ModelError: visitors may not, the name is not on the list, or it cannot be loaded.
            MemoryShortage: it does not fit.
        """
        if not self.may_switch:
            raise ModelError("This server keeps its model. Start your own to use another one.")
        if name not in self.choices:
            raise ModelError(f"model is one of {', '.join(self.choices)}; got {name!r}.")
        with self._lock:
            if self._loaded is None or self.name != name:
                with _changing_model():
                    self._loaded = self._replace(name)
                self.name, self.note = name, ""  # it was chosen, whatever the machine suggested
            return self._loaded

    def _replace(self, name: str) -> Loaded:
        with suppress(MemoryShortage):
            return self._load(name)
        self._loaded = None
        try:
            return self._load(name)
        except Exception as error:
            failure = _without_frames(error)
        self._loaded = self._load(self.name)
        raise failure

    def _load(self, name: str) -> Loaded:
        if self.servers is not None:
            return self.servers.load()
        release_memory()  # what is left of the model before this one
        return self._dress(*load(name, **self.options))

    def _dress(self, model: Any, processor: Any) -> Loaded:
        info = describe(model)
        self.choices.setdefault(info["name"], "the model this server was started with")
        if zerogpu.BORROWED:
            zerogpu.hold(model, processor)
        look = zerogpu.BorrowedPreview if zerogpu.BORROWED else AsidePreview
        return Loaded(model, processor, look(model, processor), info)

    def versions(self) -> dict[str, str]:
        """Versions of the packages that a result depends on."""
        return versions()


def _without_frames(error: Exception) -> Exception:
    """The error without its traces, whose frames hold what had been loaded when it was raised."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


@contextmanager
def _changing_model() -> Iterator[None]:
    """Let the old model be collected while another loads; settle with the one there at the end."""
    gc.unfreeze()
    try:
        yield
    finally:
        _settle()


def _settle() -> None:
    """Take what is there by now out of the garbage collection, which costs a lane 0.4 s of it."""
    gc.collect()
    gc.freeze()
