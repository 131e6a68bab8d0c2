"""Phases timed apart, memory above the resting level, and the numbers of one lane.

Knows clocks and allocators, nothing of models. CUDA and MPS are synchronised at every phase
boundary.
"""

import ctypes
import gc
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import psutil
import torch

from hired.generate import Answer
from hired.phases import OF_MODEL, PREPROCESS, SELECT, VISION
from hired.selectors import Selection

SAMPLE_EVERY_S = 0.01
_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_marking = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The numbers of one lane; seconds and bytes, `None` where nothing could be measured.

    Attributes:
        visual_tokens: what reaches the language model, newlines included.
        kept_tokens, newline_tokens: its two parts.
        nominal_tokens: T·N, what a budget rate is a share of.
        stock_tokens: what stock LLaVA feeds, newlines included.
        prompt_tokens: text tokens of the prompt.
        new_tokens: tokens generated, an end token included.
        preprocess_s: pixels and token ids, made once for all lanes and counted in each.
        vision_s, select_s: the model's phases up to the selection.
        prefill_s: projector, packing and the language model up to the first token.
        ttft_s: time to first token, the sum of the four.
        model_ttft_s: the same without `preprocess_s`: what the model takes.
        decode_s: first to last token.
        total_s: start to last token.
        tokens_per_s: decode speed, tokens after the first over `decode_s`.
        end_to_end_tokens_per_s: `new_tokens` over `total_s`.
        kv_cache_bytes: keys and values at the end, exact.
        peak_bytes: peak above the resting level of this lane.
        peak_is_approximate: not read from the allocator (CPU, MPS), of one of several devices, or
            read while another lane ran.
        contended: measured while another lane or a preview ran.
    """

    visual_tokens: int | None = None
    kept_tokens: int | None = None
    newline_tokens: int | None = None
    nominal_tokens: int | None = None
    stock_tokens: int | None = None
    prompt_tokens: int | None = None
    new_tokens: int
    preprocess_s: float | None = None
    vision_s: float | None = None
    select_s: float | None = None
    prefill_s: float | None = None
    ttft_s: float
    model_ttft_s: float | None = None
    decode_s: float
    total_s: float
    tokens_per_s: float | None = None
    end_to_end_tokens_per_s: float
    kv_cache_bytes: int | None = None
    peak_bytes: int | None = None
    peak_is_approximate: bool = False
    contended: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and tables."""
        return asdict(self)


class Stopwatch:
    """Seconds per phase on some devices; a phase inside a phase is not counted twice.

    `before` are phases that are over: they count as if they had just been gone through.
    """

    def __init__(self, *devices: torch.device, **before: float) -> None:
        self.devices = devices
        self.seconds: dict[str, float] = defaultdict(float, before)
        self.start = self.now() - sum(before.values())
        self._open: list[str] = []

    def now(self) -> float:
        """`perf_counter()` once the devices are idle."""
        for device in self.devices:
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            elif device.type == "mps":
                torch.mps.synchronize()
        return perf_counter()

    @property
    def phase_now(self) -> str | None:
        """The innermost phase that is open."""
        return self._open[-1] if self._open else None

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time inside the block to `name` and take it off the phase around it."""
        begin = self.now()
        self._open.append(name)
        try:
            yield
        finally:
            self._open.pop()
            elapsed = self.now() - begin
            self.seconds[name] += elapsed
            if self._open:
                self.seconds[self._open[-1]] -= elapsed


class MemoryProbe:
    """Peak memory above the level at entry: the CUDA allocator's own count, else the process's.

    Of a model on several devices (`split`) only the first one's is seen. On MPS the allocator's
    level is sampled. Linux keeps the highest resident size of a process and lets the process itself
    reset it; where it does not, the size is sampled. Probes that are open together keep what each
    has seen.
    """

    _open: ClassVar[list["MemoryProbe"]] = []  # those that read Linux's mark

    def __init__(self, device: torch.device, split: bool = False) -> None:
        self.device = device
        self.counted = device.type == "cuda"
        self.approximate = split or not self.counted
        self.peak_bytes = 0

    def __enter__(self) -> "MemoryProbe":
        if self.counted:
            torch.cuda.reset_peak_memory_stats(self.device)
            self._rest = torch.cuda.memory_allocated(self.device)
            return self
        trim_memory()
        with _marking:
            self._keep_mark()
            if self.device.type == "cpu" and (level := _reset_high_water()) is not None:
                self._rest = self._highest = level
                self._open.append(self)
                return self
        self._process = psutil.Process()
        self._rest = self._highest = self._level()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="memory-probe", daemon=True)
        self._thread.start()
        return self

    def _keep_mark(self) -> None:
        for probe in self._open:
            probe._highest = max(probe._highest, _read_status("VmHWM"))

    def _level(self) -> int:
        if self.device.type == "mps":
            return torch.mps.current_allocated_memory()
        return self._process.memory_info().rss

    def _sample(self) -> None:
        while True:
            self._highest = max(self._highest, self._level())
            if self._done.wait(SAMPLE_EVERY_S):
                return

    def __exit__(self, *_: object) -> None:
        if self.counted:
            self.peak_bytes = torch.cuda.max_memory_allocated(self.device) - self._rest
            return
        if self in self._open:
            with _marking:
                self._keep_mark()
                self._open.remove(self)
        else:
            self._done.set()
            self._thread.join()
            self._highest = max(self._highest, self._level())
        self.peak_bytes = self._highest - self._rest


def _read_status(name: str) -> int:
    """Bytes that Linux tells of this process under `name`."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} tells no {name}")


