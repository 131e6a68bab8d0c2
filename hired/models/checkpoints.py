"""The config in a directory, or why there is none; read before any large file.

Knows the layouts that people bring: transformers', the original LLaVA repository's, adapters,
pickled weights. Reads no weights.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from hired.errors import ModelError

MODEL_TYPES = ("llava_next", "llava")
_OTHER_WEIGHTS = (".bin", ".pth", ".pt", ".ckpt", ".gguf", ".msgpack", ".h5")


def read_config(name: str, folder: Path, allowed: Collection[str]) -> Any:
    """The config of a LLaVA model that transformers can read.

    Args:
        name: what the user calls it.
        folder: where it is.
        allowed: names to offer in place of another kind of model.

    Raises:
        ModelError: no such config, another kind of model, another layout than transformers',
            weights in another format than safetensors.
    """
    from transformers import AutoConfig

    raw = _read_json(folder / "config.json")
    _check_layout(name, folder, raw)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # missing, not JSON, unknown type, fields of the wrong kind
        raise ModelError(
            f"{name} has no config.json of a LLaVA model that transformers can read "
            f"({first_line(error)}). Point to a directory saved with save_pretrained."
        ) from error
    if config.model_type not in MODEL_TYPES:
        raise ModelError(
            f"{name} is a {config.model_type!r} model; HiRED reads LLaVA-NeXT and LLaVA-1.5 "
            f"({' or '.join(MODEL_TYPES)}). Choose one of: {', '.join(allowed)}."
        )
    if name not in allowed:  # those come later, as safetensors
        _check_weights(name, folder)
    return config


def first_line(error: BaseException) -> str:
    """The message of an error, on one line of at most 200 characters."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:200]


def _check_weights(name: str, folder: Path) -> None:
    """Raise ModelError for a directory whose weights are there, but not as safetensors."""
    names = [path.name for path in folder.iterdir()]
    others = sorted(name for name in names if name.endswith(_OTHER_WEIGHTS))
    others = [name for name in others if name != "training_args.bin"]
    if others and not any(name.endswith(".safetensors") for name in names):
        raise ModelError(
            f"{name} holds its weights as {others[0]} and not as safetensors, the only format "
            f"that is read here: the others can run code or need a converter. Use the model of "
            f"the same name on https://huggingface.co/llava-hf, or save it again where you trust "
            f"it: AutoModelForImageTextToText.from_pretrained(...).save_pretrained(...)."
        )


def _check_layout(name: str, folder: Path, raw: dict[str, Any]) -> None:
    """Raise ModelError for an adapter and for a checkpoint of the original LLaVA repository."""
    adapter = _read_json(folder / "adapter_config.json")
    if adapter and not any(folder.glob("model*.safetensors")):
        base = adapter.get("base_model_name_or_path") or "its base model"
        raise ModelError(
            f"{name} is a PEFT adapter, not a model. Merge it into {base} with PEFT "
            f"(merge_and_unload, then save_pretrained) and load that, or give "
            f"HiredModel the PeftModel itself."
        )
    if "vision_config" not in raw and any(key.startswith("mm_") for key in raw):
        likely = _converted(raw)
        raise ModelError(
            f"{name} is a checkpoint of the original LLaVA repository, which transformers does "
            f"not read. The converted ones are on https://huggingface.co/llava-hf"
            f"{likely and f', this one probably as {likely}'}. A model of your own has to be "
            f"converted, too."
        )


def _converted(raw: dict[str, Any]) -> str:
    """The name on the hub of a released original checkpoint in transformers' layout, or ""."""
    kind = str(raw.get("model_type")) + "".join(raw.get("architectures") or [])
    width, tiled = raw.get("hidden_size"), raw.get("image_aspect_ratio") == "anyres"
    if "wen" in kind or width not in (4096, 5120):
        return ""
    if "istral" in kind:
        return "llava-hf/llava-v1.6-mistral-7b-hf"
    if raw.get("vocab_size", 0) > 100_000:
        return "llava-hf/llama3-llava-next-8b-hf"
    size = "13b" if width == 5120 else "7b"
    return f"llava-hf/llava-v1.6-vicuna-{size}-hf" if tiled else f"llava-hf/llava-1.5-{size}-hf"


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON object, or an empty one where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
