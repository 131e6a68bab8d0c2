"""Records of `bench` and `eval`: JSON lines, appended round by round. Knows files, not models."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hired.errors import InputError, SettingError

OWN = Path(".cache") / "results"  # where commands put the records of this machine
SHIPPED = Path(__file__).resolve().parents[2] / "assets" / "results"
# What all results of one file share; `weights` tells a model of eval from one trained anew.
SAME = ("device_name", "device", "versions", "threads", "weights")


def records_in(folder: Path) -> list[Path]:
    """Every file that may be a record in a folder; beside those that ship, this machine's."""
    own = sorted(OWN.glob("*.jsonl")) if folder == SHIPPED else []
    return [*own, *sorted(folder.glob("*.jsonl"))]


def read_lines(path: Path, command: str = "bench") -> list[dict[str, Any]]:
    """Every whole line of a record; a last one that was cut off is left out.

    Args:
        path: the file.
        command: which command's record it has to be.

    Raises:
        InputError: the file cannot be read or is no record.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read ({error}). Pass a file written by {command}."
        ) from error
    lines = []
    for number, line in enumerate(text.split("\n")):
        try:
            if line.strip():
                lines.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number == text.count("\n"):  # no newline after it: the writer was stopped
                break
            raise InputError(f"Line {number + 1} of {path} is no JSON: not a record.") from error
    first = lines[0] if lines and isinstance(lines[0], dict) else {}
    if lines and (first.get("kind"), first.get("of", "bench")) != ("session", command):
        raise InputError(f"{path} does not begin like a record of {command}.")
    return lines


def rounds_in(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The recorded rounds, each key once."""
    return list({line["key"]: line for line in lines if line["kind"] == "round"}.values())


class Record:
    """A file that grows by one line per round and can be gone on with.

    Attributes:
        rounds: those that were in it when it was opened.
        done: keys of the rounds that are in it.
    """

    def __init__(self, path: Path, session: dict[str, Any]) -> None:
        """Open `path` for going on, or begin it.

        Args:
            path: the file.
            session: what is the same for all that is measured now: command, hardware, versions;
                `of` names whose record it is, where it is not bench's.

        Raises:
            InputError: the file is no record.
            SettingError: it was measured on another machine or with other versions.
        """
        self.path = path
        lines = []
        if path.exists() and path.stat().st_size:
            lines = read_lines(path, session.get("of", "bench"))
        if lines:
            _check_same(path, lines[0], session)
        self.rounds = rounds_in(lines)
        self.done = {line["key"] for line in self.rounds}
        self.session = sum(line["kind"] == "session" for line in lines)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        if path.exists() and path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")  # without the line that was cut off
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._append({"kind": "session", "session": self.session, "date": now, **session})

    def add(self, key: str, round_: dict[str, Any], lanes: Any) -> None:
        """Append a round that was measured to its end."""
        self.done.add(key)
        self._append(
            {"kind": "round", "key": key, "session": self.session, **round_, "lanes": lanes}
        )

    def _append(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _check_same(path: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    other = [name for name in SAME if before.get(name) != now.get(name)]
    if other:
        name = other[0]
        raise SettingError(
            f"{path} was measured with {name} {before.get(name)}; here it is {now.get(name)}. "
            f"Give another file with --out."
        )
