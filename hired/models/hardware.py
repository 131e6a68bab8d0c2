"""The machine: devices, number formats, free memory, versions. Knows no model."""

import importlib.metadata
import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import torch

from hired.errors import ModelError

DTYPES = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "float16": torch.float16,
    "fp16": torch.float16,
    "half": torch.float16,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
}
PACKAGES = ("torch", "transformers", "bitsandbytes", "accelerate", "gradio")
_UNSUPPORTED = (  # in what torch says
    "no kernel image is available",
    "not compatible with the current pytorch installation",
    "driver on your system is too old",
    "cuda driver version is insufficient",
    "torch not compiled with cuda",
)
_SHORTAGE = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "alloc_failed",  # cuBLAS and cuDNN, on a card that is full when they begin
)
_CGROUP = Path("/sys/fs/cgroup")


def run_aside(work: Callable[[], Any]) -> Any:
    """Run `work` in a thread of its own that ends with it, and return or raise what it does.

    OpenMP keeps a team of threads for every thread that has computed on the CPU. Once all of them
    together are more than the cores, they sleep at every wait, and the next computation is slow:
    on two cores a token takes up to twice as long. So what computes once, such as loading, must
    not leave a team behind.
    """
    with ThreadPoolExecutor(1, "aside") as thread:
        return thread.submit(work).result()


def list_devices() -> list[str]:
    """Every device torch can use here, the fastest first: `cuda:0`, …, `mps`, `cpu`."""
    # With a driver too old for this torch, NVML still counts the GPUs that nothing can run on.
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    devices = [f"cuda:{index}" for index in range(count)]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return [*devices, "cpu"]


def pick_device(device: str | torch.device) -> torch.device:
    """`"auto"` is the fastest device here; anything else must exist.

    Raises:
        ModelError: no such device on this machine.
    """
    here = list_devices()
    asked = str(device)
    if asked == "auto":
        return torch.device(here[0])
    if asked == "cuda" and "cuda:0" in here:
        return torch.device("cuda", torch.cuda.current_device())
    if asked not in here:
        raise ModelError(
            f"There is no device {asked!r} on this machine. Use 'auto' or one of: "
            f"{', '.join(here)}."
        )
    return torch.device(asked)


def pick_dtype(
    dtype: str | torch.dtype, device: torch.device, stored: torch.dtype | None = None
) -> torch.dtype:
    """`"auto"` is float32 on a CPU, elsewhere the checkpoint's own half precision or float16.

    Args:
        dtype: "auto", a name such as "bfloat16" or "fp16", or a `torch.dtype`.
        device: where the model will run.
        stored: the precision of the checkpoint, if known.

    Raises:
        ModelError: not a floating-point format a model can run in.
    """
    if isinstance(dtype, str) and dtype == "auto":
        if device.type == "cpu":
            return torch.float32
        bfloat16 = device.type != "cuda" or torch.cuda.get_device_capability(device) >= (8, 0)
        return stored if stored is torch.bfloat16 and bfloat16 else torch.float16
    found = DTYPES.get(dtype.removeprefix("torch.").lower()) if isinstance(dtype, str) else dtype
    if found is None or found not in DTYPES.values():
        raise ModelError(
            f"dtype must be 'auto', 'float32', 'float16' or 'bfloat16'; got {dtype!r}."
        )
    return found


def explain_unsupported(error: BaseException) -> str | None:
    """The remedy where the installed PyTorch cannot run on the device; None for another error."""
    text = str(error).lower()
    if not any(sign in text for sign in _UNSUPPORTED):
        return None
    return (
        "The installed PyTorch does not support this device or its driver. Use device='cpu', or "
        "install another PyTorch: an older one for an old GPU or driver."
    )


def is_shortage(error: BaseException) -> bool:
    """Tell whether memory ran out, of the host or of a device, in whatever words torch says so."""
    text = str(error).lower()
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(sign in text for sign in _SHORTAGE)


def free_bytes(device: torch.device) -> int:
    """Memory a model can still take on `device`, a container's limit respected."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + cached
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    import psutil

    free = psutil.virtual_memory().available
    limits = (
        ("memory.max", "memory.current", "memory.stat", ""),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat",
         "total_"),
    )  # fmt: skip
    for limit, used, stat, prefix in limits:
        try:
            room = int((_CGROUP / limit).read_text()) - int((_CGROUP / used).read_text())
            # Files that were read count as used, until somebody needs the room.
            told = dict(line.split() for line in (_CGROUP / stat).read_text().splitlines())
            room += sum(int(told[f"{prefix}{kind}_file"]) for kind in ("active", "inactive"))
        except (OSError, ValueError, KeyError):  # no such control group, or "max"
            continue
        free = min(free, room)
    return max(free, 0)


def name_device(device: torch.device) -> str:
    """The name of the chip behind a device, for reports."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions() -> dict[str, str]:
    """Python and the packages a result depends on; a package that is not installed is left out."""
    return dict(_find_versions())


@cache
def _find_versions() -> dict[str, str]:
    """Read from the disk once: it takes 4 ms, and a stream asks at every frame."""
    found: dict[str, Any] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