def _reset_high_water() -> int | None:
    """The resident size, which is now the highest; None where it can't be made so."""
    try:
        _RESET.write_text("5")
        highest, now = _read_status("VmHWM"), _read_status("VmRSS")
    except OSError:
        return None
    return highest if highest - now < 2**20 else None  # a sandbox may take the word and do nothing


def release_memory() -> None:
    """Collect what can no longer be reached, and hand freed memory back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim_memory()


def trim_memory() -> None:
    """Hand freed memory of the CPU back, so that the next resting level is one.

    Without a collection, which takes 0.1 s or more with the libraries loaded: a lane leaves no
    tensor in a cycle.
    """
    if sys.platform == "linux":
        # glibc keeps freed pages; without this the second lane's peak hides in the first's.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def summarise(
    watch: Stopwatch,
    probe: MemoryProbe,
    selection: Selection,
    prompt_tokens: int,
    answer: Answer,
    contended: bool,
) -> Metrics:
    """The metrics of a lane that has emitted at least one token."""
    ttft = answer.stamps[0] - watch.start
    timed = {phase.metric: watch.seconds[phase.name] for phase in (PREPROCESS, VISION, SELECT)}
    decode = answer.stamps[-1] - answer.stamps[0]
    total = answer.stamps[-1] - watch.start
    count = len(answer.tokens)
    metrics = Metrics(
        visual_tokens=selection.visual_tokens,
        kept_tokens=selection.kept,
        newline_tokens=selection.newlines,
        nominal_tokens=selection.nominal,
        stock_tokens=selection.stock,
        prompt_tokens=prompt_tokens,
        new_tokens=count,
        **timed,
        prefill_s=ttft - sum(timed.values()),
        ttft_s=ttft,
        decode_s=decode,
        total_s=total,
        tokens_per_s=(count - 1) / decode if count > 1 and decode > 0 else None,
        end_to_end_tokens_per_s=count / total,
        kv_cache_bytes=answer.kv_cache_bytes,
        peak_bytes=probe.peak_bytes,
        peak_is_approximate=probe.approximate or contended,  # lanes reset each other's count
        contended=contended,
    )
    return replace(metrics, model_ttft_s=model_ttft(metrics.as_dict()))


def model_ttft(metrics: Mapping[str, Any]) -> float | None:
    """Seconds the model takes to its first token: looking, selecting and reading."""
    parts = [metrics[phase.metric] for phase in OF_MODEL]
    return None if None in parts else sum(parts)


def seconds(value: float | None) -> str:
    """`0.41 s`, `12.3 s`, `43 ms` or `1.6 ms`."""
    if value is None:
        return "–"
    if value < 0.0995:
        return f"{value * 1000:.0f} ms" if value >= 0.00995 else f"{value * 1000:.1f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def size(value: float | None) -> str:
    """Bytes as `318 kB`, `3.2 MB` or `1.1 GB`."""
    if value is None:
        return "–"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(value) >= scale:
            number = value / scale
            return f"{number:.1f} {unit}" if number < 100 else f"{number:.0f} {unit}"
    return f"{value:.0f} B"
