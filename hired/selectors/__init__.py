"""The methods. Each module in this folder registers its own; nothing is listed by hand."""

import importlib
import pkgutil
from dataclasses import fields
from typing import Any

from hired.errors import SettingError
from hired.selectors.base import NEWLINES, SELECTORS, Selection, Selector, candidate_mask

for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")

# The baseline and the method of this project first, the others by name.
for _name in ["full", "hired", *sorted(SELECTORS.keys() - {"full", "hired"})]:
    SELECTORS[_name] = SELECTORS.pop(_name)

HiRED = SELECTORS["hired"]

__all__ = [
    "NEWLINES",
    "SELECTORS",
    "HiRED",
    "Selection",
    "Selector",
    "build",
    "candidate_mask",
    "settings_of",
]


def settings_of(name: str) -> tuple[str, ...]:
    """The settings a method has.

    Raises:
        SettingError: there is no such method.
    """
    if name not in SELECTORS:
        raise SettingError(f"method is one of {', '.join(SELECTORS)}; got {name!r}.")
    return tuple(field.name for field in fields(SELECTORS[name]))


def build(name: str, **settings: Any) -> Selector:
    """A selector by its name; settings the method does not have are left out.

    Raises:
        SettingError: there is no such method, or a setting is out of range.
    """
    known = settings_of(name)
    return SELECTORS[name](**{key: value for key, value in settings.items() if key in known})
