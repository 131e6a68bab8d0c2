"""One comparison as plain data: export as JSON, CSV and Markdown, and back onto the page.

Knows no gradio. What is imported is untrusted: it is read field by field and every text is
escaped where it is shown.
"""

import csv
import dataclasses
import io
import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

from hired.errors import HiredError, InputError, SettingError
from hired.metrics import Metrics
from hired.selectors import every_setting, parse
from hired.web import uploads
from hired.web.pane_state import MEASURED, PaneState, name_views
from hired.web.settings import MAX_REPEATS, MOST, RUN, Settings, from_mapping

MAX_BYTES, MAX_TEXT, FORMAT = 2_000_000, 20_000, "hired-comparison-1"
_NUMBERS = {field.name: field.type for field in dataclasses.fields(Metrics)}


@dataclass(frozen=True)
class Record:
    """A comparison and all it depends on.

    Attributes:
        question: as asked.
        image: name, height and width of the image, and what `uploads.keep_picture` keeps of it.
        settings: of the comparison.
        views: the panes at the end.
        about: model, device, dtype, quantization, versions, date.
        known: the right answer to the question; empty where nobody knows it.
    """

    question: str
    image: dict[str, Any]
    settings: Settings
    views: list[PaneState]
    about: dict[str, Any]
    known: str = ""

    def __hash__(self) -> int:
        """Hash by content, although its parts are lists and dictionaries: gradio asks for it."""
        return hash(json.dumps(as_dict(self), sort_keys=True))


