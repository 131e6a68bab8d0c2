"""The left column: what is asked and with which settings, and how that becomes `Settings`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from hired.errors import SettingError
from hired.selectors import SELECTORS, settings_of
from hired.settings import Choice, Flag, Number
from hired.web.settings import (
    DECLARED,
    MAX_NEW_TOKENS,
    MAX_REPEATS,
    NOBODY,
    Settings,
    from_mapping,
)
from hired.web.wiring import QUIET

RATE, COUNT = "Share", "Count"
AUTO = "auto"  # the final layer is the one that feeds the projector
ORDER = ("one after the other", "one after the other, swapped", "race (times are shared)")
FIELDS = (
    "left", "right", "third", "kind", "rate", "count", "alpha", "init_layer", "final_layer",
    "heads", "newline", "positions", "seed", "contextual", "important", "fuse", "exact", "centred",
    "max_new_tokens", "order", "repeats",
)  # fmt: skip

OWN = tuple(name for name in DECLARED if name != "budget")  # of methods: hidden where none has it
LABELS = {name: DECLARED[name].label for name in OWN} | {
    "rate": "Share of all patches, %",
    "count": "Patches to keep, per image",
    "max_new_tokens": "Max new tokens",
    "repeats": "Repeats (median)",
}


@dataclass(frozen=True, eq=False)
class Form:
    """The components of the settings, in the order of `FIELDS`."""

    parts: dict[str, Any]

    @property
    def all(self) -> list[Any]:
        """Inputs of a handler, in order."""
        return [self.parts[name] for name in FIELDS]


def read(*values: Any) -> Settings:
    """The form's values, in the order of `FIELDS`, as settings.

    Raises:
        SettingError: one of them is out of range.
    """
    form = dict(zip(FIELDS, values, strict=True))
    kind, rate, count, order = (form.pop(key) for key in ("kind", "rate", "count", "order"))
    form["budget"] = _read_count(count) if kind == COUNT else f"{_read_rate(rate) / 100}"
    empty = [LABELS[name] for name in form if name in LABELS and form[name] is None]
    if empty:
        raise SettingError(f"{empty[0]}: the box is empty. Type a number.")
    form["race"], form["swap"] = order == ORDER[2], order == ORDER[1]
    return from_mapping(form)


def _read_rate(rate: Any) -> float:
    if isinstance(rate, int | float) and 0 < rate <= 100:
        return float(rate)
    raise SettingError(f"{LABELS['rate']}: a number up to 100; {_typed(rate)}")


def _read_count(count: Any) -> str:
    if isinstance(count, int | float) and count >= 1 and float(count).is_integer():
        return str(int(count))
    raise SettingError(f"{LABELS['count']}: a whole number from 1; {_typed(count)}")


def _typed(value: Any) -> str:
    return "the box is empty." if value is None else f"got {value!r}."


def write(settings: Settings) -> list[Any]:
    """Settings as the form's values, in the order of `FIELDS`."""
    counted = isinstance(settings.budget, int)
    form = settings.as_dict() | {
        "kind": COUNT if counted else RATE,
        "rate": gr.skip() if counted else max(1, round(settings.budget * 100, 4)),
        "count": settings.budget if counted else gr.skip(),
        "order": ORDER[2] if settings.race else ORDER[1] if settings.swap else ORDER[0],
        "final_layer": AUTO if settings.final_layer is None else str(settings.final_layer),
        "heads": settings.heads if isinstance(settings.heads, str) else f"head {settings.heads}",
    }
    return [form[name] for name in FIELDS]


def layer_choices(layers: int, feature: int | None = None) -> list[tuple[str, str]]:
    """(shown, value) of every layer that can be tapped, and the default by its meaning."""
    default = "feature layer" if feature is None else f"feature layer ({feature})"
    return [(default, AUTO), *((str(layer), str(layer)) for layer in range(layers))]


def method_choices() -> list[tuple[str, str]]:
    """(title and what it does, name) of every method in the registry."""
    return [(f"{method.title}: {method.summary}", name) for name, method in SELECTORS.items()]


def build_budget(parts: dict[str, Any]) -> None:
    """How much is kept: a share of all patches or a count."""
    with gr.Group(elem_id="budget") as parts["budget"]:
        parts["kind"] = gr.Radio([RATE, COUNT], value=RATE, label="Budget to keep", elem_id="kind")
        parts["rate"] = gr.Slider(1, 100, value=20, step=1, label=LABELS["rate"], elem_id="rate")
        parts["count"] = gr.Number(
            160, precision=0, minimum=1, label=LABELS["count"], visible=False, elem_id="count",
            scale=3,
        )  # fmt: skip
    parts["kind"].change(
        lambda kind: (gr.update(visible=kind == RATE), gr.update(visible=kind == COUNT)),
        parts["kind"],
        [parts["rate"], parts["count"]],
        queue=False,
        **QUIET,
    )


def build_settings(parts: dict[str, Any]) -> None:
    """Methods, their own settings, the way of running, and the way back to the defaults."""
    methods, usual = method_choices(), Settings()
    with gr.Row():
        parts["left"] = gr.Dropdown(methods, value="full", label="Left pane", min_width=130)
        parts["right"] = gr.Dropdown(methods, value="hired", label="Right pane", min_width=130)
    parts["third"] = gr.Dropdown([("No third pane", NOBODY), *methods], value=NOBODY, label="Third")
    for name, visible in zip(OWN, _shown(usual.methods), strict=True):
        parts[name] = _build_own(name, getattr(usual, name), visible)
    with gr.Row():
        parts["max_new_tokens"] = gr.Slider(
            1, MAX_NEW_TOKENS, value=64, step=1, label=LABELS["max_new_tokens"], min_width=240
        )
        parts["repeats"] = gr.Slider(
            1, MAX_REPEATS, value=1, step=1, label=LABELS["repeats"], min_width=240
        )
    parts["order"] = gr.Dropdown(list(ORDER), value=ORDER[0], label="Panes run")
    parts["reset"] = gr.Button("Reset all settings", size="sm", elem_id="reset")
    sides = [parts[side] for side in ("left", "right", "third")]
    gr.on(
        [side.change for side in sides],
        lambda *chosen: [gr.update(visible=shown) for shown in _shown(chosen, "budget")],
        sides,
        [parts["budget"], *(parts[name] for name in OWN)],
        queue=False,
        **QUIET,
    )


def _shown(chosen: Iterable[str], *more: str) -> list[bool]:
    """Of `more` and each of `OWN`: has one of the chosen methods this setting?"""
    known = {setting for name in chosen if name in SELECTORS for setting in settings_of(name)}
    return [name in known for name in (*more, *OWN)]


def _build_own(name: str, value: Any, visible: bool) -> Any:
    """The field of a method's setting, with its name and its help as declared."""
    one = DECLARED[name]
    words = {
        "label": one.label,
        "info": f"{one.help[0].upper()}{one.help[1:]}.",
        "visible": visible,
        "elem_id": name.replace("_", "-"),
        "min_width": 240,
    }
    if name == "init_layer":  # as many as the model has, once it is there
        return gr.Slider(0, 63, value=value, step=1, **words)
    if name == "final_layer":
        return gr.Dropdown(layer_choices(64), value=AUTO, **words)
    if isinstance(one, Flag):
        return gr.Checkbox(value, **words)
    if isinstance(one, Choice):
        return gr.Dropdown(list(one.choices), value=value, **words)
    if isinstance(one, Number):
        return gr.Slider(one.low, one.high, value=value, step=one.step, **words)
    return gr.Number(value, precision=0, minimum=0, **words)
