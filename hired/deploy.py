"""`python -m hired deploy OWNER/SPACE`: create a Hugging Face Space and upload what it needs.

Knows the Hub, nothing of models. The token comes from `hf auth login` or HF_TOKEN and is never
printed.
"""

import argparse
import fnmatch
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi, SpaceHardware
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, RepositoryNotFoundError
from huggingface_hub.utils import httpx

from hired.errors import HiredError, SettingError

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("app.py", "README.md", "LICENSE", "requirements.txt", "hired", "assets")
LEFT_OUT = ("*/__pycache__/*", "*.pyc", "*/.*", ".*")
SPACE_TORCH = "torch==2.11.0"  # the newest that ZeroGPU has
HARDWARE = tuple(one.value for one in SpaceHardware)


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command `deploy`."""
    parser = subparsers.add_parser("deploy", help="upload the demo to a Hugging Face Space")
    parser.add_argument("space", metavar="OWNER/SPACE")
    parser.add_argument("--private", action="store_true", help="only you can see it")
    parser.add_argument("--hardware", choices=HARDWARE, help="default: what the account gets free")
    parser.add_argument("--dry-run", action="store_true", help="list the files and stop")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List the files, and upload them unless it is a dry run."""
    check_name(args.space)
    files = list_files(ROOT)
    size = sum((ROOT / file).stat().st_size for file in files)
    if args.dry_run:
        print("\n".join(files))
        print(f"{len(files)} files, {size / 1e6:.1f} MB, for {args.space}. Nothing was uploaded.")
        return 0
    url = deploy(args.space, private=args.private, hardware=args.hardware)
    print(f"{len(files)} files, {size / 1e6:.1f} MB, are in {url}")
    return 0


def check_name(space: str) -> None:
    """Raise SettingError unless `space` is OWNER/SPACE."""
    if not re.fullmatch(r"[a-z0-9][\w.-]*/[a-z0-9][\w.-]*", space, re.ASCII | re.I):
        raise SettingError(
            f"A Space is named OWNER/SPACE, such as ada/hired-side-by-side; got {space!r}."
        )


def list_files(root: Path) -> list[str]:
    """List the files under `root` that a Space needs: paths relative to it, sorted."""
    found = []
    for name in NEEDED:
        paths = [root / name] if (root / name).is_file() else sorted((root / name).rglob("*"))
        relative = [path.relative_to(root).as_posix() for path in paths if path.is_file()]
        found += [
            path
            for path in relative
            if not any(fnmatch.fnmatch(path, pattern) for pattern in LEFT_OUT)
        ]
    return sorted(found)


def stage(root: Path, folder: Path) -> None:
    """Copy what a Space needs into an empty folder, with the torch that a Space can run."""
    for path in list_files(root):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, folder / path)
    needs = folder / "requirements.txt"
    pinned = re.sub(r"^torch[<>=].*$", SPACE_TORCH, needs.read_text(), flags=re.MULTILINE)
    needs.write_text(pinned)


def deploy(
    space: str, private: bool = False, hardware: str | None = None, api: HfApi | None = None
) -> str:
    """Create the Space if it is not there, make its files these files, return its address.

    Raises:
        HiredError: no token, no permission, the Hub cannot be reached, or a Space that should be
            private is there already and public.
    """
    api = api or HfApi()
    with _explained(space):
        wanted = SpaceHardware(hardware) if hardware else None
        try:
            there = api.space_info(space)
        except RepositoryNotFoundError:
            there = None
        if there and private and not there.private:
            raise HiredError(
                f"{space} is there already and everybody can see it. Make it private in its "
                f"settings first, or leave out --private. Nothing was uploaded."
            )
        if there and wanted:
            api.request_space_hardware(space, wanted)
        url = api.create_repo(
            space,
            repo_type="space",
            space_sdk="gradio",
            private=private,
            space_hardware=wanted,
            exist_ok=True,
        )
        with tempfile.TemporaryDirectory() as folder:
            stage(ROOT, Path(folder))
            api.upload_folder(
                repo_id=space,
                repo_type="space",
                folder_path=folder,
                delete_patterns=["hired/**", "assets/**"],  # what an earlier version left behind
                commit_message="Deploy HiRED side by side",
            )
    return str(url)


@contextmanager
def _explained(space: str) -> Iterator[None]:
    """Say in words for the user what the Hub refuses inside."""
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise HiredError(
            "The Hub wants a token. Run `hf auth login` or set HF_TOKEN to one that may write."
        ) from error
    except HfHubHTTPError as error:
        raise HiredError(_explain(space, error)) from error
    except (OSError, httpx.TransportError) as error:
        raise HiredError(
            f"The Hugging Face Hub cannot be reached ({type(error).__name__}). Check the "
            f"connection and try again; nothing is lost."
        ) from error


def _explain(space: str, error: HfHubHTTPError) -> str:
    status = error.response.status_code if error.response is not None else None
    if status == 401:
        return "The Hub did not accept the token. Run `hf auth login` or set HF_TOKEN again."
    if status == 403:
        return (
            f"This token may not write to {space}. Use a token with write permission for that "
            f"owner."
        )
    return f"The Hub refused the upload (HTTP {status}). Try again later."
