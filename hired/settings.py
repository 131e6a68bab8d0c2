"""A setting, declared once: on the dataclass field of the method that uses it.

`declared(default, kind)` makes the field; the kind knows which values are allowed, how text becomes
a value and a value text again, and the words that people read. Every door (page, link, API, command
line, benchmark, vLLM, lmms-eval, tables) takes them from there, so none keeps a list of its own.
"""

import difflib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any, ClassVar

from hired.budget import check_budget, parse_budget
from hired.errors import SettingError

NEW_TOKENS = 64  # of an answer at most, where nothing else is asked
EXAMPLE = "hired:budget=10%,alpha=0.3"  # a lane as text, for help and for errors


@dataclass(frozen=True, kw_only=True)
class Setting(ABC):
    """The values that a setting may have, and its words.

    Attributes:
        label: its name for people, a few words.
        help: one line: what it does.
        numbers: what of a vision tower its whole numbers stand for, "layer" or "head", if any.
    """

    label: str
    help: str
    numbers: ClassVar[str] = ""

    @property
    @abstractmethod
    def allowed(self) -> str:
        """The values in words: `a number from 0 to 1`."""

    @abstractmethod
    def fit(self, value: Any) -> Any:
        """The value in its own type; raises ValueError or TypeError where it is not allowed."""

    def parse(self, text: str) -> Any:
        """Text as a value, not checked yet; raises ValueError where it is none."""
        return text

    def write(self, value: Any) -> str:
        """A value as text that `read` turns into the same value."""
        return str(value)

    def tell(self, name: str, value: Any) -> str:
        """A value beside its name, as lanes are told apart."""
        return f"{name} {self.write(value)}"

    def check(self, name: str, value: Any) -> Any:
        """The value in its own type.

        Raises:
            SettingError: it is not allowed.
        """
        return self._take(name, value, lambda: value)

    def read(self, name: str, value: Any) -> Any:
        """A value as a form, a link or a command line brings it: text, or plain already.

        Raises:
            SettingError: it is not allowed.
        """
        return self._take(
            name, value, lambda: self.parse(value.strip()) if isinstance(value, str) else value
        )

    def _take(self, name: str, value: Any, given: Callable[[], Any]) -> Any:
        try:
            return self.fit(given())
        except SettingError:
            raise
        except (TypeError, ValueError):
            raise SettingError(f"{name} is {self.allowed}; got {value!r}.") from None


@dataclass(frozen=True, kw_only=True)
class Budget(Setting):
    """The part of an image to keep: a rate (float in (0, 1]) or a count (int >= 1)."""

    allowed = "a rate such as 20% or 0.2, or a count of patches per image such as 640"

    def fit(self, value: Any) -> float | int:
        """The rate as float or the count as int."""
        return check_budget(value)

    def parse(self, text: str) -> float | int:
        """`20%` and `0.2` are rates, `640` is a count."""
        return parse_budget(text)

    def write(self, value: float | int) -> str:
        """`20%` or `640`; a rate that has no exact percentage as it is."""
        if isinstance(value, int):
            return str(value)
        percent = f"{value * 100:.10g}%"
        return percent if parse_budget(percent) == value else repr(value)


@dataclass(frozen=True, kw_only=True)
class Number(Setting):
    """A real number.

    Attributes:
        low, high: the smallest and the largest.
        step: of a slider.
    """

    low: float
    high: float
    step: float

    @property
    def allowed(self) -> str:
        """`a number from 0 to 1`."""
        return f"a number from {self.low:g} to {self.high:g}"

    def fit(self, value: Any) -> float:
        """The number as float; booleans and NaN are none."""
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError
        number: Any = value  # that it can be compared is not in `Real`
        if not self.low <= number <= self.high:  # before `float`: a whole number may be beyond it
            raise ValueError
        return float(value)

    def parse(self, text: str) -> float:
        """A decimal number, with a point or a comma."""
        return float(text.replace(",", "."))

    def write(self, value: float) -> str:
        """The shortest text of exactly this number."""
        return repr(float(value))


@dataclass(frozen=True, kw_only=True)
class Share(Number):
    """A share of something, 0 to 1."""

    low: float = 0.0
    high: float = 1.0
    step: float = 0.05


