"""Measurements that have a tab of their own: buttons that start and end one, and its progress."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import gradio as gr
from PIL import Image

from hired.errors import InputError
from hired.web.blocks import Parts, Values, listen, plain_errors
from hired.web.engine import Engine
from hired.web.markup import fill
from hired.web.queues import FREE, GPU, QUIET
from hired.web.sweep import Progress
from hired.web.uploads import read_image
from hired.web.visitors import Stops


class TabRun:
    """The runs of one tab, stopped apart from a visitor's comparison.

    Attributes:
        name: a word that no other tab has.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name

    def wire(
        self,
        start: gr.Button,
        stop: gr.Button,
        work: Callable[..., Any],
        reads: Parts,
        writes: Parts,
    ) -> Any:
        """Let `work` answer `start` in the queue of the device; gives the event of its end."""
        buttons, now = {"start": start, "stop": stop}, {"queue": False, **QUIET}
        once = partial(start.click, trigger_mode="once")
        begun = listen(once, self.begin, {}, buttons, **FREE, **QUIET)
        run = listen(begun.success, work, reads, writes, **GPU, **QUIET)
        listen(run.failure, self.end, {}, buttons, **now)  # `then` does not follow a failure
        stop.click(self.halt, None, None, **now)
        return listen(run.then, self.end, {}, buttons, **now)

    def begin(self, request: gr.Request) -> Values:
        """Refuse a second run beside one that is not over, before it queues."""
        with plain_errors():
            self.engine.expect(self._place(request))
        return {"start": gr.update(interactive=False), "stop": gr.update(interactive=True)}

    @contextmanager
    def running(self, request: gr.Request, path: str | None) -> Iterator[tuple[Image.Image, Stops]]:
        """The picture and the stop signs of a run; its errors are plain."""
        with self.engine.stopping(self._place(request)) as stops, plain_errors():
            if not path:
                raise InputError("There is no image. Choose one in the Compare tab.")
            yield read_image(path), stops

    def busy(self, request: gr.Request) -> bool:
        """Tell whether a run of this tab is expected or goes on."""
        return self.engine.busy(self._place(request))

    def halt(self, request: gr.Request) -> None:
        """End the run within a token; what was measured stays."""
        self.engine.stop(self._place(request))

    def end(self, request: gr.Request) -> Values:
        """Put the buttons back after a run, also after one that was refused."""
        self.engine.forget(self._place(request))
        return {"start": gr.update(interactive=True), "stop": gr.update(interactive=False)}

    def _place(self, request: gr.Request) -> str:
        return f"{request.session_hash} {self.name}"


def changes(frames: Generator[Progress]) -> Iterator[tuple[Progress, bool]]:
    """Give each frame of a sweep, and whether it says anything new; close them at the end."""
    told = None
    with closing(frames):
        for progress in frames:
            yield progress, progress is not told
            told = progress


def show_progress(progress: Progress | None, ended: bool = False) -> str:
    """Progress of a sweep, as a bar and in words."""
    done, total = (len(progress.rows), progress.total) if progress else (0, 0)
    words = "Nothing measured yet."
    if progress and ended:
        why = f". {progress.note}" if progress.note else ", then cancelled."
        words = f"{done} of {total} runs measured" + ("." if done == total else why)
        words += f" No coverage: {progress.gap}" if progress.gap else ""
    elif progress:
        left = f", about {progress.left_s:.0f} s left" if progress.left_s is not None else ""
        words = f"{done} of {total} runs measured{left} …"
    return fill("sweep", "progress", done=done, total=max(total, 1), words=words)
