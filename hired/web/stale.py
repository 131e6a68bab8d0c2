"""Whether the panes still answer what the form asks, and what they are of where they do not.

Knows no gradio. Nothing is remembered of events: the last run is compared with the form, so that
a change taken back makes the answers fresh again.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hired.errors import HiredError
from hired.web.panes import esc
from hired.web.settings import Settings, from_mapping
from hired.web.uploads import digest
from hired.web.views import budget_of, budget_words


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
    ran = from_mapping(kept["settings"])
    found = []
    if not (small and not path) and (kept["image"].get("digest") != (path and digest(path))):
        found.append("picture")
    if question.strip() != kept["question"].strip():
        found.append("question")
    pairs = list(zip(settings.lanes, ran.lanes, strict=False))
    if [lane.name for lane in settings.lanes] != [lane.name for lane in ran.lanes]:
        found.append("methods")
    pairs = [(new, old) for new, old in pairs if new.name == old.name]
    if any(repr(budget_of(new)) != repr(budget_of(old)) for new, old in pairs):
        found.append("budget")
    others = any(replace(new, budget=old.budget) != old for new, old in pairs)
    if others or settings.max_new_tokens != ran.max_new_tokens:
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
    lanes = from_mapping(kept["settings"]).lanes
    budgets = dict.fromkeys(filter(None, map(budget_words, lanes)))
    at = f" at {' and '.join(budgets)}" if budgets else ""
    words = " and ".join(filter(None, [", ".join(found[:-1]), found[-1]]))
    return (
        f'<p class="stale" role="status">Answers{esc(at)}, before the change of the {words}. '
        '<button type="button" class="run-again">Run</button></p>'
    )