def about(info: dict[str, Any], versions: dict[str, str]) -> dict[str, Any]:
    """Facts that a result depends on, now."""
    return {
        "model": info["name"],
        **{key: info[key] for key in _FACTS[1:5]},
        "versions": versions,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def as_dict(record: Record) -> dict[str, Any]:
    """The record as JSON takes it; its core is what `python -m hired ask --json` prints."""
    return {
        "format": FORMAT,
        **record.about,
        "question": record.question,
        "known": record.known,
        "image": record.image,
        "settings": record.settings.as_dict(),
        "lanes": [
            {
                "name": view.title,
                "method": view.method,
                "lane": view.lane,
                "phase": view.phase,
                "text": view.text,
                "error": view.error,
                "repeats": view.repeats,
                "samples": dict(view.samples),
                "metrics": view.metrics,
                **view.told_coverage,
            }
            for view in name_views(record.views)
        ],
    }


def to_json(record: Record) -> str:
    """The whole record as JSON."""
    return json.dumps(as_dict(record), indent=2, ensure_ascii=False)


def to_csv(record: Record) -> str:
    """One row per lane with its own settings; those of the run and versions repeated."""
    data = as_dict(record)
    shared = {key: data.get(key) for key in (*_FACTS, "question")}
    shared["image"] = record.image.get("name")
    shared |= {f"image_{key}": record.image.get(key) for key in ("height", "width")}
    shared |= {f"setting_{key}": data["settings"][key] for key in RUN}
    shared |= {f"version_{key}": value for key, value in data["versions"].items()}
    rows = [
        {"name": view.title, "method": view.method, "lane": view.lane}
        | {"phase": view.phase, "text": view.text}
        | {name: (view.metrics or {}).get(name) for name in _NUMBERS}
        | {name: view.told_coverage.get(name) for name in ("coverage", "words")}
        | {f"setting_{name}": _setting(view, name) for name in every_setting()}
        | shared
        for view in name_views(record.views)
    ]
    return rows_to_csv(rows)


def _setting(view: PaneState, name: str) -> Any:
    """A setting of a lane; None where its method does not have it."""
    lane = view.selector
    return getattr(lane, name) if lane and name in lane.settings() else None


def rows_to_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of equal keys, lists as JSON; a cell that would run as a formula is quoted."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _inert(value) for key, value in row.items()} for row in rows)
    return out.getvalue()


def to_markdown(record: Record) -> str:
    """A table for an issue or a paper's notes."""
    names = ("visual_tokens", "ttft_s", "tokens_per_s", "total_s", "kv_cache_bytes", "peak_bytes")
    views = name_views(record.views)
    head = ["", *(view.title for view in views)]
    texts = {"lane": "lane", "phase": "phase", "answer": "text"}
    rows = [[name, *(getattr(view, key) for view in views)] for name, key in texts.items()]
    for name in names:
        rows.append([name, *(_number((view.metrics or {}).get(name)) for view in views)])
    if any(view.coverage for view in views):
        rows.append(["coverage", *(_number(one.told_coverage.get("coverage")) for one in views)])
    lines = [head, ["---"] * len(head), *rows]
    table = "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
    facts = record.about
    versions = ", ".join(f"{key} {value}" for key, value in facts.get("versions", {}).items())
    chosen = ", ".join(f"{name}={getattr(record.settings, name)!r}" for name in RUN)
    return (
        f"**{_cell(record.question)}** on {_picture(record.image)}\n\n{table}\n\n"
        f"{facts.get('model')} · {facts.get('device_name')} · {facts.get('dtype')} · "
        f"{facts.get('date')}\n\n{chosen}\n\n{versions}\n"
    )


FILES = {"JSON": ("json", to_json), "CSV": ("csv", to_csv), "Markdown": ("md", to_markdown)}
"""Kinds of files that a run is saved as: name -> suffix, and what writes it."""


def from_json(data: bytes | str | dict[str, Any]) -> Record:
    """A record somebody exported, as text or as the plain data in it.

    Raises:
        InputError: it is too large, no JSON, or no comparison.
        SettingError: a setting or a lane's repeats are out of range.
    """
    if len(data) > MAX_BYTES:
        raise InputError(f"The file has {len(data)} bytes; a comparison has at most {MAX_BYTES}.")
    try:
        found = _as_exported(data if isinstance(data, dict) else json.loads(data))
        lanes = list(found["lanes"])
        settings = from_mapping(dict(found["settings"]))
        views = [_view(lane, _lane(lane, settings, i)) for i, lane in enumerate(lanes[:MOST])]
        image = uploads.read_picture(found.get("image") or {})
        facts = {key: found.get(key) for key in _FACTS}
        facts["versions"] = {str(k): str(v) for k, v in dict(found.get("versions") or {}).items()}
        question = str(found.get("question", ""))[:MAX_TEXT]
        known = str(found.get("known") or "")[:MAX_TEXT]
    except HiredError:
        raise
    except _MALFORMED as error:
        raise InputError(
            "The file is not a comparison exported as JSON from this page or from "
            "`python -m hired ask --json`. Choose another one."
        ) from error
    if not views:
        raise InputError("The file holds no lanes. Choose another one.")
    return Record(question, image, settings, views, facts, known)


def _as_exported(found: dict[str, Any]) -> dict[str, Any]:
    """Translate what `python -m hired ask --json` prints into the form of an export."""
    asked = found["settings"]
    if "method" not in asked:
        return found
    lanes = [
        lane | {"phase": "stopped", "error": None} if lane.get("error") == "stopped" else lane
        for lane in found["lanes"]
    ]
    image = {"name": re.split(r"[/\\]", str(asked.get("image", "")))[-1]}
    image |= dict(found.get("image") or {})
    facts = {key: asked.get(key) for key in ("question", "dtype", "quantization")}
    settings = {key: value for key, value in asked.items() if key in RUN}
    if "lanes" in asked:  # one alone stands beside the baseline, and more than fit are left out
        texts = [str(text) for text in asked["lanes"]][:MOST]
        settings["lanes"] = texts if len(texts) > 1 else [Settings().texts[0], *texts]
        lanes = [{"lane": text} | lane for text, lane in zip(asked["lanes"], lanes, strict=False)]
    else:
        settings |= {key: value for key, value in asked.items() if key in every_setting()}
        settings["right"] = asked["method"]
    return found | facts | {"image": image, "settings": settings, "lanes": lanes}


_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
_FACTS = ("model", "device", "device_name", "dtype", "quantization", "date")


def _lane(lane: dict[str, Any], settings: Settings, index: int) -> str:
    """The lane of a pane as text; files of before say only its method, and the settings of all."""
    method = str(lane["method"])[:60]
    if "lane" in lane:
        with suppress(SettingError):
            return parse(str(lane["lane"])).text
    told = [one for one in settings.lanes[index : index + 1] if one.name == method]
    told += [one for one in settings.lanes if one.name == method]
    return told[0].text if told else method


def _view(lane: dict[str, Any], text: str) -> PaneState:
    if (metrics := lane.get("metrics")) is not None:
        metrics = _coherent({name: _metric(name, metrics) for name in _NUMBERS})
    phase = lane.get("phase") or ("failed" if lane.get("error") else "done")
    return PaneState(
        lane=text,
        phase=phase if phase in ("done", "stopped", "failed") else "stopped",
        text=str(lane.get("text") or "")[:MAX_TEXT],
        new_tokens=metrics["new_tokens"] if metrics else 0,
        visual_tokens=metrics["visual_tokens"] if metrics else None,
        metrics=metrics,
        error=str(lane["error"])[:MAX_TEXT] if lane.get("error") else None,
        repeats=from_mapping({"repeats": lane.get("repeats") or None}).repeats,
        samples=_samples(lane.get("samples") or {}),
        coverage=tuple(
            (str(one["word"])[:MAX_TEXT], min(1.0, max(0.0, float(one["coverage"]))))
            for one in (lane.get("words") or [])[:MAX_TEXT]
        ),
    )


def _samples(found: dict[str, Any]) -> dict[str, list[float]]:
    return {
        name: [_metric(name, {name: value}) for value in found[name][:MAX_REPEATS]]
        for name in MEASURED
        if isinstance(found.get(name), list)
    }


def _metric(name: str, metrics: dict[str, Any]) -> Any:
    kind = _NUMBERS[name]
    optional = type(None) in get_args(kind)  # files of before a number was measured lack it
    if metrics.get(name) is None and optional:  # what could not be measured
        return None
    value = metrics[name]
    if kind is bool:
        return bool(value)
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError(name)
    return int(number) if int in (kind, *get_args(kind)) else number


def _coherent(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics whose counts add up, as those of a run do; ValueError for others."""
    parts = [metrics[name] for name in ("visual_tokens", "kept_tokens", "newline_tokens")]
    if None not in parts and parts[0] != parts[1] + parts[2]:
        raise ValueError("visual_tokens")
    return metrics


def _inert(value: Any) -> Any:
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    text = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    return "'" + value if text else value


def _picture(image: dict[str, Any]) -> str:
    """An image in Markdown: its name, and its size where it is known."""
    height, width = image.get("height"), image.get("width")
    size = f" ({_cell(width)} × {_cell(height)} pixels)" if height and width else ""
    return f"`{_cell(image.get('name', ''))}`{size}"


def _cell(text: Any) -> str:
    words = str(text).replace("\\", "\\\\").replace("|", "\\|")
    return words.replace("\n", " ").replace("<", "&lt;")


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"
