"""The parts of the check, one after the other, each in its own try; the record they leave.

On a machine without a GPU the same code runs at small size, judges no time and says so.
"""

import gc
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil
import torch

from hired.bench.results import SHIPPED
from hired.errors import HiredError, MemoryShortage, at_least
from hired.gpu_check.parts import check_budgets, check_methods, check_stock, check_weight
from hired.gpu_check.subject import NEW_TOKENS, Finding, Subject, held_bytes
from hired.gpu_check.trials import (
    try_checkpoint,
    try_second_card,
    try_shortage,
    try_stop,
    try_together,
    try_waits,
    try_wrapper,
)
from hired.images import describe_image
from hired.models.hardware import (
    explain_unsupported,
    free_bytes,
    name_device,
    pick_device,
    versions,
)
from hired.models.load import describe, load
from hired.models.quantization import missing_packages

GPU_PRECISIONS = ("float16", "bfloat16", "8bit", "4bit")
CPU_PRECISIONS = ("float32", "float16", "bfloat16", "8bit", "4bit")
FULL_SIZE, SMALL_SIZE = "random:7b", "random:7b/256"
LONGEST_S = 540.0  # then no further part begins: a machine may be lent for ten minutes
Tell = Callable[[str], None]


def run_check(
    model: str | None = None,
    device: str = "auto",
    repeats: int | None = None,
    tell: Tell = lambda line: None,
    checkpoint: str | None = None,
    keep: Callable[[dict[str, Any]], object] = lambda record: None,
) -> dict[str, Any]:
    """Look at everything and judge it; the record is what is saved.

    Args:
        model: default `random:7b` on a GPU, `random:7b/256` elsewhere.
        device: where to run.
        repeats: runs to take medians of; default 5 on a GPU, 1 elsewhere.
        tell: gets one line per step of progress.
        checkpoint: a real model to ask; without one the first of the allow-list in the cache.
        keep: gets the record after each precision, should the check be ended before its end.

    Returns:
        "passed" is true where nothing failed, something was checked, and at least one precision
        could be loaded.

    Raises:
        ModelError: no such device.
        SettingError: no repeats.
    """
    place = pick_device(device)
    gpu = place.type == "cuda"
    repeats = (5 if gpu else 1) if repeats is None else repeats
    at_least(1, repeats=repeats)
    name = model or (FULL_SIZE if gpu else SMALL_SIZE)
    clock = _Clock(tell)
    runs: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    command = f"python -m hired gpu-check --model {name} --device {device} --repeats {repeats}"
    about = describe_session(place, command) | {"repeats": repeats}
    for precision in GPU_PRECISIONS if gpu else CPU_PRECISIONS:
        runs.append(_examine(name, precision, place, repeats, clock))
        keep(_record(about, runs, others, clock) | {"passed": False, "unfinished": True})
    others.append(clock.run("card", partial(check_card, place)))
    others.append(clock.run("real checkpoint", partial(try_checkpoint, place, checkpoint)))
    others.append(clock.run("second GPU", partial(try_second_card, model or SMALL_SIZE)))
    return _record(about, runs, others, clock)


def _record(
    about: dict[str, Any], runs: list[dict[str, Any]], others: list[dict[str, Any]], clock: "_Clock"
) -> dict[str, Any]:
    record = about | {"image": next((run["image"] for run in runs if "image" in run), None)}
    record["passed"] = _passed(runs, others)
    return record | {"seconds": round(clock.elapsed(), 1), "runs": [*runs], "parts": [*others]}


def _passed(runs: list[dict[str, Any]], others: list[dict[str, Any]]) -> bool:
    """Tell whether a model was loaded and nothing failed."""
    parts = [*others, *(part for run in runs for part in run["parts"])]
    findings = (finding for part in parts for finding in part["findings"])
    loaded = any("model" in run for run in runs)
    return loaded and all(finding["passed"] is not False for finding in findings)


