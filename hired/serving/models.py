"""A model's name as a directory or hub name that vLLM can load."""

import copy
from pathlib import Path
from typing import Any

from hired.errors import ModelError
from hired.models.random_weights import PREFIX

CACHE = Path(".cache") / "random-models"


def find_folder(name: str, make: bool = True) -> str:
    """The model that `vllm serve` is given for a name of this project.

    The embedded model's directory; a directory as it is; a name on the hub as it is; and for
    `random:7b/16` a directory with such a model, made on first use unless `make` is False.

    Raises:
        ModelError: it is none of these.
    """
    from hired.models.allowed import ALLOWED, EMBEDDED, SHAPES

    if name == EMBEDDED:
        return str(SHAPES)
    if name.startswith(PREFIX):
        return str(save_random(name) if make else folder_of(name))
    if Path(name).is_dir() or name in ALLOWED:
        return name
    raise ModelError(
        f"{name!r} is neither a directory nor a model on the list. Use one of: "
        f"{', '.join(ALLOWED)}; or a directory with a LLaVA model; or random:7b/16."
    )


def folder_of(name: str) -> Path:
    """The directory that a model with random weights is saved in."""
    return (CACHE / name.removeprefix(PREFIX).replace("/", "-")).resolve()


def save_random(name: str) -> Path:
    """A model of a real one's shape with random weights, saved under `.cache`."""
    from hired.models.load import load

    folder = folder_of(name)
    if not (folder / "model.safetensors").is_file():
        save_for_vllm(*load(name, device="cpu", dtype="float32"), folder)
    return folder


def save_for_vllm(model: Any, processor: Any, folder: Path) -> None:
    """A model of this process as a directory that vLLM reads: weights under the hub's names."""
    from safetensors.torch import save_file

    from hired.shapes.train.assemble import hub_name

    folder.mkdir(parents=True, exist_ok=True)
    processor.save_pretrained(folder)
    config = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]  # without it vLLM takes it for an embedder
    config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    weights = {hub_name(name): value for name, value in model.state_dict().items()}
    weights = {name: value.contiguous() for name, value in weights.items()}
    spare = folder / "model.tmp"  # what was cut off has another name
    save_file(weights, spare, metadata={"format": "pt"})
    spare.replace(folder / "model.safetensors")
