"""Links that carry settings, code that says the same, and the form of a link's visitor.

A link is untrusted: it is clamped, not refused, and what was changed is told in words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from hired.errors import SettingError
from hired.inputs import MAX_QUESTION
from hired.selectors import SELECTORS, Selector, build, every_setting, settings_of
from hired.settings import Budget, Heads, Layer, Setting, nearest
from hired.web.examples import Example, Greeting
from hired.web.settings import MOST, RUN, SIDES, Settings, known_names, share_settings

OWN = "own"  # `image=own` in a link: made with an upload, which it cannot carry
ASKED = ("q", "example", "image")  # what else a link says of what is asked
HERE = ("run", "stage")  # what the page itself does with a link; they ask for no settings
MAX_VALUE = 300  # characters of a setting in a link, unless it says more itself
MAX_LANE = 20_000  # and of a lane


def to_query(settings: Settings, question: str = "", example: str = "") -> str:
    """The query string that brings these settings back; defaults are left out."""
    usual = Settings()
    told = [("lane", text) for text in settings.texts if settings.texts != usual.texts]
    told += [
        (name, one.write(getattr(settings, name)))
        for name, one in RUN.items()
        if getattr(settings, name) != getattr(usual, name)
    ]
    extra = {"q": question[:MAX_QUESTION], "example": example}
    told += [(key, value) for key, value in extra.items() if value]
    return urlencode(told, safe=":=,")


def read_query(request: Any) -> dict[str, Any]:
    """A link's query, without gradio's parameters such as `__theme` and what the page does.

    `lane`, which may stand several times, is a list; of all others the last counts.
    """
    params = getattr(request, "query_params", None) or {}
    pairs = params.multi_items() if hasattr(params, "multi_items") else dict(params).items()
    query: dict[str, Any] = {}
    for key, value in pairs:
        if key == "lane":
            query.setdefault(key, []).append(value)
        elif not key.startswith("__") and key not in HERE:
            query[key] = value
    return query


def from_query(
    query: Mapping[str, Any], layers: int | None = None, heads: int | None = None
) -> tuple[Settings, list[str]]:
    """Settings of a link and what had to be changed in it.

    Numbers out of range are clamped; what makes no sense keeps its default. `layers` and `heads`
    are how many can be tapped, if a model is there to say so.
    """
    run, changed = _fit(RUN, query, layers, heads)
    if "lane" in query:
        lanes, more = _read_lanes(query["lane"], layers, heads)
        left = query.keys() - {*RUN, *ASKED, "lane"}
    else:
        shared, more = _fit(every_setting(), query, layers, heads)
        for index, side in enumerate(SIDES):
            if side in query and query[side] not in (*SELECTORS, *["none"] * (index == 2)):
                more.append(f"{side}={str(query[side])[:60]}")
            elif side in query:
                shared[side] = query[side]
        lanes = share_settings(shared)
        idle = every_setting().keys() - {key for lane in lanes for key in lane.settings()}
        more += [f"{key}={shared[key]} (no pane has it)" for key in sorted(idle & shared.keys())]
        left = query.keys() - {*RUN, *SIDES, *every_setting(), *ASKED}
    for key in sorted(left):
        hint = nearest(key[:60], ["lane", *known_names()[1:]])
        more.append(f"{key[:60]}={str(query[key])[:60]}{hint and f' ({hint.strip()})'}")
    return Settings(lanes, **run), changed + more


def _read_lanes(
    texts: str | list[str], layers: int | None, heads: int | None
) -> tuple[tuple[Selector, ...], list[str]]:
    """The panes of a link; one lane alone stands beside the baseline."""
    texts = [texts] if isinstance(texts, str) else list(texts)
    changed = [f"lane={text[:60]}" for text in texts[MOST:]]
    usual = Settings().lanes
    lanes: list[Selector] = []
    for text in texts[:MOST]:
        name, _, rest = text[:MAX_LANE].partition(":")
        if name not in SELECTORS:
            changed.append(f"lane={text[:60]}{nearest(name, SELECTORS)}")
            lanes.append(usual[min(len(lanes), 1)])
            continue
        parts = [part.partition("=") for part in filter(None, rest.split(","))]
        given = {key.strip(): value for key, _, value in parts}
        kept, other = _fit(settings_of(name), given, layers, heads)
        lanes.append(build(name, **kept))
        for key in given.keys() - settings_of(name).keys():
            hint = nearest(key[:60], settings_of(name))
            other.append(f"{key[:60]}={given[key][:60]}{hint and f' ({hint.strip()})'}")
        changed += [f"{one} of {name}" for one in other]
    return tuple(lanes if len(lanes) > 1 else [usual[0], *lanes]), changed


def _fit(
    known: Mapping[str, Setting], given: Mapping[str, Any], layers: int | None, heads: int | None
) -> tuple[dict[str, Any], list[str]]:
    """Those of some settings that are given, each within what may be, and what was changed."""
    kept: dict[str, Any] = {}
    changed = []
    for key, setting in known.items():
        if key not in given:
            continue
        text = str(given[key])[: getattr(setting, "longest", MAX_VALUE)]
        clamped = _clamp(setting, text, layers)
        try:
            value = setting.read(key, clamped)
        except SettingError:
            changed.append(f"{key}={text[:100]}")
            continue
        if isinstance(setting, Heads) and isinstance(value, int) and value >= (heads or value + 1):
            changed.append(f"{key}={text[:100]}")
            continue
        kept[key] = value
        if clamped != text:
            changed.append(f"{key}={text[:100]}")
    return kept, changed


def _clamp(setting: Setting, text: str, layers: int | None) -> str:
    low, high = getattr(setting, "low", None), getattr(setting, "high", None)
    if isinstance(setting, Layer) and layers is not None:
        high = layers - 1
    try:
        number = float(text)
    except ValueError:
        return text
    if isinstance(setting, Budget):
        return _clamp_budget(text, number)
    if low is not None and number < low:
        return str(low)
    return str(high) if high is not None and number > high else text


def _clamp_budget(text: str, number: float) -> str:
    """Clamp a rate to between 1 % and everything, and a count to one patch at least."""
    if text.lstrip("+-").isdigit():
        return text if number >= 1 else "1"
    if number > 1:
        return "1.0"
    return "0.01" if number < 0.01 else text  # the least the page can ask for


def to_python(settings: Settings, model: str, question: str, quantization: str | None) -> str:
    """The same comparison in Python, and the drop-in for code that calls `generate`."""
    lanes = [f"    hired.Lane({text!r}, {text!r})," for text in settings.texts]
    load = repr(model) + (f", quantization={quantization!r}" if quantization else "")
    more = f", max_new_tokens={settings.max_new_tokens}" + (", race=True" if settings.race else "")
    order = "lanes[::-1]" if settings.swap else "lanes"
    return "\n".join(
        [
            "import hired",
            "",
            f"model, processor = hired.load({load})",
            "lanes = [  # what each is called, and what it is",
            *lanes,
            "]",
            f"question = {question!r}",
            f'for step in hired.compare(model, processor, "image.png", question, {order}{more}):',
            '    if step.phase == "done":',
            f"        print({order}[step.lane].name, step.text, step.metrics)",
            "",
            "# In code that already calls model.generate, one line changes; weights are shared:",
            "pruned = hired.HiredModel(model, lanes[-1].selector)",
            "# inputs is what the processor gave",
            f"output = pruned.generate(**inputs, max_new_tokens={settings.max_new_tokens})",
        ]
    )


NOT_IN_LINK = (
    "This link was made with an uploaded image, and no link carries one. Upload it here to see "
    "the same."
)


@dataclass(frozen=True)
class Arrival:
    """Form of a new visitor.

    Attributes:
        settings: of the link, with what makes no sense replaced.
        example: the example named by the link, else the first; None for an image of one's own.
        question: of the link, else the example's.
        known: the right answer by its question.
        told: what was replaced, in words; empty where nothing was.
    """

    settings: Settings
    example: Example | None
    question: str
    known: dict[str, str] = field(default_factory=dict)
    told: str = ""


def arrive(query: Mapping[str, str], greeting: Greeting, layers: int, heads: int) -> Arrival:
    """Read from a link's query what it asks for, on a model with these layers and heads."""
    settings, changed = from_query(query, layers, heads)
    key, own = query.get("example", ""), query.get("image") == OWN
    example = None if own else greeting.example(key)
    if key and (example is None or example.key != key):
        changed.append(f"example={key[:60]}")
    told = ["Not everything in the link made sense here: " + ", ".join(changed)] if changed else []
    question = query.get("q", "")[:MAX_QUESTION]
    question = question or (example.question if example else "")
    known = example.known if example and question == example.question else {}
    told += [NOT_IN_LINK] if own else []
    return Arrival(settings, example, question, known, " ".join(told))
