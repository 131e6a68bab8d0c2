"""What a comparison is asked to do, read from a form, a link or an API call, and checked.

Knows neither gradio nor a model; what only a model can judge (layers, heads) is checked later.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hired.budget import parse_budget
from hired.errors import SettingError
from hired.selectors import SELECTORS, Selector, build, fitting
from hired.settings import nearest

MAX_NEW_TOKENS, MAX_REPEATS, MAX_SEED = 512, 9, 2**31 - 1
NOBODY = "none"  # the third pane when there is none
DECLARED = {
    name: setting for method in SELECTORS.values() for name, setting in method.settings().items()
}  # every setting of every method


@dataclass(frozen=True)
class Settings:
    """One comparison.

    Attributes:
        left, right, third: methods by name; `third` may be "none".
        budget: a rate (float) or a count (int) of what is kept.
        alpha to centred: settings of the methods, as they declare them.
        max_new_tokens: per lane.
        race: run the lanes at once.
        swap: run them in reverse order.
        repeats: runs whose median is shown.
    """

    left: str = "full"
    right: str = "hired"
    third: str = NOBODY
    budget: float | int = 0.2
    alpha: float = 0.5
    init_layer: int = 0
    final_layer: int | None = None
    heads: str | int = "sum"
    newline: str = "none"
    positions: str = "packed"
    seed: int = 0
    contextual: float = SELECTORS["visionzip"].contextual
    important: float = SELECTORS["vispruner"].important
    fuse: bool = False
    exact: bool = False
    centred: bool = False
    max_new_tokens: int = 64
    race: bool = False
    swap: bool = False
    repeats: int = 1

    def __post_init__(self) -> None:
        """Check what can be checked without a model."""
        for side in ("left", "right", "third"):
            name = getattr(self, side)
            if name not in SELECTORS and not (side == "third" and name == NOBODY):
                raise SettingError(f"method is one of {', '.join(SELECTORS)}; got {name!r}.")
        _check_whole("max_new_tokens", self.max_new_tokens, 1, MAX_NEW_TOKENS)
        _check_whole("repeats", self.repeats, 1, MAX_REPEATS)
        _check_whole("seed", self.seed, 0, MAX_SEED)
        self.selectors()

    @property
    def methods(self) -> tuple[str, ...]:
        """The method of each pane, in order."""
        return tuple(name for name in (self.left, self.right, self.third) if name != NOBODY)

    def selectors(self) -> list[Selector]:
        """One selector per pane.

        Raises:
            SettingError: a setting is out of range.
        """
        return [self.selector(name) for name in self.methods]

    def selector(self, name: str) -> Selector:
        """The method `name` with these settings; the baseline keeps everything whatever they say.

        Raises:
            SettingError: a setting is out of range.
        """
        shared = {key: getattr(self, key) for key in DECLARED}
        return build(name, **fitting(name, shared))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)


def from_mapping(values: Mapping[str, Any]) -> Settings:
    """Settings from strings or plain values; what is missing keeps its default.

    Raises:
        SettingError: a name that no setting has, a value not of its kind or out of range.
    """
    for name in (str(key)[:60] for key in values if key not in KNOWN):
        raise SettingError(
            f"There is no setting {name!r}; there are {', '.join(KNOWN)}.{nearest(name, KNOWN)}"
        )
    read = {
        key: _READERS[key](key, values[key])
        for key in _READERS
        if values.get(key) is not None and values[key] != ""
    }
    return Settings(**read)


def _check_whole(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SettingError(f"{name} is a whole number from {low} to {high}; got {value}.")


def _whole(name: str, value: Any) -> int:
    if isinstance(value, int):  # also one beyond every float; its range is checked later
        return int(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not number.is_integer():
        raise SettingError(f"{name} is a whole number; got {value!r}.")
    return int(number)


def _flag(name: str, value: Any) -> bool:
    if str(value).lower() in ("true", "1", "yes", "on"):
        return True
    if str(value).lower() in ("false", "0", "no", "off"):
        return False
    raise SettingError(f"{name} is true or false; got {value!r}.")


def _text(name: str, value: Any) -> str:
    return str(value)


_READERS = {name: setting.read for name, setting in DECLARED.items()} | {
    "left": _text,
    "right": _text,
    "third": _text,
    "budget": lambda _, value: parse_budget(value),
    "max_new_tokens": _whole,
    "race": _flag,
    "swap": _flag,
    "repeats": _whole,
}
KNOWN = tuple(_READERS)  # every name that a link, a file or a program may give
