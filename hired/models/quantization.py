"""The language model in 8 or 4 bits through bitsandbytes, and what any model weighs.

The vision tower, the projector and the output layer stay in full precision: selection reads the
tower's attention. Transformers ignores a skip list it does not understand without a word, so the
types of the modules are checked after loading.
"""

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from hired.errors import ModelError

SKIP = ("model.vision_tower", "model.multi_modal_projector", "lm_head")
KINDS = {"8bit": "Linear8bitLt", "4bit": "Linear4bit"}
_KIND_OF = {layer: kind for kind, layer in KINDS.items()}
# Per quantised weight: int8 (its scales, one per row, do not matter); nf4 and a scale per 64.
BYTES = {"8bit": 1.0, "4bit": 0.5 + 4 / 64}


def check_name(quantization: str | None) -> None:
    """Raise ModelError unless `quantization` is None, "8bit" or "4bit" and can run here."""
    if quantization is None:
        return
    if quantization not in KINDS:
        raise ModelError(f"quantization must be None, '8bit' or '4bit'; got {quantization!r}.")
    if missing := missing_packages(quantization):
        raise ModelError(
            f"quantization={quantization!r} needs {' and '.join(missing)}. "
            f"Install with: pip install {' '.join(missing)}"
        )


def missing_packages(quantization: str | None) -> list[str]:
    """The packages that are missing for a model to be loaded so."""
    needed = () if quantization is None else ("bitsandbytes", "accelerate")
    return [name for name in needed if not _installed(name)]


def find_own(name: str, config: Any, asked: str | None) -> str | None:
    """The quantization that a checkpoint was saved with, or None.

    Args:
        name: what the user calls the model.
        config: of the whole model.
        asked: the quantization that the user wants.

    Raises:
        ModelError: it was quantised by other means than bitsandbytes, which is not installed, or
            differently from what is asked.
    """
    settings = _own_settings(config)
    if settings is None:
        return None
    method = settings.get("quant_method") or "bitsandbytes"
    flags = {"8bit": "load_in_8bit", "4bit": "load_in_4bit"}
    own = next((kind for kind, flag in flags.items() if settings.get(flag)), None)
    if method != "bitsandbytes" or own is None:
        raise ModelError(
            f"{name} was saved quantised by {getattr(method, 'value', method)!r}; only models "
            f"quantised by bitsandbytes to 8 or 4 bits can be read. Use the model as it was "
            f"before, with quantization='8bit' or '4bit' where memory is short."
        )
    check_name(own)
    if asked not in (None, own):
        raise ModelError(
            f"{name} was saved quantised to {own} and cannot be brought to {asked}. Leave "
            f"quantization out, or use the model as it was before."
        )
    return own


def convert_blank(model: nn.Module, config: Any) -> None:
    """Give a model on the meta device the quantised layers that its checkpoint was saved with."""
    from transformers.quantizers import AutoHfQuantizer

    settings = _own_settings(config)
    assert settings is not None  # `find_own` found them
    quantizer = AutoHfQuantizer.from_config(settings, pre_quantized=True)
    quantizer.preprocess_model(model=model, config=config, device_map={"": "meta"})


def make_settings(quantization: str, dtype: torch.dtype) -> Any:
    """The `BitsAndBytesConfig` for a LLaVA model that computes in `dtype`."""
    from transformers import BitsAndBytesConfig

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


def finish(name: str, model: nn.Module, kind: str, dtype: torch.dtype, own: bool) -> None:
    """Check and settle a model that was loaded quantised; warn where that changes the selection.

    Args:
        name: what the user calls the model.
        model: as it was loaded.
        kind: "8bit" or "4bit".
        dtype: of the layers that are not quantised.
        own: the checkpoint was saved quantised, whichever layers that were.

    Raises:
        ModelError: the model is not quantised as it should be.
    """
    if not own:
        verify(model, kind)
    elif find_kind(model) != kind:
        raise ModelError(
            f"{name} says that it was saved quantised to {kind}, and its layers are not. Install "
            f"the versions in requirements.txt, or use the model as it was before."
        )
    if has_quantised_tower(model):
        warnings.warn(
            f"{name} was saved with its vision tower quantised to {kind}: the attention that "
            f"tokens are selected by is that of the quantised tower. Quantise the model here to "
            f"leave the tower as it is.",
            stacklevel=3,
        )
    settle(model, dtype)


def settle(model: nn.Module, dtype: torch.dtype) -> None:
    """Use every quantised layer once: bitsandbytes rearranges its weights on first use.

    Afterwards the model no longer changes, and two threads may use it.
    """
    # Casting float32 to float16 for 8 bits is known; bitsandbytes says so at every single product.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    with torch.inference_mode():
        for module in _quantised(model):
            device = module.weight.device
            module(torch.zeros(1, module.in_features, device=device, dtype=dtype))


def find_kind(model: nn.Module) -> str | None:
    """The quantization of a model, or None, read off the modules themselves."""
    names = {type(module).__name__ for module in _quantised(model)}
    return next((kind for kind, name in KINDS.items() if name in names), None)


def has_quantised_tower(model: Any) -> bool:
    """Tell whether the attention that methods read comes from quantised layers."""
    return find_kind(model.model.vision_tower) is not None


def needed_bytes(model: nn.Module, dtype: torch.dtype, quantization: str | None) -> int:
    """Bytes that a model's weights will take once loaded; it may be on the meta device.

    Args:
        model: before loading; layers that are quantised already count as such.
        dtype: of the layers that are not quantised.
        quantization: what else is quantised while loading.
    """
    total = 0.0
    for name, module in model.named_modules():
        shrinks = type(module) is nn.Linear and not name.startswith(SKIP)
        kind = _KIND_OF.get(type(module).__name__) or (quantization if shrinks else None)
        for key, value in module.named_parameters(recurse=False):
            packed = BYTES[kind] if kind is not None and key == "weight" else dtype.itemsize
            total += value.numel() * packed
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
        if isinstance(module, nn.Linear) and type(module).__name__ in KINDS.values():
            yield module


def _own_settings(config: Any) -> dict[str, Any] | None:
    """The note that transformers left in a config when it saved a quantised model."""
    for part in (config, config.get_text_config()):
        settings = getattr(part, "quantization_config", None)
        if settings is not None:
            return settings if isinstance(settings, dict) else settings.to_dict()
    return None


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
