"""The stock model inside adapters and wrappers, and its weights while they are offloaded.

Knows adapters (PEFT), compiled and data-parallel wrappers, and the hooks that accelerate fetches
offloaded weights with; by their attributes, so that none of them has to be installed.
"""

from typing import Any

import torch
from torch import Tensor, nn

from hired.errors import ModelError


def unwrap(model: Any) -> Any:
    """The stock model inside a `PeftModel`, a compiled or a data-parallel model; else `model`.

    An adapter's layers are part of the stock model's own modules and stay in use.

    Raises:
        ModelError: an adapter that puts tokens of its own before the prompt.
    """
    while True:
        if hasattr(model, "peft_config") and hasattr(model, "get_base_model"):
            kinds = [one.peft_type for one in model.peft_config.values() if one.is_prompt_learning]
            if kinds:
                raise ModelError(
                    f"This PeftModel learned tokens that stand before the prompt "
                    f"({getattr(kinds[0], 'value', kinds[0])}), which needs the stock forward pass "
                    f"on the whole prompt. Adapters of layers, such as LoRA, work."
                )
            model = model.get_base_model()
        elif isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif isinstance(getattr(model, "_orig_mod", None), nn.Module):  # torch.compile(model)
            model = model._orig_mod
        else:
            return model


def device_of(layer: Any) -> torch.device | None:
    """The device a layer computes on; None where its weight is offloaded."""
    place = getattr(getattr(layer, "_hf_hook", None), "execution_device", None)
    if place is not None:
        return torch.device(place)
    return None if layer.weight.is_meta else layer.weight.device


def read_parameter(module: nn.Module, name: str) -> Tensor:
    """A parameter that is used without its module's forward pass, fetched if it is offloaded.

    Raises:
        ModelError: it is offloaded and nothing tells where to.
    """
    tensor = getattr(module, name)
    if not tensor.is_meta:
        return tensor
    weights = getattr(getattr(module, "_hf_hook", None), "weights_map", None)
    if weights is None:
        raise ModelError(
            f"{name} of {type(module).__name__} is offloaded and cannot be fetched. Load the "
            f"model with a device_map that keeps it on a device, or without one."
        )
    return weights[name]
