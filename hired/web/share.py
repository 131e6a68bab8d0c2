"""Settings in a link, and as code. A link is untrusted: clamped, not refused."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from hired.errors import SettingError
from hired.selectors import settings_of
from hired.settings import nearest
from hired.web.settings import (
    MAX_NEW_TOKENS,
    MAX_REPEATS,
    MAX_SEED,
    Settings,
    from_mapping,
)

OWN = "own"  # `image=own` in a link: made with an upload, which it cannot carry
ASKED = ("q", "example", "image")  # what else a link says of what is asked
HERE = ("run", "stage")  # what the page itself does with a link; they ask for no settings
MAX_QUESTION = 1000  # characters of a question in a link
_BOUNDS = {
    "alpha": (0.0, 1.0),
    "init_layer": (0, None),
    "final_layer": (0, None),
    "contextual": (0.0, 1.0),
    "important": (0.0, 1.0),
    "seed": (0, MAX_SEED),
    "max_new_tokens": (1, MAX_NEW_TOKENS),
    "repeats": (1, MAX_REPEATS),
}


def to_query(settings: Settings, question: str = "", example: str = "") -> str:
    """The query string that brings these settings back; defaults are left out."""
    usual = Settings().as_dict()
    chosen = {
        key: repr(value) if isinstance(value, float) else str(value).lower()
        for key, value in settings.as_dict().items()
        if value != usual[key] or type(value) is not type(usual[key])
    }
    extra = {"q": question[:MAX_QUESTION], "example": example}
    return urlencode(chosen | {key: value for key, value in extra.items() if value})


def read_query(request: Any) -> dict[str, str]:
    """A link's query, without gradio's parameters such as `__theme` and what the page does."""
    query = dict(request.query_params) if request else {}
    return {
        key: value for key, value in query.items() if not key.startswith("__") and key not in HERE
    }


def from_query(
    query: Mapping[str, str], layers: int | None = None, heads: int | None = None
) -> tuple[Settings, list[str]]:
    """Settings of a link and what had to be changed in it.

    Numbers out of range are clamped; what makes no sense keeps its default. `layers` and `heads`
    are how many can be tapped, if a model is there to say so.
    """
    kept: dict[str, Any] = {}
    changed = []
    for key in Settings().as_dict():
        if key not in query:
            continue
        value = str(query[key])[:100]
        clamped = _clamp(key, value, layers)
        with suppress(SettingError):
            head = from_mapping({key: clamped}).heads
            if not (isinstance(head, int) and heads is not None and head >= heads):
                kept[key] = clamped
                if clamped == value:
                    continue
        changed.append(f"{key}={value}")
    for key in query.keys() - Settings().as_dict().keys() - set(ASKED):
        hint = nearest(key[:60], Settings().as_dict())
        changed.append(f"{key[:60]}={str(query[key])[:60]}{hint and f' ({hint.strip()})'}")
    return from_mapping(kept), changed


def _clamp(key: str, value: str, layers: int | None) -> str:
    if key == "budget":
        return _clamp_budget(value)
    if key not in _BOUNDS:
        return value
    low, high = _BOUNDS[key]
    if key.endswith("_layer") and layers is not None:
        high = layers - 1
    try:
        number = float(value)
    except ValueError:
        return value
    if number < low:
        return str(low)
    return value if high is None or number <= high else str(high)


def _clamp_budget(value: str) -> str:
    """A rate above 1 becomes everything, one below 1 % that, a count below 1 one patch."""
    try:
        number = float(value)
    except ValueError:
        return value
    if value.lstrip("+-").isdigit():
        return value if number >= 1 else "1"
    if number > 1:
        return "1.0"
    return "0.01" if number < 0.01 else value  # the least the page can ask for


def to_python(settings: Settings, model: str, question: str, quantization: str | None) -> str:
    """The same comparison in Python, and the drop-in for code that calls `generate`."""
    lanes = []
    for name, selector in zip(settings.methods, settings.selectors(), strict=True):
        usual = type(selector)()
        told = {
            key: getattr(selector, key)
            for key in settings_of(name)
            if repr(getattr(selector, key)) != repr(getattr(usual, key))
        }
        if name != "full" and "budget" not in told:
            told = {"budget": selector.budget} | told
        arguments = ", ".join(f"{key}={value!r}" for key, value in told.items())
        lanes.append(f'    hired.Lane("{name}", hired.SELECTORS["{name}"]({arguments})),')
    load = repr(model) + (f", quantization={quantization!r}" if quantization else "")
    more = f", max_new_tokens={settings.max_new_tokens}" + (", race=True" if settings.race else "")
    order = "lanes[::-1]" if settings.swap else "lanes"
    return "\n".join(
        [
            "import hired",
            "",
            f"model, processor = hired.load({load})",
            "lanes = [",
            *lanes,
            "]",
            f"question = {question!r}",
            f'for step in hired.compare(model, processor, "image.png", question, {order}{more}):',
            '    if step.phase == "done":',
            f"        print({order}[step.lane].name, step.text, step.metrics)",
            "",
            "# In code that already calls model.generate, one line changes; weights are shared:",
            "pruned = hired.HiredModel(model, lanes[-1].selector)",
            "output = pruned.generate(**inputs, max_new_tokens=64)  # what the processor gave",
        ]
    )
