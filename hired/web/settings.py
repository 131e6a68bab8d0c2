"""Settings of a comparison, read from a form, a link, a file or an API call, and checked.

Knows neither gradio nor a model; what only a model can judge (layers, heads) is checked later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hired.errors import SettingError
from hired.selectors import SELECTORS, Selector, as_selector, build, every_setting, fitting
from hired.settings import EXAMPLE, NEW_TOKENS, Flag, Whole, declarations, declared, nearest

LEAST, MOST = 2, 4  # panes
SIDES = ("left", "right", "third")  # the panes of old links and files, which shared their settings
NOBODY = "none"  # the third of them when there was none


@dataclass(frozen=True)
class Settings:
    """Settings of one comparison: a method with its own in each pane, and those of the run.

    Attributes:
        lanes: two to four, the baseline first by convention; a line of text such as
            `hired:budget=20%` is read.
    """

    lanes: tuple[Selector, ...] = (build("full"), build("hired"))
    max_new_tokens: int = declared(
        NEW_TOKENS, Whole(label="Max new tokens", help="tokens per answer at most", low=1, high=512)
    )
    race: bool = declared(
        False, Flag(label="Race", help="all panes at once; they share the device, so times differ")
    )
    swap: bool = declared(False, Flag(label="Swapped", help="the last pane runs first"))
    repeats: int = declared(
        1, Whole(label="Repeats (median)", help="runs whose median is shown", low=1, high=9)
    )

    def __post_init__(self) -> None:
        """Check what can be checked without a model.

        Raises:
            SettingError: a setting is out of range, or there are too few panes or too many.
        """
        lanes = tuple(map(as_selector, self.lanes))
        if not LEAST <= len(lanes) <= MOST:
            raise SettingError(f"A comparison has {LEAST} to {MOST} lanes; got {len(lanes)}.")
        object.__setattr__(self, "lanes", lanes)
        for name, setting in RUN.items():
            object.__setattr__(self, name, setting.check(name, getattr(self, name)))

    @property
    def texts(self) -> tuple[str, ...]:
        """The lane of each pane as text; equal only where the settings are, in type too."""
        return tuple(lane.text for lane in self.lanes)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"lanes": list(self.texts), **{name: getattr(self, name) for name in RUN}}


RUN = declarations(Settings)
COUNTS = {name: setting for name, setting in RUN.items() if isinstance(setting, Whole)}
HIGHEST = {name: count.high for name, count in COUNTS.items() if count.high is not None}
MAX_NEW_TOKENS, MAX_REPEATS = HIGHEST["max_new_tokens"], HIGHEST["repeats"]


def known_names() -> tuple[str, ...]:
    """Every name that a link, a file or a program may give."""
    return ("lanes", *RUN, *SIDES, *every_setting())


def from_mapping(values: Mapping[str, Any]) -> Settings:
    """Settings from strings or plain values; what is missing keeps its default.

    Either `lanes`, texts or one text parted by spaces, or as links and files of before gave them:
    `left`, `right`, `third` and one set of settings that all of them share.

    Raises:
        SettingError: a name that no setting has, a value not of its kind or out of range.
    """
    known = known_names()
    for name in (str(key)[:60] for key in values if key not in known):
        raise SettingError(
            f"There is no setting {name!r}; there are {', '.join(known)}.{nearest(name, known)}"
        )
    given = {key: value for key, value in values.items() if value is not None and value != ""}
    run = {key: RUN[key].read(key, given.pop(key)) for key in RUN if key in given}
    lanes = given.pop("lanes", None)
    if lanes is None:
        return Settings(share_settings(given), **run)
    for name in given:
        raise SettingError(
            f"lanes say all of a pane, and {name!r} is of the form without them. Write it into the "
            f"lane, such as {EXAMPLE}."
        )
    return Settings(read_lanes(lanes), **run)


def read_lanes(lanes: str | Sequence[Any]) -> tuple[Selector, ...]:
    """Lanes as texts, or as one text parted by spaces.

    Raises:
        SettingError: the part that is wrong and what would be right.
    """
    return tuple(map(as_selector, lanes.split() if isinstance(lanes, str) else lanes))


def share_settings(given: Mapping[str, Any]) -> tuple[Selector, ...]:
    """The panes of an old link or file: each method with those of the shared settings it has.

    Raises:
        SettingError: there is no such method, or a setting is out of range.
    """
    usual = dict(zip(SIDES, (*Settings().texts, NOBODY), strict=True))
    names = [str(given.get(side, usual[side])) for side in SIDES]
    shared = {
        key: one.read(key, given[key]) for key, one in every_setting().items() if key in given
    }
    return tuple(
        build(name, **(fitting(name, shared) if name in SELECTORS else {}))
        for side, name in zip(SIDES, names, strict=True)
        if not (side == "third" and name == NOBODY)
    )
