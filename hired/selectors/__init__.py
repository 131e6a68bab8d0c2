"""The methods. Each module in this folder registers its own; nothing is listed by hand."""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from typing import Any

from hired.errors import SettingError
from hired.selectors.base import NEWLINES, SELECTORS, Selection, Selector, candidate_mask
from hired.settings import Setting, nearest

for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")

# The baseline and the method of this project first, the others by name.
for _name in ["full", "hired", *sorted(SELECTORS.keys() - {"full", "hired"})]:
    SELECTORS[_name] = SELECTORS.pop(_name)

HiRED, ByHand = SELECTORS["hired"], SELECTORS["hand"]

__all__ = [
    "NEWLINES",
    "SELECTORS",
    "ByHand",
    "HiRED",
    "Selection",
    "Selector",
    "as_selector",
    "build",
    "candidate_mask",
    "check_names",
    "every_setting",
    "fitting",
    "method",
    "parse",
    "read_settings",
    "settings_of",
    "split_lane",
    "usual_value",
]


def method(name: str) -> type[Selector]:
    """A method's class by its name.

    Raises:
        SettingError: there is no such method.
    """
    if not isinstance(name, str) or name not in SELECTORS:
        raise SettingError(
            f"method is one of {', '.join(SELECTORS)}; got {name!r}.{nearest(str(name), SELECTORS)}"
        )
    return SELECTORS[name]


def settings_of(name: str) -> dict[str, Setting]:
    """The settings that play a part in a method, by name.

    Raises:
        SettingError: there is no such method.
    """
    return method(name).settings()


def every_setting() -> dict[str, Setting]:
    """The settings of all methods by name."""
    return {key: one for each in SELECTORS.values() for key, one in each.settings().items()}


def usual_value(key: str) -> Any:
    """The default of a setting, in the first method that has it."""
    return next(getattr(each(), key) for each in SELECTORS.values() if key in each.settings())


def check_names(name: str, given: Iterable[str]) -> None:
    """Raise SettingError for a setting that the method does not have, with the nearest it has."""
    known = settings_of(name)
    for one in given:
        if one not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise SettingError(
                f"The method {name!r} has no setting {one!r}; {has}.{nearest(one, known)}"
            )


def build(name: str, **settings: Any) -> Selector:
    """A selector by its name and settings.

    Raises:
        SettingError: there is no such method, it has no such setting, or one is out of range.
    """
    check_names(name, settings)
    return SELECTORS[name](**settings)


def read_settings(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a method from text, as a form or a command line brings it, or plain values.

    Raises:
        SettingError: see `build`.
    """
    check_names(name, given)
    known = settings_of(name)
    return {key: known[key].read(key, value) for key, value in given.items()}


def fitting(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some shared settings that the method has."""
    return {key: value for key, value in settings.items() if key in settings_of(name)}


def parse(text: str) -> Selector:
    """A method with its settings from one line, as `Selector.text` writes it.

    Raises:
        SettingError: the part that is wrong and what would be right.
    """
    name, settings = split_lane(text)
    return build(name, **settings)


def as_selector(value: Any) -> Selector:
    """The selector itself, or the one that a line of text describes, see `parse`.

    Raises:
        SettingError: it is neither.
    """
    if isinstance(value, Selector):
        return value
    if isinstance(value, str):
        return parse(value)
    raise SettingError(
        f"A selector is a method with its settings, such as HiRED(budget=0.2), or a line such as "
        f"'hired:budget=20%'; got {value!r}."
    )


def split_lane(text: str) -> tuple[str, dict[str, Any]]:
    """A method's name and the settings a line gives it: `hired`, `random:budget=10%,seed=3`.

    Raises:
        SettingError: the part that is wrong and what would be right.
    """
    name, _, rest = text.partition(":")
    name = name.strip()
    given: dict[str, str] = {}
    for part in filter(None, map(str.strip, rest.split(","))):
        key, equals, value = part.partition("=")
        key = key.strip().replace("-", "_")
        if not equals:
            check_names(name, [])
            raise SettingError(f"{part!r} in {text!r} is not NAME=VALUE, such as {_example(name)}.")
        if key in given:
            raise SettingError(f"{key} stands twice in {text!r}; give it once.")
        given[key] = value
    return name, read_settings(name, given)


def _example(name: str) -> str:
    usual = SELECTORS[name]()
    pairs = [f"{k}={one.write(getattr(usual, k))}" for k, one in usual.settings().items()]
    return pairs[0] if pairs else f"nothing: {name!r} has no settings"
