"""Whether the panes still answer what the form asks, and what they are of where they do not.

Knows no gradio. Nothing is remembered of events: the last run is compared with the form, so that
a change taken back makes the answers fresh again.
"""

from collections.abc import Mapping
from typing import Any

from hired.budget import show_budget
from hired.errors import HiredError
from hired.web.panes import esc
from hired.web.settings import Settings, from_mapping
from hired.web.uploads import digest


def changes(
    kept: Mapping[str, Any], path: str | None, question: str, settings: Settings, small: bool
) -> list[str]:
    """What the form asks otherwise than a run did, in words.

    Args:
        kept: the run, as `record.as_dict` gives it.
        path: the picture of the form.
        question: of the form.
        settings: of the form.
        small: does the run's own thumbnail stand in the place of a picture?
    """
    ran = from_mapping(
        {k: repr(v) if isinstance(v, float) else v for k, v in kept["settings"].items()}
    )
    found = []
    if not (small and not path) and (kept["image"].get("digest") != (path and digest(path))):
        found.append("picture")
    if question.strip() != kept["question"].strip():
        found.append("question")
    if settings.methods != ran.methods:
        found.append("methods")
    if settings.budget != ran.budget or type(settings.budget) is not type(ran.budget):
        found.append("budget")
    same_budget = {"budget": ran.budget, "left": ran.left, "right": ran.right, "third": ran.third}
    others = Settings(**settings.as_dict() | same_budget)
    if others.selectors() != ran.selectors() or settings.max_new_tokens != ran.max_new_tokens:
        found.append("settings")
    return found


def notice(
    kept: Mapping[str, Any] | None, path: str | None, question: str, settings: Settings, small: bool
) -> str:
    """What the panes are of, and Run, where the form asks something else; else nothing."""
    try:
        found = changes(kept, path, question, settings, small) if kept else []
    except HiredError:  # a run of other times
        found = []
    if not found:
        return ""
    budget = kept["settings"].get("budget")
    at = f"{show_budget(budget)}{' patches' if isinstance(budget, int) else ''}"
    words = " and ".join(filter(None, [", ".join(found[:-1]), found[-1]]))
    return (
        f'<p class="stale" role="status">Answers at {esc(at)}, before the change of the {words}. '
        '<button type="button" class="run-again">Run</button></p>'
    )
