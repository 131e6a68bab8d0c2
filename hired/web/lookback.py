"""What of the stock answer's attention each lane keeps, for sweeps, programs and exports.

Knows no gradio. Asked for, never part of a run that is measured.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from PIL import Image

from hired.comparison.explain import Explanation, explain
from hired.errors import SettingError
from hired.models.hardware import run_aside
from hired.selectors import Selector
from hired.web import zerogpu
from hired.web.engine import Loaded
from hired.web.pane_state import PaneState


def check_here(loaded: Loaded) -> None:
    """Raise SettingError where the model is not on this machine."""
    if loaded.servers is not None or zerogpu.BORROWED:
        raise SettingError(
            "What an answer looked at is read off the model itself, and that is not on this "
            "machine. Ask without coverage, or run this page where the model is."
        )


def look_back(
    loaded: Loaded,
    image: Image.Image,
    question: str,
    lanes: Sequence[Selector],
    max_new_tokens: int,
    reader: Selector | str = "full",
) -> Explanation:
    """`hired.explain` on the page's model, off the server's threads.

    Raises:
        SettingError: see `check_here`.
        ModelError, InputError: see `hired.explain`.
    """
    check_here(loaded)
    given = loaded.model, loaded.processor, image, question, lanes
    work = partial(
        explain, *given, reader=reader, max_new_tokens=max_new_tokens, eye=loaded.preview
    )
    return run_aside(work)


def cover(views: Sequence[PaneState], found: Explanation) -> list[PaneState]:
    """The panes with what their lanes keep, word by word; those it does not tell of as they are."""
    return [
        replace(view, coverage=found.shares(view.lane)) if view.lane in found.kept else view
        for view in views
    ]
