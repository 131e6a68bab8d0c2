"""What `make gpu-check` looks for: one copy of the weights, cost that falls with the budget.

Runs the baseline and HiRED at 40, 20 and 10 % on a random model of LLaVA-NeXT-7B's shape, in
float16 and in 4 bits. On a machine without a GPU the same code runs at small size and the record
says so.
"""

import gc
import itertools
import json
import os
import statistics
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from hired.compare import compare
from hired.errors import ModelError, SettingError
from hired.images import describe_image
from hired.lane import Lane
from hired.machine import name_device, pick_device, versions
from hired.models import describe, load
from hired.selectors import build
from hired.stream import Step
from hired.wrapper import HiredModel

BUDGETS = (1.0, 0.4, 0.2, 0.1)
PRECISIONS = (None, "4bit")
FULL_SIZE, SMALL_SIZE = "random:7b", "random:7b/256"
NEW_TOKENS = 16
QUESTION = "What is in this picture?"
RESULTS = Path(__file__).resolve().parent.parent / "assets" / "results"
SLACK_BYTES = 256 * 2**20  # what the allocator rounds up, and cuBLAS's workspaces
NOISE = 0.1  # of a time, between neighbouring budgets


def run_check(
    model: str | None = None,
    device: str = "auto",
    repeats: int | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Load, run and judge every precision; the record is what is saved.

    Args:
        model: default `random:7b` on a GPU, `random:7b/256` elsewhere.
        device: where to run.
        repeats: runs to take medians of; default 3 on a GPU, 1 elsewhere.
        tell: gets one line per step of progress.

    Raises:
        ModelError, MemoryShortage: the model cannot be loaded.
        SettingError: no repeats.
    """
    place = pick_device(device)
    gpu = place.type == "cuda"
    repeats = (3 if gpu else 1) if repeats is None else repeats
    if repeats < 1:
        raise SettingError(f"repeats is at least 1; got {repeats}.")
    name = model or (FULL_SIZE if gpu else SMALL_SIZE)
    runs = [_run(name, precision, place, repeats, tell) for precision in PRECISIONS]
    note = (
        "Measured on a GPU."
        if gpu
        else f"No CUDA device was used: a rehearsal on {place}, whose figures say nothing about a "
        f"GPU."
    )
    return {
        "passed": all(finding["passed"] for run in runs for finding in run["findings"]),
        "note": note,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m hired gpu-check --model {name} --device {device} "
        f"--repeats {repeats}",
        "device": str(place),
        "device_name": name_device(place),
        "load_average": round(os.getloadavg()[0], 1),  # of the host: other work spoils times
        "versions": versions(),
        "image": describe_image("noise", _picture()),
        "new_tokens": NEW_TOKENS,
        "repeats": repeats,
        "runs": runs,
    }


def save(record: dict[str, Any], path: Path | None = None) -> Path:
    """Write the record; by default where the README looks for it, GPU and CPU apart."""
    kind = "gpu" if record["device"].startswith("cuda") else "cpu"
    path = path or RESULTS / f"gpu-check-{kind}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def _run(
    name: str,
    quantization: str | None,
    device: torch.device,
    repeats: int,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """One precision: load, compare, judge, and let the weights go again."""
    before = _allocated(device)
    dtype = "auto" if device.type == "cpu" else "float16"
    tell(f"loading {name}, {quantization or dtype}")
    model, processor = load(name, quantization, device, dtype)
    try:
        about = describe(model)
        loaded = _allocated(device)
        lanes = [Lane(f"{budget:.0%}", _selector(budget)) for budget in BUDGETS]
        wrappers = [HiredModel(model, lane.selector) for lane in lanes]
        samples = [_measure(model, processor, lanes, tell) for _ in range(repeats)]
        rows = [
            _median(budget, [sample[index] for sample in samples])
            for index, budget in enumerate(BUDGETS)
        ]
        findings = [
            _one_copy(wrappers, about["resting_bytes"], describe(model)["resting_bytes"]),
            _falls("time to first token falls with the budget", rows, "ttft_s", NOISE),
            _falls("KV cache falls with the budget", rows, "kv_cache_bytes"),
        ]
        if device.type == "cuda":
            held = {"loaded": loaded - before, "after all lanes": _allocated(device) - before}
            findings.append(_allocator(held, about["resting_bytes"]))
            findings.append(_falls("peak memory falls with the budget", rows, "peak_bytes"))
    finally:
        del model, processor
        wrappers = None
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    precision = quantization or about["dtype"]
    return {"precision": precision, "model": about, "rows": rows, "findings": findings}


def _selector(budget: float) -> Any:
    return build("full") if budget == 1.0 else build("hired", budget=budget)


def _picture() -> Image.Image:
    """A square of noise that fills a 2 x 2 grid: five full partitions."""
    noise = np.random.default_rng(0).integers(0, 256, (672, 672, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def _measure(
    model: Any, processor: Any, lanes: list[Lane], tell: Callable[[str], None]
) -> list[Step]:
    """The last step of every lane, all of them finished."""
    last: dict[int, Step] = {}
    for step in compare(model, processor, _picture(), QUESTION, lanes, max_new_tokens=NEW_TOKENS):
        ended = step.phase == "done" and last[step.lane].phase != "done"
        last[step.lane] = step
        if step.phase == "failed":
            raise ModelError(f"The lane at {lanes[step.lane].name} failed: {step.error}")
        if ended:
            tell(f"  {lanes[step.lane].name}: first token after {step.metrics.ttft_s:.3f} s")
    return [last[index] for index in range(len(lanes))]


def _median(budget: float, runs: list[Step]) -> dict[str, Any]:
    """One row of the table: the median of every number over the repeats."""
    measured = [step.metrics.as_dict() for step in runs]
    row: dict[str, Any] = {"budget": budget}
    for key, value in measured[0].items():
        values = [one[key] for one in measured]
        countable = not isinstance(value, bool) and None not in values
        row[key] = statistics.median(values) if countable else value
    row["ttft_s_all"] = [one["ttft_s"] for one in measured]
    return row


def _allocated(device: torch.device) -> int:
    """Bytes the CUDA allocator has handed out; 0 where there is none."""
    if device.type != "cuda":
        return 0
    gc.collect()
    torch.cuda.synchronize(device)
    return torch.cuda.memory_allocated(device)


def _one_copy(wrappers: list[HiredModel], before: int, after: int) -> dict[str, Any]:
    """All lanes read the same parameters, and running them added none."""
    pointers = [{p.data_ptr() for p in one.model.parameters()} for one in wrappers]
    shared = all(one == pointers[0] for one in pointers)
    return {
        "name": "all lanes share one set of weights",
        "passed": shared and before == after,
        "detail": f"{len(pointers[0])} tensors, {before} bytes before and {after} after",
    }


def _allocator(held: dict[str, int], resting: int) -> dict[str, Any]:
    """The allocator holds the weights once, before and after the lanes ran."""
    slack = max(SLACK_BYTES, resting // 10)
    return {
        "name": "the allocator holds one copy of the weights",
        "passed": all(abs(bytes_ - resting) <= slack for bytes_ in held.values()),
        "detail": f"weights {resting} bytes; allocated "
        + ", ".join(f"{value} {when}" for when, value in held.items()),
    }


def _falls(name: str, rows: list[dict[str, Any]], key: str, noise: float = 0.0) -> dict[str, Any]:
    """Smaller with every smaller budget; a step may rise by `noise`, a share, the whole may not."""
    values = [row[key] for row in rows]
    return {
        "name": name,
        "passed": values[-1] < values[0]
        and all(small < large * (1 + noise) for large, small in itertools.pairwise(values)),
        "detail": " > ".join(f"{value:.4g}" for value in values),
    }