def describe_session(device: torch.device, command: str) -> dict[str, Any]:
    """Date, machine and versions of the check."""
    return {
        "note": "Measured on a GPU."
        if device.type == "cuda"
        else f"No CUDA device was used: a rehearsal on {device}, whose figures say nothing about "
        f"a GPU.",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "device": str(device),
        "device_name": name_device(device),
        "machine": describe_machine(device),
        "load_average": round(psutil.getloadavg()[0], 1),  # of the host: other work spoils times
        "versions": versions(),
        "new_tokens": NEW_TOKENS,
    }


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Card, driver, CUDA, free memory, and how attention is computed."""
    kernels = torch.backends.cuda
    about: dict[str, Any] = {
        "free_bytes": free_bytes(device),
        "cuda": torch.version.cuda,
        "attention": [
            name
            for name in ("flash", "mem_efficient", "cudnn", "math")
            if getattr(kernels, f"{name}_sdp_enabled")()
        ],
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        about |= {
            "total_bytes": properties.total_memory,
            "capability": f"{properties.major}.{properties.minor}",
            "driver": _driver(),
            "cards": torch.cuda.device_count(),
        }
    return about


def check_card(place: torch.device) -> Iterator[Finding]:
    """A card whose driver is here is used: with a PyTorch for another one this is a rehearsal."""
    if driver := _driver():
        used = place.type == "cuda" or torch.cuda.is_available()
        yield Finding("PyTorch sees the NVIDIA card", used, f"{driver}; torch {torch.__version__}")


def _driver() -> str | None:
    try:
        return Path("/proc/driver/nvidia/version").read_text().splitlines()[0]
    except OSError:
        return None


def save(record: dict[str, Any], path: Path | None = None) -> Path:
    """Write the record; by default where the README looks for it, GPU and CPU apart."""
    kind = "gpu" if record["device"].startswith("cuda") else "cpu"
    path = path or SHIPPED / f"gpu-check-{kind}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


class _Clock:
    """A clock that runs parts until time is up."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.begin = perf_counter()

    def elapsed(self) -> float:
        return perf_counter() - self.begin

    def run(self, name: str, part: Callable[[], Iterable[Finding]]) -> dict[str, Any]:
        """One part: what it found until it ended or broke, and its seconds."""
        begin, findings = self.elapsed(), []
        self.tell(f"  {name}")
        if begin > LONGEST_S:
            findings.append(Finding(name, None, f"{LONGEST_S:.0f} s were over before its turn"))
        else:
            try:
                findings.extend(part())
            except Exception as error:  # the other parts still have something to say
                words = str(error) if isinstance(error, HiredError) else _name(error)
                findings.append(Finding(f"{name} runs to its end", False, words))
        seconds = round(self.elapsed() - begin, 2)
        return {"name": name, "seconds": seconds, "findings": [asdict(one) for one in findings]}


def _name(error: Exception) -> str:
    return f"{type(error).__name__}: {explain_unsupported(error) or error}"


def _examine(
    name: str, precision: str, device: torch.device, repeats: int, clock: _Clock
) -> dict[str, Any]:
    """Examine one precision: load, look, try, and let the weights go again."""
    quantization = precision if precision.endswith("bit") else None
    dtype = "auto" if quantization else precision
    before, begin = held_bytes(device), perf_counter()
    if clock.elapsed() > LONGEST_S:
        return _unloaded(precision, None, f"{LONGEST_S:.0f} s were over before its turn")
    clock.tell(f"loading {name}, {precision}")
    if missing := missing_packages(quantization):
        return _unloaded(precision, None, f"{' and '.join(missing)} is not installed")
    if (
        precision == "bfloat16"
        and device.type == "cuda"
        and not torch.cuda.is_bf16_supported(False)
    ):
        return _unloaded(precision, None, "this card has no bfloat16")
    try:
        model, processor = load(name, quantization, device, dtype)
    except MemoryShortage as error:
        return _unloaded(precision, None, str(error))
    except Exception as error:
        return _unloaded(precision, False, str(error))
    subject = Subject(model, processor, describe(model), device, repeats)
    run: dict[str, Any] = {"precision": precision, "model": subject.about, "rows": subject.rows}
    run["image"] = describe_image("noise", subject.pictures["square"])
    run["load_s"] = round(perf_counter() - begin, 2)
    run["parts"] = _look(subject, precision, before, clock)
    del subject, model, processor
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return run


def _look(subject: Subject, precision: str, before: int, clock: _Clock) -> list[dict[str, Any]]:
    """Run the parts that are due in this precision; the first precision has most."""
    parts: dict[str, Callable[[], Iterable[Finding]]] = {
        "weights": partial(check_weight, subject, before),
        "stock": partial(check_stock, subject),
        "budgets": partial(check_budgets, subject, clock.tell),
    }
    if not precision.endswith("bit"):
        parts["methods"] = partial(check_methods, subject)
    if precision == (GPU_PRECISIONS if subject.gpu else CPU_PRECISIONS)[0]:
        trials = (try_together, try_stop, try_shortage, try_wrapper, try_waits)
        parts |= {trial.__name__: partial(trial, subject) for trial in trials}
    return [clock.run(title, part) for title, part in parts.items()]


def _unloaded(precision: str, passed: bool | None, why: str) -> dict[str, Any]:
    finding = asdict(Finding(f"{precision} loads", passed, why))
    return {
        "precision": precision,
        "rows": [],
        "parts": [{"name": "load", "seconds": 0.0, "findings": [finding]}],
    }
