"""Loading of models: from the allow-list, local directories, or with random weights.

This is the only module that loads weights. It never runs code that came with a model
and reads weights from safetensors only. Every failure is one sentence with a remedy.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hired.errors import HiredError, MemoryShortage, ModelError
from hired.inputs import check_image_token
from hired.models import folders
from hired.models import quantization as bits
from hired.models import random_weights as random_models
from hired.models.allowed import ALLOWED, EMBEDDED, SHAPES
from hired.models.checkpoints import first_line, read_config
from hired.models.hardware import (
    explain_unsupported,
    free_bytes,
    is_shortage,
    list_devices,
    name_device,
    pick_device,
    pick_dtype,
    run_aside,
)


def load(
    name_or_path: str | os.PathLike[str] = EMBEDDED,
    quantization: str | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    *,
    unlisted: bool = False,
) -> tuple[Any, Any]:
    """A stock model in eval mode and its processor.

    Args:
        name_or_path: a name in `ALLOWED`, a directory with a LLaVA-NeXT or LLaVA-1.5 model, or
            `random:7b`, `random:7b/16`, … (right shapes, random weights, no answers).
        quantization: None, "8bit" or "4bit": the language model through bitsandbytes. A directory
            that was saved quantised so stays as it is.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        dtype: "auto" (float32 on a CPU, half precision elsewhere), a name or a `torch.dtype`.
        unlisted: download a model of the hub, OWNER/NAME, that is not in `ALLOWED`.

    Raises:
        ModelError: unknown name, no such device or dtype, the hub cannot be reached or wants a
            token, a directory that holds no whole model of these kinds, bitsandbytes missing, a
            directory saved with another quantization.
        MemoryShortage: the weights do not fit.
    """
    name = str(name_or_path)
    place = pick_device(device)
    bits.check_name(quantization)
    config, folder = _find_config(name, unlisted)
    own = bits.find_own(name, config, quantization)
    fresh = None if own else quantization
    precision = pick_dtype(dtype, place, config.dtype)
    _check_memory(name, config, place, precision, fresh)
    build = partial(_build, name, config, folder, place, precision, fresh)
    with _explained(name, place):
        model, processor = run_aside(build) if place.type == "cpu" else build()
        if kind := own or quantization:
            bits.finish(name, model, kind, precision, own is not None)
    model.name_or_path = model.config.name_or_path = name
    return model.eval(), processor


def _find_config(name: str, unlisted: bool) -> tuple[Any, Path | None]:
    """The config of a model and its folder; a random model has none."""
    if name.startswith(random_models.PREFIX):
        return random_models.make_config(random_models.parse(name)), None
    folder = folders.find(name, unlisted)
    return read_config(name, folder, ALLOWED), folder


@contextmanager
def _explained(name: str, place: torch.device) -> Iterator[None]:
    """Say what goes wrong inside in words for the user."""
    try:
        yield
    except HiredError:
        raise
    except Exception as error:  # a damaged checkpoint fails in a hundred ways
        raise _explain(name, error, place) from error


def _build(
    name: str,
    config: Any,
    folder: Path | None,
    place: torch.device,
    precision: torch.dtype,
    quantization: str | None,
) -> tuple[Any, Any]:
    """Model and processor, from a directory or, without one, from the config alone."""
    settings = bits.make_settings(quantization, precision) if quantization else None
    if folder is None:
        model = random_models.build_model(config, place, precision, settings)
        return model, random_models.make_processor()
    if folder != SHAPES and folder != Path(name).expanduser():  # its config alone is there
        folder = folders.fetch(name)
    model = _read_model(folder, config, place, precision, settings)
    return model, _read_processor(folder, config)


def describe(model: Any) -> dict[str, Any]:
    """Describe a loaded model for a panel; sizes in bytes and pixels.

    `resting_bytes` is exact: all weights, buffers and quantisation scales, shared storage once.
    """
    config, vision, text = model.config, model.config.vision_config, model.config.text_config
    name = model.name_or_path
    origin = "local"
    if name.startswith(random_models.PREFIX):
        origin = "random"
    elif name in ALLOWED:
        origin = "embedded" if name == EMBEDDED else "hub"
    return {
        "name": name,
        "origin": origin,
        "family": "LLaVA-NeXT" if config.model_type == "llava_next" else "LLaVA-1.5",
        "device": str(model.device),
        "device_name": name_device(model.device),
        "dtype": str(model.dtype).removeprefix("torch."),
        "quantization": bits.find_kind(model),
        "quantized_tower": bits.has_quantised_tower(model),
        "tile": vision.image_size,
        "patch": vision.patch_size,
        "vision_layers": vision.num_hidden_layers,
        "vision_heads": vision.num_attention_heads,
        "vision_width": vision.hidden_size,
        "text_layers": text.num_hidden_layers,
        "text_heads": text.num_attention_heads,
        "text_width": text.hidden_size,
        "resting_bytes": bits.resting_bytes(model),
    }


def _check_memory(
    name: str, config: Any, device: torch.device, dtype: torch.dtype, quantization: str | None
) -> None:
    """Raise MemoryShortage before anything large is read."""
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        blank = AutoModelForImageTextToText.from_config(config, trust_remote_code=False)
    if own := bits.find_own(name, config, None):
        bits.convert_blank(blank, config)
    needed, free = bits.needed_bytes(blank, dtype, quantization), free_bytes(device)
    if needed <= free:
        return
    kinds = () if own else bits.KINDS
    stored = {kind: bits.needed_bytes(blank, dtype, kind) for kind in kinds}
    fitting = [
        f"quantization={kind!r} ({size / 1e9:.1f} GB)"
        for kind, size in stored.items()
        if size <= free and size < needed
    ]
    others = [one for one in list_devices() if one != str(device)]
    remedies = [*fitting, "a smaller model", *(["another device"] if others else [])]
    raise MemoryShortage(
        f"The weights of {name} take {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free on "
        f"{device}. Free some memory, or use {' or '.join(remedies)}."
    )


def _read_model(
    folder: Path, config: Any, device: torch.device, dtype: torch.dtype, settings: Any
) -> nn.Module:
    from transformers import AutoModelForImageTextToText

    quantised = settings is not None or bits.find_own(str(folder), config, None) is not None
    asked = {} if settings is None else {"quantization_config": settings}
    # With a device map the weights travel in threads of transformers' own, which ZeroGPU does not
    # watch and where MPS may crash. Quantising needs one, and is done in this thread.
    loader: Any = AutoModelForImageTextToText  # its type knows no `output_loading_info`
    model, report = loader.from_pretrained(
        folder,
        dtype=dtype,
        device_map={"": device} if quantised else None,
        **asked,  # None would hide what the checkpoint was saved with
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    absent = sorted(report["missing_keys"]) + sorted(map(str, report["mismatched_keys"]))
    if absent:
        raise ModelError(
            f"{folder} lacks {len(absent)} of the model's weights ({absent[0]}, …), which would "
            f"be random. Download or save the model again."
        )
    _check_unread(folder, model, report["unexpected_keys"])
    return model if quantised else model.to(device)


def _check_unread(folder: Path, model: nn.Module, unread: set[str]) -> None:
    """Raise ModelError for tensors beside a layer's weights: those are not what they seem."""
    layers = {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    strange = sorted(key for key in unread if any(key.startswith(f"{name}.") for name in layers))
    if strange:
        raise ModelError(
            f"{folder} holds {len(strange)} tensors that belong to layers and that these layers "
            f"do not know ({strange[0]}, …): it was probably quantised, and its config.json does "
            f"not say how. Use the model as it was before."
        )


def _read_processor(folder: Path, config: Any) -> Any:
    """The saved processor on the PIL backend, with what older checkpoints leave to the config."""
    from transformers import AutoImageProcessor, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    images = AutoImageProcessor.from_pretrained(folder, backend="pil", trust_remote_code=False)
    if config.model_type == "llava_next":
        images.image_grid_pinpoints = config.image_grid_pinpoints
    processor.image_processor = images
    processor.patch_size = config.vision_config.patch_size
    processor.vision_feature_select_strategy = config.vision_feature_select_strategy
    processor.num_additional_image_tokens = 1  # CLS
    check_image_token(processor, config)
    return processor


def _explain(name: str, error: Exception, device: torch.device) -> HiredError:
    """A sentence for whatever stock loading code raised."""
    reason = first_line(error)
    if is_shortage(error):
        return MemoryShortage(
            f"Memory on {device} ran out while loading {name}. Close other programs, use "
            f"quantization='4bit', or a smaller model."
        )
    if unsupported := explain_unsupported(error):
        return ModelError(f"{name} could not be loaded on {device}. {unsupported}")
    return ModelError(
        f"{name} could not be loaded ({type(error).__name__}: {reason}). A file may be missing "
        f"or damaged: download or save the model again."
    )
