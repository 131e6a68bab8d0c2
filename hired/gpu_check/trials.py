"""The trials of a model: races, stops, a full memory, batches, waits, a real checkpoint."""

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from PIL import Image

from hired.comparison.lane import Lane
from hired.comparison.run import compare
from hired.errors import HiredError
from hired.gpu_check.subject import GREEDY, NEW_TOKENS, Finding, Reads, Subject, keep
from hired.models.allowed import ALLOWED, SHAPES
from hired.models.hardware import list_devices
from hired.models.load import describe, load
from hired.selectors import build
from hired.selectors.hired import HiRED
from hired.wrapper import HiredModel

READS_PER_TOKEN = 2  # the token, and whether generation is over
READS_ON_HOST = 1  # whether all was finite: on a GPU it is on the host by then
WAITS_BEYOND = 8  # what a lane may make the host wait for beside the baseline's
DOCUMENT = SHAPES.parent / "examples" / "real" / "receipt.png"
DOCUMENT_QUESTION = "What is the total?"


class Hungry(HiRED):
    """HiRED that wants more memory than there is."""

    def select(self, vision: Any) -> Any:
        """Ask the device for a petabyte; where none is refused, say what CUDA says."""
        if vision.features.device.type == "cuda":
            torch.empty(2**50, dtype=torch.uint8, device=vision.features.device)
        raise torch.OutOfMemoryError("out of memory")


def try_together(subject: Subject) -> Iterator[Finding]:
    """Lanes that race say what they say alone."""
    if subject.device.type == "mps":
        yield Finding("lanes that race say what they say alone", None, "MPS runs no race")
        return
    lanes = [Lane("full", keep(1.0)), Lane("hired", keep(0.2))]
    alone = subject.compare(lanes)
    raced = subject.compare(lanes, race=True)
    yield Finding(
        "lanes that race say what they say alone",
        [(step.phase, step.text) for step in alone] == [(step.phase, step.text) for step in raced],
        " and ".join(step.error or step.phase for step in raced),
    )


def try_stop(subject: Subject) -> Iterator[Finding]:
    """A lane stops within one token."""
    told = subject.ask(keep(0.2), stop_after=3)
    count = len(told["tokens"])
    yield Finding(
        "stop ends a lane within one token",
        told["phase"] == "stopped" and count == 3,
        f"{told['phase']} after {count} tokens, asked to after 3",
    )


def try_shortage(subject: Subject) -> Iterator[Finding]:
    """A lane that runs out of memory says so, and the next one works."""
    failed = subject.ask(Hungry())
    words = str(failed.get("error"))
    yield Finding(
        "a lane without memory says so",
        failed["phase"] == "failed" and "ran out of memory" in words,
        words,
    )
    after = subject.ask(keep(0.2), 2)
    yield Finding("the next lane works", after["phase"] == "done", after.get("error") or "done")


def try_wrapper(subject: Subject) -> Iterator[Finding]:
    """`HiredModel` says what the lane says; in a batch and with beams too."""
    inputs = subject.prepare(subject.pictures["square"])
    given = {
        "input_ids": inputs.input_ids.to(subject.device),
        "attention_mask": inputs.attention_mask.to(subject.device),
        "pixel_values": inputs.pixel_values,
        "image_sizes": inputs.image_sizes,
    }
    wrapped, length = HiredModel(subject.model, keep(0.2)), inputs.input_ids.shape[1]
    alone = wrapped.generate(**given, **GREEDY)[0, length:].tolist()
    lane = subject.ask(keep(0.2))
    yield Finding(
        "HiredModel says what the lane says", alone == lane["tokens"], f"{len(alone)} tokens"
    )
    twice = {key: torch.cat([value, value]) for key, value in given.items() if value is not None}
    both = wrapped.generate(**twice, **GREEDY)[:, length:]
    yield Finding(
        "a batch of two gives two equal answers", bool((both[0] == both[1]).all()), str(both.shape)
    )
    beams = wrapped.generate(**given, **GREEDY, num_beams=2)
    yield Finding("beams work", beams.shape[1] == length + NEW_TOKENS, str(tuple(beams.shape)))


def try_waits(subject: Subject) -> Iterator[Finding]:
    """The host waits for the device as rarely as for the baseline."""
    reads, waits = {}, {}
    for budget in (1.0, 0.2):
        for tokens in (4, 12):
            subject.ask(keep(budget), tokens)  # warm
            with Reads(subject.device) as counter:
                subject.ask(keep(budget), tokens)
            reads[budget, tokens] = counter.count
            waits[budget, tokens] = _cuda_waits(subject, budget, tokens)
    each = {budget: (reads[budget, 12] - reads[budget, 4]) / 8 for budget in (1.0, 0.2)}
    most = READS_PER_TOKEN + (0 if subject.gpu else READS_ON_HOST)
    yield Finding(
        f"a token takes {most} reads",
        all(count <= most for count in each.values()),
        ", ".join(f"{budget:.0%} {count:g}" for budget, count in each.items()),
    )
    if not subject.gpu:
        yield Finding("waits that CUDA counts", None, "no CUDA device")
        return
    beyond = waits[0.2, 4] - waits[1.0, 4]
    yield Finding(
        f"HiRED makes the host wait {WAITS_BEYOND} times more at most",
        beyond <= WAITS_BEYOND,
        f"{waits[1.0, 4]} waits at 100%, {waits[0.2, 4]} at 20%",
    )


def _cuda_waits(subject: Subject, budget: float, tokens: int) -> int:
    """Synchronising operations of one lane, as CUDA's own debug mode counts them."""
    if not subject.gpu:
        return 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            subject.ask(keep(budget), tokens)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(one.message) for one in caught)


def try_checkpoint(device: torch.device, name: str | None) -> Iterator[Finding]:
    """A real model reads a document at 100 and 20 %, if one was named or is in the cache."""
    name = name or _cached()
    if name is None:
        yield Finding("a real checkpoint", None, "none was named, none is in the hub's cache")
        return
    model, processor = load(name, device=device)
    lanes = [Lane("100%", keep(1.0)), Lane("20%", keep(0.2))]
    last = {}
    with Image.open(DOCUMENT) as picture:
        steps = compare(model, processor, picture.convert("RGB"), DOCUMENT_QUESTION, lanes)
        for step in steps:
            last[step.lane] = step
    for index, lane in enumerate(lanes):
        step = last[index]
        yield Finding(
            f"{name} at {lane.name}",
            step.phase == "done" and bool(step.text.strip()),
            f"{DOCUMENT_QUESTION} {step.error or step.text}",
        )


def _cached() -> str | None:
    """A model of the allow-list that a load would not have to download."""
    from huggingface_hub import snapshot_download

    for name in ALLOWED:
        try:
            if "/" in name and snapshot_download(name, local_files_only=True):
                return name
        except Exception:  # not there, or no whole copy
            continue
    return None


def try_second_card(model: str) -> Iterator[Finding]:
    """The second GPU works where there is one."""
    if "cuda:1" not in list_devices():
        yield Finding("cuda:1", None, "there is no second GPU")
        return
    try:
        loaded, processor = load(model, device="cuda:1")
    except HiredError as error:
        yield Finding("cuda:1", False, str(error))
        return
    subject = Subject(loaded, processor, describe(loaded), torch.device("cuda:1"), 1)
    told = subject.ask(build("hired"), 4)
    yield Finding("cuda:1", told["phase"] == "done", told.get("error") or "a lane ran")