@dataclass(frozen=True, kw_only=True)
class Whole(Setting):
    """A whole number.

    Attributes:
        low, high: the smallest and the largest; None for no limit.
    """

    low: int = 0
    high: int | None = None

    @property
    def allowed(self) -> str:
        """`a whole number from 0 up`."""
        up = "up" if self.high is None else f"to {self.high}"
        return f"a whole number from {self.low} {up}"

    def fit(self, value: Any) -> int | None:
        """The number as int; a float is none, not even 3.0."""
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise TypeError
        number = int(value)
        if number < self.low or (self.high is not None and number > self.high):
            raise ValueError
        return number

    def parse(self, text: str) -> int | float | None:
        """Digits; `3.0` is 3."""
        if re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
            return int(text)
        number = float(text)
        return int(number) if number.is_integer() else number

    def read(self, name: str, value: Any) -> Any:
        """Read it like any setting; a float such as 3.0 counts, as JSON and sliders send it."""
        whole = isinstance(value, float) and value.is_integer()
        return super().read(name, int(value) if whole else value)


@dataclass(frozen=True, kw_only=True)
class Layer(Whole):
    """A layer of the vision tower by number; how many there are only a model can say.

    Attributes:
        auto: may be None, the layer that the method says; `auto` as text.
    """

    numbers = "layer"
    auto: bool = False

    @property
    def allowed(self) -> str:
        """`a layer number from 0 up`."""
        return "a layer number from 0 up" + (", or auto" if self.auto else "")

    def fit(self, value: Any) -> int | None:
        """The number as int, or None."""
        return None if value is None and self.auto else super().fit(value)

    def parse(self, text: str) -> int | float | None:
        """Digits, or `auto` for None."""
        return None if self.auto and text.lower() in ("auto", "none") else super().parse(text)

    def write(self, value: int | None) -> str:
        """Digits, or `auto`."""
        return "auto" if value is None else str(value)


@dataclass(frozen=True, kw_only=True)
class Choice(Setting):
    """One of a few words, `choices`."""

    choices: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """`one of none, rows`."""
        return f"one of {', '.join(self.choices)}"

    def fit(self, value: Any) -> str | int:
        """The word."""
        if value not in self.choices:
            raise ValueError
        return str(value)


@dataclass(frozen=True, kw_only=True)
class Heads(Choice):
    """A way to join the attention heads, or the number of the one head that counts."""

    numbers = "head"
    choices: tuple[str, ...] = ("sum", "max")

    @property
    def allowed(self) -> str:
        """`'sum', 'max' or the number of one head`."""
        return f"{', '.join(map(repr, self.choices))} or the number of one head"

    def fit(self, value: Any) -> str | int:
        """The word, or the head as int."""
        if isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0:
            return int(value)
        return super().fit(value)

    def parse(self, text: str) -> str | int:
        """A word, `3` or `head 3`."""
        found = re.fullmatch(r"(?:head )?(\d{1,4})", text, re.ASCII)
        return int(found[1]) if found else text


@dataclass(frozen=True, kw_only=True)
class Flag(Setting):
    """Yes or no."""

    allowed = "True or False"

    def fit(self, value: Any) -> bool:
        """The truth value; no number and no word is one."""
        if not isinstance(value, bool):
            raise TypeError
        return value

    def parse(self, text: str) -> bool:
        """`true` or `false`; `yes`, `on`, `1` and their opposites too."""
        yes, no = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
        if text.lower() not in (*yes, *no):
            raise ValueError
        return text.lower() in yes

    def write(self, value: bool) -> str:
        """`true` or `false`."""
        return str(value).lower()


def declared(default: Any, setting: Setting, *, kw_only: bool = False) -> Any:
    """A dataclass field that is a setting, with its default."""
    return field(default=default, metadata={"setting": setting}, kw_only=kw_only)


def declarations(owner: type) -> dict[str, Setting]:
    """The settings of a dataclass by name, in the order of its fields."""
    return {one.name: one.metadata["setting"] for one in fields(owner) if "setting" in one.metadata}


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint such as ` Did you mean 'alpha'?` where a known name is like `word`, else nothing."""
    found = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f" Did you mean {found[0]!r}?" if found else ""
