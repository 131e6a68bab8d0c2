"""The form: panes, each a method with its own settings, and the settings of the run.

The rows at the heads of the panes and the simple budget are drawn in the browser (`lanes.js`) from
what the methods declare. All of them write one hidden text, which says what the panes are.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from hired.errors import SettingError
from hired.selectors import SELECTORS, ByHand, Selector, as_selector, every_setting
from hired.selectors.by_hand import Patches
from hired.settings import Budget, Choice, Flag, Heads, Layer, Number, Setting, Whole
from hired.web.markup import fill
from hired.web.settings import COUNTS, HIGHEST, MOST, RUN, Settings

RATE, COUNT = "Share", "Count"
RATE_LABEL, COUNT_LABEL = "Share of all patches, %", "Patches to keep, per image"
ORDER = ("one after the other", "one after the other, swapped", "race (times are shared)")
FIELDS = ("panes", "max_new_tokens", "order", "repeats")
MAX_TEXT = 60_000  # characters of the hidden text
EDITED = 1  # the pane of the simple budget, and of the picture at first


@dataclass(frozen=True, eq=False)
class Form:
    """The components of the settings, in the order of `FIELDS`."""

    parts: dict[str, Any]

    @property
    def fields(self) -> dict[str, Any]:
        """The components by their names, as handlers read and write them."""
        return {name: self.parts[name] for name in FIELDS}

    @property
    def all(self) -> list[Any]:
        """The same without names, in order."""
        return list(self.fields.values())


def read(panes: str, max_new_tokens: Any, order: str, repeats: Any) -> Settings:
    """The form's values as settings.

    Raises:
        SettingError: one of them is out of range.
    """
    for name, value in (("max_new_tokens", max_new_tokens), ("repeats", repeats)):
        if value is None:
            raise SettingError(f"{RUN[name].label}: the box is empty. Type a number.")
    return Settings(
        tuple(map(_read_lane, _load(panes)["lanes"])),
        max_new_tokens=RUN["max_new_tokens"].read("max_new_tokens", max_new_tokens),
        race=order == ORDER[2],
        swap=order == ORDER[1],
        repeats=RUN["repeats"].read("repeats", repeats),
    )


def seen_of(panes: str) -> int:
    """The pane that is edited, whose tokens the picture shows."""
    found = _load(panes)
    seen = found.get("seen")
    last = len(found["lanes"]) - 1
    return min(seen, last) if isinstance(seen, int) and seen >= 0 else EDITED


def start_of(panes: str) -> str:
    """The lane that patches picked by hand are started from, HiRED where none is said."""
    text = str(_load(panes).get("start"))
    try:
        return text if not isinstance(as_selector(text), ByHand) else "hired"
    except SettingError:
        return "hired"


def write(settings: Settings) -> dict[str, Any]:
    """Values for the form that say `settings`, by the names in `FIELDS`."""
    drops = [index for index, lane in enumerate(settings.lanes) if lane.name != "full"]
    seen = EDITED if EDITED in drops or not drops else drops[0]
    panes = {"lanes": list(settings.texts), "seen": seen, "linked": False}
    order = ORDER[2] if settings.race else ORDER[1] if settings.swap else ORDER[0]
    return {"panes": json.dumps(panes), "max_new_tokens": settings.max_new_tokens, "order": order,
            "repeats": settings.repeats}  # fmt: skip


def _load(panes: str) -> dict[str, Any]:
    try:
        found = json.loads(panes) if len(panes) <= MAX_TEXT else None
        if isinstance(found, dict) and all(isinstance(text, str) for text in found["lanes"]):
            return found
    except (KeyError, TypeError, ValueError):
        pass
    raise SettingError(f"The panes could not be read; got {str(panes)[:60]!r}. Reload the page.")


def _read_lane(text: str) -> Selector:
    """Read a lane as its row wrote it; a wrong box is refused by the name of its label."""
    known = every_setting()
    for part in text.partition(":")[2].split(","):
        key, _, value = part.partition("=")
        if key == "budget":
            _check_budget(value.strip())
        elif key in known and not value.strip():
            raise SettingError(f"{known[key].label}: the box is empty. Type a number.")
    return as_selector(text)


def _check_budget(text: str) -> None:
    rate = text.endswith("%")
    label, allowed = (
        (RATE_LABEL, "a number up to 100") if rate else (COUNT_LABEL, "a whole number from 1")
    )
    if not text:
        raise SettingError("Budget: the box is empty. Type a share such as 20% or a count.")
    if text == "%":
        raise SettingError(f"{label}: {allowed}; the box is empty. Type a number.")
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        return  # its declaration says what is wrong
    wrong = not 0 < number <= 100 if rate else number <= 0 or (number > 1 and number % 1)
    if wrong:
        raise SettingError(f"{label}: {allowed}; got {number:g}.")


def with_settings(panes: str, index: int, **settings: Any) -> str:
    """The hidden text with other settings in one pane.

    Raises:
        SettingError: it says no such pane, or a setting is out of range.
    """
    found = _load(panes)
    if not 0 <= index < len(found["lanes"]):
        raise SettingError(f"There is no pane {index + 1}.")
    lanes = [as_selector(text) for text in found["lanes"]]
    lanes[index] = replace(lanes[index], **settings)
    return json.dumps(found | {"lanes": [lane.text for lane in lanes], "seen": index})


def fit_lane(lane: Selector, layers: int, heads: int) -> Selector:
    """A lane with the layers and heads that a model has."""
    fitted: dict[str, Any] = {}
    for name, setting in lane.settings().items():
        value = getattr(lane, name)
        if isinstance(setting, Layer) and value is not None:
            fitted[name] = min(value, layers - 1)
        elif isinstance(setting, Heads) and isinstance(value, int) and value >= heads:
            fitted[name] = getattr(type(lane)(), name)
    return replace(lane, **fitted)


def describe_methods(layers: int, heads: int, feature: int | None = None) -> str:
    """Every method with its settings as controls on a model with these layers and heads, as JSON:
    what the rows of the panes are made of.
    """
    methods = {
        name: {
            "title": method.title,
            "summary": method.summary,
            "settings": {
                key: {"label": one.label, "help": f"{one.help[0].upper()}{one.help[1:]}.",
                      "usual": one.write(getattr(method(), key)),
                      **_control(one, layers, heads, feature)}
                for key, one in method.settings().items()
            },
        }
        for name, method in SELECTORS.items()
    }  # fmt: skip
    return json.dumps({"methods": methods, "most": MOST})


def _control(setting: Setting, layers: int, heads: int, feature: int | None) -> dict[str, Any]:
    """Kind of control of a setting, and what it can be set to."""
    match setting:
        case Budget():
            return {"kind": "budget"}
        case Layer(auto=True):
            auto = "feature layer" if feature is None else f"feature layer ({feature})"
            numbers = map(str, range(layers))
            return {"kind": "choice", "choices": [["auto", auto], *([n, n] for n in numbers)]}
        case Layer():
            return {"kind": "range", "low": 0, "high": layers - 1, "step": 1}
        case Heads():
            single = [[str(head), f"head {head}"] for head in range(heads)]
            return {"kind": "choice", "choices": [*([c, c] for c in setting.choices), *single]}
        case Patches():
            return {"kind": "text"}
        case Choice():
            return {"kind": "choice", "choices": [[c, c] for c in setting.choices]}
        case Flag():
            return {"kind": "flag"}
        case Number():
            return {"kind": "range", "low": setting.low, "high": setting.high,
                    "step": setting.step}  # fmt: skip
        case Whole():
            return {"kind": "whole", "low": setting.low, "high": setting.high}
    raise TypeError(f"No control for {setting!r}.")


def method_choices() -> list[tuple[str, str]]:
    """(title and what it does, name) of every method in the registry."""
    return [(f"{method.title}: {method.summary}", name) for name, method in SELECTORS.items()]


def build_budget(parts: dict[str, Any]) -> None:
    """Build the simple budget, a share of all patches or a count; it moves the right pane."""
    words = {"rate": RATE, "count": COUNT, "rate_label": RATE_LABEL, "count_label": COUNT_LABEL}
    panes = write(Settings())["panes"]  # not in a closed box, where gradio would not draw it
    parts["panes"] = gr.Textbox(panes, label="Panes", elem_id="panes-text", visible="hidden")
    parts["budget"] = gr.HTML(fill("page", "budget", **words), elem_id="budget")


def build_settings(parts: dict[str, Any]) -> None:
    """Build the settings of the run and the button that puts everything back to the defaults."""
    usual = write(Settings())
    with gr.Row():
        for name, most in HIGHEST.items():
            parts[name] = gr.Slider(
                COUNTS[name].low,
                most,
                value=usual[name],
                step=1,
                label=COUNTS[name].label,
                min_width=240,
            )
    parts["order"] = gr.Dropdown(list(ORDER), value=ORDER[0], label="Panes run")
    parts["reset"] = gr.Button("Reset all settings", size="sm", elem_id="reset")
