"""The Dockerfile, as far as it can be checked without a container engine."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
FINAL_STAGE = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]


def copied(stage: str) -> list[str]:
    """What a stage copies from the build context."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", stage, flags=re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_hadolint_has_no_complaint() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if not hadolint:
        pytest.skip("hadolint has no build for this machine")
    run = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_what_is_copied_exists_and_is_let_into_the_context() -> None:
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    assert set(copied(DOCKERFILE)) == allowed
    assert not [path for path in allowed if not (ROOT / path).exists()]


def test_serves_on_every_address_as_an_ordinary_user() -> None:
    assert re.findall(r"^USER (\S+)$", FINAL_STAGE, flags=re.MULTILINE) == ["1000"]
    assert "HOME=/home/user " in FINAL_STAGE
    assert "GRADIO_SERVER_NAME=0.0.0.0 " in FINAL_STAGE
    assert "EXPOSE 7860" in FINAL_STAGE


def test_a_download_of_15_gb_is_not_taken_for_illness() -> None:
    (hours,) = re.findall(r"^HEALTHCHECK .*--start-period=(\d+)h ", FINAL_STAGE, re.MULTILINE)
    assert int(hours) >= 1


def test_health_check_is_python_that_runs() -> None:
    script = re.search(r'CMD \["python", "-c", "(.+)"\]', FINAL_STAGE)
    assert script
    compile(script[1], "Dockerfile", "exec")


def test_no_build_tools_in_the_image() -> None:
    assert not re.search(r"\b(gcc|build-essential|git|curl|make)\b", FINAL_STAGE)
