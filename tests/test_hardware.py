"""Devices and number formats: what is chosen, and what is said when there is no such thing."""

import importlib.metadata
import threading
import time

import psutil
import pytest
import torch
from transformers import LlavaNextForConditionalGeneration

from hired.errors import MemoryShortage, ModelError
from hired.models.hardware import free_bytes, pick_device, pick_dtype, run_aside, versions
from hired.models.load import load


def test_cpu_computes_in_float32_unless_told() -> None:
    cpu = torch.device("cpu")
    assert pick_dtype("auto", cpu, torch.float16) == torch.float32
    assert pick_dtype("FP16", cpu) == pick_dtype(torch.float16, cpu) == torch.float16
    assert pick_dtype("torch.bfloat16", cpu) == torch.bfloat16


def test_accelerators_compute_in_half_precision(monkeypatch) -> None:
    assert pick_dtype("auto", torch.device("mps"), torch.float32) == torch.float16
    cuda = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert pick_dtype("auto", cuda, torch.bfloat16) == torch.bfloat16
    assert pick_dtype("auto", cuda, torch.float16) == torch.float16
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert pick_dtype("auto", cuda, torch.bfloat16) == torch.float16


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "", "cpu:7"])
def test_missing_device_is_explained(device) -> None:
    with pytest.raises(ModelError, match="Use 'auto' or one of"):
        pick_device(device)


def test_gpus_that_nothing_can_run_on_are_no_devices(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # NVML counts them all the same
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type != "cuda"
    with pytest.raises(ModelError, match="no device 'cuda'"):
        pick_device("cuda")


@pytest.mark.parametrize("dtype", ["int8", "float64", "float33", torch.int8, 16])
def test_wrong_dtype_is_explained(dtype) -> None:
    with pytest.raises(ModelError, match="bfloat16"):
        pick_dtype(dtype, torch.device("cpu"))


def test_free_memory_is_a_plausible_number() -> None:
    assert 1e6 < free_bytes(torch.device("cpu")) < 1e14


def test_versions_name_the_engine() -> None:
    assert versions()["torch"] == torch.__version__ and "python" in versions()


def test_aside_leaves_no_threads_behind() -> None:
    def compute() -> int:
        torch.randn(600, 600) @ torch.randn(600, 600)  # large enough for a team of threads
        return threading.get_ident()

    before = psutil.Process().num_threads()
    assert run_aside(compute) != threading.get_ident()
    deadline = time.monotonic() + 60
    while psutil.Process().num_threads() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert psutil.Process().num_threads() <= before


def test_aside_raises_what_went_wrong() -> None:
    with pytest.raises(ZeroDivisionError):
        run_aside(lambda: 1 / 0)


def test_versions_are_read_from_the_disk_once(monkeypatch):
    first = versions()
    monkeypatch.setattr(importlib.metadata, "version", pytest.fail)
    first["torch"] = "changed by who asked"
    assert versions()["torch"] == torch.__version__


@pytest.mark.parametrize("error", [
    MemoryError(), RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
], ids=str)  # fmt: skip
def test_a_lack_of_memory_is_no_damaged_file(monkeypatch, error) -> None:
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(LlavaNextForConditionalGeneration, "from_pretrained", refuse)
    with pytest.raises(MemoryShortage, match="ran out while loading"):
        load("shapes", device="cpu")
