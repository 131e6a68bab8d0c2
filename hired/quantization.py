"""The language model in 8 or 4 bits through bitsandbytes, and what any model weighs.

The vision tower, the projector and the output layer stay in full precision: selection reads the
tower's attention. Transformers ignores a skip list it does not understand without a word, so the
types of the modules are checked after loading.
"""

import importlib.util
import logging
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from hired.errors import ModelError

SKIP = ("model.vision_tower", "model.multi_modal_projector", "lm_head")
KINDS = {"8bit": "Linear8bitLt", "4bit": "Linear4bit"}
# Per quantised weight: int8 (its scales, one per row, do not matter); nf4 and a scale per 64.
_BYTES = {"8bit": 1.0, "4bit": 0.5 + 4 / 64}


def check_name(quantization: str | None) -> None:
    """Raise ModelError unless `quantization` is None, "8bit" or "4bit" and can run here."""
    if quantization is None:
        return
    if quantization not in KINDS:
        raise ModelError(f"quantization must be None, '8bit' or '4bit'; got {quantization!r}.")
    missing = [name for name in ("bitsandbytes", "accelerate") if not _installed(name)]
    if missing:
        raise ModelError(
            f"quantization={quantization!r} needs {' and '.join(missing)}. "
            f"Install with: pip install {' '.join(missing)}"
        )


def make_settings(quantization: str, dtype: torch.dtype) -> Any:
    """The `BitsAndBytesConfig` for a LLaVA model that computes in `dtype`."""
    from transformers import BitsAndBytesConfig

    # Casting float32 to float16 for 8 bits is known; bitsandbytes says so at every single product.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    return BitsAndBytesConfig(
        load_in_8bit=quantization == "8bit",
        load_in_4bit=quantization == "4bit",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=list(SKIP),
    )


def verify(model: nn.Module, quantization: str) -> None:
    """Raise ModelError unless exactly the language model's linear layers are quantised."""
    wanted = KINDS[quantization]
    wrong = [
        f"{name} is {type(module).__name__}"
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and type(module).__name__ != ("Linear" if name.startswith(SKIP) else wanted)
    ]
    if wrong or find_kind(model) != quantization:
        raise ModelError(
            f"Quantising to {quantization} went wrong: {'; '.join(wrong[:3]) or 'nothing changed'} "
            f"({len(wrong)} layers). Load the model without quantization, or install the versions "
            f"in requirements.txt."
        )


def settle(model: nn.Module, dtype: torch.dtype) -> None:
    """Use every quantised layer once: bitsandbytes rearranges its weights on first use.

    Afterwards the model no longer changes, and two threads may use it.
    """
    with torch.inference_mode():
        for module in _quantised(model):
            device = module.weight.device
            module(torch.zeros(1, module.in_features, device=device, dtype=dtype))


def find_kind(model: nn.Module) -> str | None:
    """The quantization of a model, or None, read off the modules themselves."""
    names = {type(module).__name__ for module in _quantised(model)}
    return next((kind for kind, name in KINDS.items() if name in names), None)


def needed_bytes(model: nn.Module, dtype: torch.dtype, quantization: str | None) -> int:
    """What the weights of a model (which may be on the meta device) will take once loaded."""
    total = 0.0
    for name, module in model.named_modules():
        shrinks = quantization and type(module) is nn.Linear and not name.startswith(SKIP)
        for key, value in module.named_parameters(recurse=False):
            packed = shrinks and key == "weight"
            total += value.numel() * (_BYTES[quantization] if packed else dtype.itemsize)
    return int(total)


def resting_bytes(model: nn.Module) -> int:
    """Bytes of all weights, buffers and quantisation scales; shared storage counts once."""
    storages = [tensor.untyped_storage() for tensor in held_tensors(model)]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def held_tensors(model: nn.Module) -> Iterator[Tensor]:
    """Weights, buffers and quantisation scales, without the rearranging `state_dict` does."""
    yield from model.parameters()
    yield from model.buffers()
    for module in _quantised(model):
        state = getattr(module.weight, "quant_state", None)
        while state is not None:  # 4 bits; a second state where scales are quantised too
            yield from (
                part for part in (state.absmax, state.code, state.offset) if part is not None
            )
            state = state.state2
        holders = (module.weight, getattr(module, "state", None))
        scales = [getattr(holder, "SCB", None) for holder in holders]  # 8 bits
        yield from (scale for scale in scales if scale is not None)


def _quantised(model: nn.Module) -> Iterator[nn.Linear]:
    for module in model.modules():
        if type(module).__name__ in KINDS.values():
            yield module


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
