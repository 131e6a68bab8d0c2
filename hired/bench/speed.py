"""Run the rounds of a sweep that are not recorded yet. The lanes do the measuring."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image

from hired.bench.plan import Entry
from hired.bench.results import Record
from hired.bench.session import Progress, Tell, describe_session
from hired.bench.speed_plan import Round, Sweep, make_question
from hired.comparison.lane import Prompt, run_lane
from hired.errors import SettingError
from hired.generate import input_device
from hired.metrics import release_memory
from hired.models.hardware import pick_device
from hired.models.load import describe, load

Loaded = tuple[Any, Any]  # a model and its processor


def run_sweep(
    sweep: Sweep,
    path: Path,
    command: str = "",
    device: str = "auto",
    tell: Tell = lambda done, total, line: None,
    models: dict[str, Loaded] | None = None,
) -> Path:
    """Measure every round that `path` does not hold yet and append it there.

    Args:
        sweep: what to measure.
        path: the record; gone on with if it exists.
        command: how the sweep was asked for, for the record.
        device: where to run.
        tell: called before every lane.
        models: (model, processor) by name for models that are loaded already.

    Raises:
        ModelError, MemoryShortage: a model cannot be loaded.
        SettingError: the record is of another machine, or a prompt length is too short.
    """
    place = pick_device(device)
    record = Record(path, {**describe_session(place, command), "warm_up": sweep.warm_up})
    rounds = list(sweep.rounds())
    progress = Progress(tell, sum(len(one.entries) for one in rounds))
    held = _Held(sweep, place, models or {}, progress)
    warm: tuple[Any, ...] | None = None
    for one in rounds:
        if one.key in record.done:
            progress.skip(len(one.entries))
            continue
        kind = (one.model, one.batch, one.prompt_tokens)
        if warm != kind:
            _warm_up(one, *held.get(one.model), sweep.warm_up)
            warm = kind
        _run_round(one, *held.get(one.model), sweep.protocol, record, progress)
    progress.say("done")
    return path


class _Held:
    """The models of a sweep, one in memory at a time."""

    def __init__(
        self, sweep: Sweep, place: torch.device, given: dict[str, Loaded], progress: Progress
    ) -> None:
        self._sweep, self._place, self._given, self._progress = sweep, place, given, progress
        self._name = ""
        self._loaded: Loaded | None = None

    def get(self, name: str) -> Loaded:
        """The model and its processor."""
        if self._loaded is None or self._name != name:
            self._loaded = None  # the last one goes before the next one comes
            release_memory()
            self._progress.say(f"loading {name}")
            how = self._sweep.quantization, self._place, self._sweep.dtype
            self._loaded = self._given.get(name) or load(name, *how)
            self._name = name
        return self._loaded


def _run_round(
    one: Round, model: Any, processor: Any, protocol: str, record: Record, progress: Progress
) -> None:
    """Every lane once, then one line in the record."""
    prompt, lanes = _prompt(one, model, processor), []
    turn = -1 if one.repeat % 2 else 1  # every other round backwards: what drifts is no lane's gain
    for entry in one.entries[::turn]:
        progress.step(f"{one.model} · batch {one.batch} · {entry.title} {entry.budget or ''}")
        lanes.append(_measure(prompt, entry))
    about = _plain(one)
    about["protocol"] = protocol
    about["load"] = psutil.getloadavg()[0]  # of the last minute: other programs' too
    about["model"] = {**describe(prompt.model), "name": one.model}
    record.add(one.key, about, lanes[::turn])


def _plain(one: Round) -> dict[str, Any]:
    """A round as JSON takes it, without its lanes."""
    plain = asdict(one)
    del plain["entries"]
    return plain


def make_image(size: tuple[int, int]) -> Image.Image:
    """Noise of (height, width): no patch is like another."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))


def _prompt(one: Round, model: Any, processor: Any) -> Prompt:
    question = make_question(processor, one.prompt_tokens)
    kwargs = {"max_new_tokens": one.new_tokens, "min_new_tokens": one.new_tokens}
    return Prompt(model, processor, make_image(one.image_size), question, kwargs, one.batch)


def _warm_up(one: Round, model: Any, processor: Any, times: int) -> None:
    """Run lanes without recording them: on a CPU the baseline and the first method, elsewhere all,
    as kernels are chosen, loaded and tuned by shape.
    """
    prompt = _prompt(one, model, processor)  # the round makes a preparation of its own
    cold = one.entries[:2] if input_device(model).type == "cpu" else one.entries
    for _ in range(times):
        for entry in cold:
            _measure(prompt, entry)


def _measure(prompt: Prompt, entry: Entry) -> dict[str, Any]:
    """One lane: its settings and metrics, or the error it ended with."""
    last: dict[str, Any] = {}
    run_lane(prompt, entry.selector(), lambda **news: last.update(news), lambda: False, False)
    if (metrics := last.get("metrics")) is not None:
        return {**asdict(entry), "metrics": metrics.as_dict()}
    error = last.get("error")
    if error is None:
        raise SettingError("The lane was stopped before its first token.")
    return {**asdict(entry), "error": error}
