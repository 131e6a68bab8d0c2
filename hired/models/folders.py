"""From a model's name to the directory it lies in, downloaded where the list allows it."""

import errno
import re
from pathlib import Path

from hired.errors import ModelError
from hired.models.allowed import ALLOWED, EMBEDDED, SHAPES
from hired.models.checkpoints import first_line

_FILES = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"]


def find(name: str, unlisted: bool) -> Path:
    """The directory that holds at least the config of a model.

    Args:
        name: a name in `ALLOWED`, or a directory.
        unlisted: download a model of the hub, OWNER/NAME, that is not in `ALLOWED`.

    Raises:
        ModelError: there is no such model, or it cannot be downloaded.
    """
    if name == EMBEDDED:
        if not (SHAPES / "config.json").is_file():
            raise ModelError(
                f"The embedded model is not in {SHAPES}. Clone the whole repository, or train it "
                f"with: python -m hired shapes train --out {SHAPES}"
            )
        return SHAPES
    folder = Path(name).expanduser()
    if folder.is_dir() and name not in ALLOWED:
        return folder
    on_hub = re.fullmatch(r"[\w.-]+/[\w.-]+", name, re.ASCII) and ".." not in name
    if name in ALLOWED or (unlisted and on_hub):
        return fetch(name, ["config.json"])
    flag = "; or, with --unlisted, this one" if on_hub else ""
    raise ModelError(
        f"{name!r} is neither a directory nor a model this program may download. Use one of: "
        f"{', '.join(ALLOWED)}; or a directory with a LLaVA model; or random:7b/16{flag}."
    )


def fetch(name: str, files: list[str] | None = None) -> Path:
    """Download a repository (or some of its files) into the hub's cache; offline, read it there.

    Raises:
        ModelError: the hub cannot be reached or wants a token, or the disk is full.
    """
    from huggingface_hub import errors, snapshot_download
    from huggingface_hub.utils import httpx

    try:
        return Path(snapshot_download(name, allow_patterns=files or _FILES))
    except (errors.GatedRepoError, errors.RepositoryNotFoundError) as error:
        raise ModelError(
            f"The Hugging Face hub does not hand out {name} without permission. Accept its terms "
            f"on https://huggingface.co/{name}, then run `hf auth login` or set HF_TOKEN."
        ) from error
    except errors.HfHubHTTPError as error:
        raise ModelError(
            f"The Hugging Face hub refused {name}: {first_line(error)}. Check HF_TOKEN and "
            f"try again later."
        ) from error
    except errors.HFValidationError as error:
        raise ModelError(f"{name!r} is no name of the Hugging Face hub: {error}") from error
    except (OSError, httpx.TransportError) as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise ModelError(
                f"The disk is full while downloading {name}. Free some space, or set HF_HOME to "
                f"a larger disk."
            ) from error
        raise ModelError(
            f"{name} is not in the local cache and the Hugging Face hub cannot be reached "
            f"({first_line(error.__cause__ or error)}). Check the network and HF_HUB_OFFLINE, "
            f"pass a local directory, or use {EMBEDDED!r}, which needs no network."
        ) from error
