"""Answers of another form than the one that stands there: what was changed since, and the note."""

from dataclasses import replace

from hired.web.export import Record
from hired.web.markup import fill
from hired.web.pane_state import budget_of, budget_words
from hired.web.settings import Settings
from hired.web.uploads import is_same


def changes_since(
    kept: Record, path: str | None, question: str, settings: Settings, small: bool, model: str
) -> list[str]:
    """Parts of the form that differ from a run, in words.

    Args:
        kept: the run.
        path: the picture of the form.
        question: of the form.
        settings: of the form.
        small: whether the run's own thumbnail stands in the place of a picture.
        model: what would answer now.
    """
    ran = kept.settings
    found = []
    if kept.about.get("model") != model:
        found.append("model")
    if not (small and not path) and not is_same(kept.image, path):
        found.append("picture")
    if question.strip() != kept.question.strip():
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
    kept: Record | None,
    path: str | None,
    question: str,
    settings: Settings,
    small: bool,
    model: str,
) -> str:
    """Note that the answers are of another form, with a button to run; empty where they are not."""
    found = changes_since(kept, path, question, settings, small, model) if kept else []
    if not kept or not found:
        return ""
    words = " and ".join(filter(None, [", ".join(found[:-1]), found[-1]]))
    return dim(kept, f"the change of the {words}")


def dim(kept: Record, changed: str) -> str:
    """Note that the answers of a run are of before a change, told in words."""
    budgets = dict.fromkeys(filter(None, map(budget_words, kept.settings.lanes)))
    at = f" at {' and '.join(budgets)}" if budgets else ""
    return fill("page", "stale", at=at, changed=changed)
