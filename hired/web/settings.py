"""What a comparison is asked to do, read from a form, a link or an API call, and checked.

Knows neither gradio nor a model; what only a model can judge (layers, heads) is checked later.
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hired.budget import check_share, parse_budget
from hired.errors import SettingError
from hired.selectors import NEWLINES, SELECTORS, Selector, build, fitting

MAX_NEW_TOKENS, MAX_REPEATS, MAX_SEED = 512, 9, 2**31 - 1
NOBODY = "none"  # the third pane when there is none
_HEAD = re.compile(r"(?:head )?(\d{1,4})")


@dataclass(frozen=True)
class Settings:
    """One comparison.

    Attributes:
        left, right, third: methods by name; `third` may be "none".
        budget: a rate (float) or a count (int) of what is kept.
        alpha, init_layer, final_layer, heads, newline, seed: settings of the methods.
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
    seed: int = 0
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
        shared = {key: getattr(self, key) for key in _SHARED}
        return build(name, **fitting(name, shared))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)


_SHARED = ("budget", "alpha", "init_layer", "final_layer", "heads", "newline", "seed")


def parse_heads(text: Any) -> str | int:
    """`sum`, `max`, or a head by number ("3" or "head 3")."""
    found = _HEAD.fullmatch(str(text).strip())
    return int(found[1]) if found else str(text)


def from_mapping(values: Mapping[str, Any]) -> Settings:
    """Settings from strings or plain values; what is missing keeps its default.

    Raises:
        SettingError: a value is not of its kind or out of range.
    """
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


def _share(name: str, value: Any) -> float:
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond every float
        number = value
    except (TypeError, ValueError):
        raise SettingError(f"{name} is a number; got {value!r}.") from None
    return check_share(name, number)


def _flag(name: str, value: Any) -> bool:
    if str(value).lower() in ("true", "1", "yes", "on"):
        return True
    if str(value).lower() in ("false", "0", "no", "off"):
        return False
    raise SettingError(f"{name} is true or false; got {value!r}.")


def _layer(name: str, value: Any) -> int | None:
    return None if str(value).lower() in ("none", "auto") else _whole(name, value)


def _newline(name: str, value: Any) -> str:
    if value not in NEWLINES:
        raise SettingError(f"newline is one of {', '.join(NEWLINES)}; got {value!r}.")
    return str(value)


def _text(name: str, value: Any) -> str:
    return str(value)


_READERS = {
    "left": _text,
    "right": _text,
    "third": _text,
    "budget": lambda _, value: parse_budget(value),
    "alpha": _share,
    "init_layer": _whole,
    "final_layer": _layer,
    "heads": lambda _, value: parse_heads(value),
    "newline": _newline,
    "seed": _whole,
    "max_new_tokens": _whole,
    "race": _flag,
    "swap": _flag,
    "repeats": _whole,
}
