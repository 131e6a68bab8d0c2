"""The record of a sweep: JSON lines, appended round by round. Knows files, not models."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hired.errors import InputError, SettingError

SAME = ("device_name", "device", "versions", "threads")  # what results of one file share


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Every whole line of a record; a last one that was cut off is left out.

    Raises:
        InputError: the file cannot be read or is no record.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read ({error}). Pass a file written by bench."
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
    if lines and (not isinstance(lines[0], dict) or lines[0].get("kind") != "session"):
        raise InputError(f"{path} does not begin like a record of bench.")
    return lines


def rounds_in(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The recorded rounds, each key once."""
    return list({line["key"]: line for line in lines if line["kind"] == "round"}.values())


class Record:
    """A file that grows by one line per round and can be gone on with.

    Attributes:
        done: keys of the rounds that are in it.
    """

    def __init__(self, path: Path, session: dict[str, Any]) -> None:
        """Open `path` for going on, or begin it.

        Args:
            path: the file.
            session: what is the same for all that is measured now: command, hardware, versions.

        Raises:
            InputError: the file is no record.
            SettingError: it was measured on another machine or with other versions.
        """
        self.path = path
        lines = read_lines(path) if path.exists() and path.stat().st_size else []
        if lines:
            _check_same(path, lines[0], session)
        self.done = {line["key"] for line in rounds_in(lines)}
        self.session = sum(line["kind"] == "session" for line in lines)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        if path.exists() and path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")  # without the line that was cut off
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._append({"kind": "session", "session": self.session, "date": now, **session})

    def add(self, key: str, round_: dict[str, Any], lanes: list[dict[str, Any]]) -> None:
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
