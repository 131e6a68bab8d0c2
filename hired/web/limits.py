"""Limits of what one request, one client and one server may ask for; a refusal names its limit.

Knows neither gradio nor a model. A flag can only tighten what the library itself allows. Bodies of
requests are read here, as each is read within its limit.
"""

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from PIL import Image
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from hired.errors import InputError
from hired.images import MAX_BYTES, MAX_PIXELS
from hired.inputs import MAX_QUESTION
from hired.settings import Whole, declarations, declared
from hired.web.settings import MAX_NEW_TOKENS

MAX_ROWS = 60  # runs of a sweep
MAX_CLIENTS = 4096  # clients whose rate is remembered


def _limit(usual: int, words: str, most: int = 10**6) -> Any:
    """A field with its usual value, which is counted as `words` say, and the most it can be."""
    return declared(usual, Whole(label=words, help=words, low=1, high=most))


def _at_most(most: int, words: str) -> Any:
    """A field that can only be tightened."""
    return _limit(most, words, most)


@dataclass(frozen=True)
class Limits:
    """The limits of one server; each is a flag of the app."""

    queue: int = _limit(24, "requests that wait, all visitors together")
    per_client: int = _limit(8, "comparisons and sweeps one visitor may have waiting")
    rate: int = _limit(600, "uploads, calls by name and runs of one visitor per minute")
    events: int = _limit(
        3600, "changes of the form by one visitor per minute; a key pressed is three"
    )
    seconds: int = _limit(1800, "the longest a comparison or sweep may run")
    unheard: int = _limit(5, "seconds that one runs before its event stream has to be open")
    new_tokens: int = _at_most(MAX_NEW_TOKENS, "tokens of an answer")
    question: int = _at_most(MAX_QUESTION, "characters of a question")
    rows: int = _at_most(MAX_ROWS, "runs of a sweep")
    upload_mb: int = _at_most(MAX_BYTES // 1_000_000, "megabytes of an image file")
    pixels_mp: int = _at_most(MAX_PIXELS // 1_000_000, "megapixels of an image")
    body_mb: int = _limit(2, "megabytes of any other request")
    disk_mb: int = _limit(1000, "megabytes of uploads and results kept on disk")
    grace: int = _limit(60, "seconds that running answers get when the server is told to end")

    def __post_init__(self) -> None:
        """Check every limit.

        Raises:
            SettingError: one is no whole number from 1 to the most it can be.
        """
        for name, limit in declarations(Limits).items():
            limit.check(name, getattr(self, name))

    def check_image(self, image: Image.Image) -> Image.Image:
        """The image, unless it has too many pixels.

        Raises:
            InputError: it has.
        """
        pixels = image.width * image.height
        if pixels > self.pixels_mp * 1_000_000:
            raise InputError(
                f"The image has {pixels / 1e6:.1f} megapixels; the limit of this server is "
                f"{self.pixels_mp}. Scale it down."
            )
        return image

    def check_asked(self, question: str, new_tokens: int, rows: int = 0) -> None:
        """Raise InputError when the question, the answer or a sweep is longer than allowed."""
        asked = (
            ("The question has", len(question or ""), self.question, "characters", "Shorten it."),
            ("The answer may have", new_tokens, self.new_tokens, "tokens", "Ask for fewer."),
            ("The sweep has", rows, self.rows, "runs", "Take fewer budgets or values."),
        )
        for what, value, limit, unit, remedy in asked:
            if value > limit:
                raise InputError(
                    f"{what} {value} {unit}; the limit of this server is {limit}. {remedy}"
                )

    @property
    def too_late(self) -> str:
        """Sentence for a run that was ended for its length."""
        return (
            f"Stopped after {self.seconds} s, the longest a request may take on this server. "
            f"Ask for fewer tokens or runs."
        )


class Rate:
    """Requests per minute of each client: a bucket of ten seconds' worth that refills evenly."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute, self.per_s = per_minute, per_minute / 60
        self.burst = max(10.0, 10 * self.per_s)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, client: str) -> float:
        """Take one request from a client's bucket; 0, or the seconds until there is one."""
        with self._lock:
            now = monotonic()
            left, seen = self._left.pop(client, (self.burst, now))
            left = min(self.burst, left + (now - seen) * self.per_s)
            wait = 0.0 if left >= 1 else (1 - left) / self.per_s
            self._left[client] = (left if wait else left - 1, now)
            while len(self._left) > MAX_CLIENTS:
                self._left.popitem(last=False)
            return wait


RESULT = "result-"  # begins the folders of what this page made
OURS = re.compile(f"[0-9a-f]{{64}}|{RESULT}.+")  # and gradio names those of uploads by their hash


def trim(folder: Path, most_bytes: int, kept: Set[str] = frozenset()) -> int:
    """Delete the oldest uploads and results in `folder` until they have at most `most_bytes`.

    Spares the paths in `kept` and whatever else lies in the folder. Gives the bytes freed.
    """
    found = []
    ours = [path for path in folder.glob("*") if OURS.fullmatch(path.name)]
    for path in (path for each in ours for path in each.rglob("*")):
        try:
            facts = path.lstat()
        except OSError:  # deleted meanwhile
            continue
        if not path.is_dir() and str(path) not in kept:
            found.append((facts.st_mtime, facts.st_size, path))
    excess = sum(size for _, size, _ in found) - most_bytes
    freed = 0
    for _, size, path in sorted(found, key=lambda entry: entry[0]):
        if freed >= excess:
            break
        path.unlink(missing_ok=True)
        with suppress(OSError):  # it holds more
            path.parent.rmdir()
        freed += size
    return freed


def stated_length(scope: Scope) -> int:
    """The length a request claims, -1 when it claims none."""
    stated = Headers(scope=scope).get("content-length", "")
    return int(stated) if stated.isdigit() else -1


def too_long(most: int) -> HTTPException:
    """Refusal of a request with more bytes than `most`."""
    return HTTPException(413, f"The request is longer than {most / 1e6:.0f} MB, the limit.")


def parse_body(body: bytes) -> Any:
    """The JSON of a body; None where there is none that can be read.

    Raises:
        HTTPException: it is nested too deeply.
    """
    try:
        return json.loads(body) if body.strip() else None
    except RecursionError:
        raise HTTPException(400, "The JSON is nested too deeply.") from None
    except ValueError:
        return None  # gradio says what is wrong with it


async def read_body(receive: Receive, most: int) -> bytes:
    """The whole body."""
    parts, size = [], 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise too_long(most)
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return b"".join(parts)


async def drain_body(receive: Receive, size: int, most: int) -> None:
    """Read a body and throw it away, as a client that is cut off would not read the refusal."""
    seen = 0
    while size <= most and seen < size:
        message = await receive()
        seen += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return


def replay_body(body: bytes, receive: Receive) -> Receive:
    """A `receive` that hands the body out once more."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
