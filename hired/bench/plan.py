"""Methods, settings and budgets as `bench` and `eval` are asked for them. Measures nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hired.errors import SettingError
from hired.selectors import SELECTORS, Selector, build, settings_of, split_lane

BASELINE = "full"
METHODS = tuple(name for name, one in SELECTORS.items() if one.general and name != BASELINE)


@dataclass(frozen=True)
class Entry:
    """One lane of a round: a method, its budget and further settings.

    Attributes:
        method: its name.
        budget: a rate (float) or a count (int); None for a method that takes none.
        settings: the others that were given.
    """

    method: str
    budget: float | int | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def selector(self) -> Selector:
        """The selector.

        Raises:
            SettingError: a value is out of range.
        """
        budget = {} if self.budget is None else {"budget": self.budget}
        return build(self.method, **budget, **self.settings)

    @property
    def title(self) -> str:
        """`hired` or `hired:fuse=true`."""
        return title_of(self.method, self.settings)


def title_of(method: str, settings: Mapping[str, Any]) -> str:
    """`hired` or `hired:fuse=true`, as `parse_method` reads it; a method may be unknown."""
    known = settings_of(method) if method in SELECTORS else {}
    texts = {key: known[key].write(value) if key in known else value
             for key, value in settings.items()}  # fmt: skip
    given = ",".join(f"{key}={text}" for key, text in texts.items())
    return f"{method}:{given}" if given else method


def at_budgets(methods: Iterable[Entry], budgets: Sequence[float | int]) -> Iterator[Entry]:
    """Every method at every budget, or once if it takes none."""
    for method in methods:
        for budget in budgets if "budget" in settings_of(method.method) else (None,):
            yield Entry(method.method, budget, method.settings)


def parse_method(text: str) -> Entry:
    """`hired` or `hired:fuse=true,newline=rows`; the budgets are the sweep's.

    Raises:
        SettingError: no such method or setting, or a value out of range.
    """
    name, settings = split_lane(text)
    if "budget" in settings:
        raise SettingError(f"The budget of {text!r} is given with --budgets; leave it out here.")
    build(name, **settings)
    return Entry(name, None, settings)


def expand(names: Sequence[str]) -> tuple[Entry, ...]:
    """Methods as typed; `all` is every one."""
    listed = [one for name in names for one in (METHODS if name == "all" else (name,))]
    return tuple(parse_method(name) for name in listed)
