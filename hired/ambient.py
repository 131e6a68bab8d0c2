"""Torch's settings around a call, which may not change what is chosen inside it."""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import ParamSpec, TypeVar

import torch

Given = ParamSpec("Given")
Result = TypeVar("Result")


def on_cpu(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Decorate a function to make its own tensors on the CPU, also where `torch.set_default_device`
    names another place; the model's and the caller's stay where they are.
    """

    @functools.wraps(function)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        usual = torch.get_default_device().type == "cpu"
        with nullcontext() if usual else torch.device("cpu"):
            return function(*args, **kwargs)

    return call


def without_autocast(*tensors: torch.Tensor | None) -> AbstractContextManager:
    """Context in which products keep the precision of the tensors, all on one device."""
    kind = next((one.device.type for one in tensors if one is not None), "cpu")
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)
