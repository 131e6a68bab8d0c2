"""`python -m hired bench page`: how long a person waits for the page, and what it computes for it.

A server is started as a user starts it, and asked over HTTP as a browser asks: an example's click
with all that follows from it, moves of the budget slider, requests to the API. Seconds are those
of the client; CPU seconds are the server's, all its threads together, and hardly depend on what
else the machine does. Knows no gradio, only what its pages send.
"""

import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import httpx
import numpy as np
import psutil
from PIL import Image

from hired.bench.tables import markdown
from hired.errors import ModelError

APP = Path(__file__).parents[2] / "app.py"
EXAMPLE = "A page as full as text"
PHOTO = (3000, 4000)  # (height, width), pixels
PATIENCE_S = 120.0
EVERYONE = ("--max-rate", "100000", "--max-per-client", "100")  # no limit is measured here


@dataclass(frozen=True)
class Wait:
    """The times of one thing that was repeated.

    Attributes:
        what: in a few words.
        seconds: until it was there, of each time.
        cpu_s: of the server, the mean over all times.
    """

    what: str
    seconds: tuple[float, ...]
    cpu_s: float | None


class Server:
    """A served page in a process of its own."""

    def __init__(self, model: str, threads: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._folder = tempfile.TemporaryDirectory(prefix="hired-page-")
        self._told = Path(self._folder.name) / "told.txt"
        begin = perf_counter()
        with self._told.open("wb") as told:
            self._process = subprocess.Popen(
                [sys.executable, str(APP), "--model", model, "--threads", threads,
                 "--port", str(port), "--log", "error", *EVERYONE],
                stdout=told, stderr=told, cwd=APP.parent,
                env={**os.environ, "GRADIO_TEMP_DIR": self._folder.name},
            )  # fmt: skip
        self._about = psutil.Process(self._process.pid)
        self._await()
        self.start = Wait("start-up, until /healthz answers", (perf_counter() - begin,), self.cpu_s)
        self.resting_bytes = self._about.memory_info().rss

    @property
    def cpu_s(self) -> float:
        """Seconds that the process has computed, all threads together."""
        return sum(self._about.cpu_times()[:2])

    def _await(self) -> None:
        until = perf_counter() + PATIENCE_S
        while perf_counter() < until and self._process.poll() is None:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/healthz").status_code == 200:
                    return
            sleep(0.02)
        words = self._told.read_text(encoding="utf-8", errors="replace")[-1000:]
        self.end()
        raise ModelError(f"The page did not start. {words}")

    def end(self) -> None:
        """Interrupt it as Ctrl+C would."""
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()


class Visitor:
    """Fires the page's events as a browser does, with the values that its fields hold."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=PATIENCE_S)
        config = self._client.get("/config").json()
        self.events = config["dependencies"]
        self._fields = {field["id"]: field for field in config["components"]}
        self._values = {key: field["props"].get("value") for key, field in self._fields.items()}
        self._session = {"session_hash": f"bench{os.getpid()}"}

    def leave(self) -> None:
        """Close the connection."""
        self._client.close()

    def named(self, *names: str) -> int:
        """The field with one of these element ids, or with this value on it."""
        for key, field in self._fields.items():
            props = field["props"]
            if props.get("elem_id") in names or (
                field["type"] == "button" and props.get("value") in names
            ):
                return key
        raise ModelError(f"The page has no field {names[0]!r} any more.")

    def chain(self, field: int, event: str) -> list[dict[str, Any]]:
        """The handlers that an event sets off on the server, up to the run."""
        found = [one for one in self.events if [field, event] in one["targets"]][:1]
        while found and not found[-1]["api_name"].startswith("run"):
            after = [one for one in self.events if one["trigger_after"] == found[-1]["id"]]
            following = [one for one in after if one["backend_fn"]]
            if not following:
                break
            found.append(following[0])
        return found

    def drawing(self, field: int) -> dict[str, Any]:
        """The event by which changes of the form draw a field anew."""
        for one in self.events:
            changed = any(event == "change" for _, event in one["targets"])
            if changed and one["backend_fn"] and field in one["outputs"]:
                return one
        raise ModelError("No change of the page draws its picture any more.")

    def api(self, name: str) -> dict[str, Any]:
        """An endpoint."""
        return next(one for one in self.events if one["api_name"] == name)

    def set(self, event: dict[str, Any], **values: Any) -> None:
        """Fill the inputs of an event by the place they have there: `_0`, `_1`, …"""
        for place, value in values.items():
            self._values[event["inputs"][int(place[1:])]] = value

    def put(self, field: int, value: Any) -> None:
        """Type a value into a field."""
        self._values[field] = value

    def upload(self, name: str, content: bytes) -> dict[str, Any]:
        """A file on the server, as an image field holds it."""
        sent = self._client.post("/gradio_api/upload", files={"files": (name, content)})
        return {"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}

    def fire(self, event: dict[str, Any]) -> Iterator[str]:
        """Lines as the server sends them; the last one fills the fields."""
        asked = {
            "fn_index": event["id"],
            "data": [self._values.get(key) for key in event["inputs"]],
            **self._session,
        }
        if not event["queue"]:
            reply = self._client.post("/gradio_api/run/predict", json=asked)
            yield reply.text
            self._fill(event, reply.json().get("data"))
            return
        self._client.post("/gradio_api/queue/join", json=asked).raise_for_status()
        with self._client.stream("GET", "/gradio_api/queue/data", params=self._session) as lines:
            for line in filter(None, lines.iter_lines()):
                yield line
                told = json.loads(line[5:])
                if told.get("msg") == "process_completed":
                    if not told["success"]:
                        raise ModelError(f"The page refused {event['api_name']}: {line[:300]}")
                    self._fill(event, told["output"].get("data"))
                    return

    def _fill(self, event: dict[str, Any], values: list[Any] | None) -> None:
        for key, value in zip(event["outputs"], values or [], strict=False):
            if not (isinstance(value, dict) and value.get("__type__") == "update"):
                self._values[key] = value


def measure_page(model: str = "shapes", repeats: int = 5, threads: str = "auto") -> dict[str, Any]:
    """Start a page and wait for it as a person does.

    Raises:
        ModelError: it does not start, or an event does not end well.
    """
    with ExitStack() as stack:
        server = Server(model, threads)
        stack.callback(server.end)
        visitor = Visitor(server.url)
        stack.callback(visitor.leave)
        waits = [
            server.start,
            *_click_example(server, visitor, repeats),
            _move_slider(server, visitor, repeats, "an example"),
        ]
        photo = io.BytesIO()
        noise = np.random.default_rng(0).integers(0, 256, (*PHOTO, 3), dtype=np.uint8)
        Image.fromarray(noise).save(photo, "JPEG")
        visitor.put(visitor.named("image"), visitor.upload("photo.jpg", photo.getvalue()))
        waits.append(_move_slider(server, visitor, repeats, "12 megapixels"))
        waits.append(_ask_api(server, visitor, repeats))
        return {
            "model": model,
            "resting_bytes": server.resting_bytes,
            "load": psutil.getloadavg()[0],
            "cores": os.cpu_count(),
            "waits": [vars(wait) for wait in waits],
        }


def _click_example(server: Server, visitor: Visitor, repeats: int) -> list[Wait]:
    """Time an example's click until the first word of an answer, and until the last frame."""
    events = visitor.chain(visitor.named(EXAMPLE), "click")
    first, last, spent = [], [], 0.0
    for index in range(repeats + 1):
        begin, used, word = perf_counter(), server.cpu_s, None
        for event in events:
            for line in visitor.fire(event):
                if word is None and ("pane answering" in line or "pane done" in line):
                    word = perf_counter() - begin
        if word is None:
            raise ModelError("The example was answered without a word.")
        if index:  # the first time looks at the image and warms up
            first.append(word)
            last.append(perf_counter() - begin)
            spent += server.cpu_s - used
    return [
        Wait("example click, to the first word", tuple(first), None),
        Wait("example click, to the end of both answers", tuple(last), spent / repeats),
    ]


def _move_slider(server: Server, visitor: Visitor, repeats: int, image: str) -> Wait:
    """Time moves of the slider until the picture of the new budget is there."""
    panes = visitor.named("panes-text")
    event = visitor.drawing(visitor.named("seen"))
    times, spent = [], 0.0
    for index in range(2 * repeats + 1):
        lanes = ["full", f"hired:budget={10 + index}%"]
        visitor.put(panes, json.dumps({"lanes": lanes, "seen": 1}))
        begin, used = perf_counter(), server.cpu_s
        for _ in visitor.fire(event):
            pass
        if index:
            times.append(perf_counter() - begin)
            spent += server.cpu_s - used
    return Wait(f"slider move, {image}", tuple(times), spent / len(times))


def _ask_api(server: Server, visitor: Visitor, repeats: int) -> Wait:
    """Time requests to `/compare`, stream and all."""
    event = visitor.api("compare")
    shown = visitor.named("image")
    for _ in visitor.fire(visitor.chain(visitor.named(EXAMPLE), "click")[0]):
        pass
    visitor.set(event, _0=visitor._values[shown], _1="What shape is red?")
    times, spent = [], 0.0
    for index in range(repeats + 1):
        begin, used = perf_counter(), server.cpu_s
        for _ in visitor.fire(event):
            pass
        if index:
            times.append(perf_counter() - begin)
            spent += server.cpu_s - used
    return Wait("API request, both answers", tuple(times), spent / repeats)


def describe_waits(found: dict[str, Any]) -> str:
    """A Markdown table: the least and the middle of the seconds, and the CPU seconds."""
    about = (
        f"{found['model']} through the page, {found['resting_bytes'] / 2**20:.0f} MiB at rest, "
        f"load {found['load']:.1f} on {found['cores']} cores"
    )
    lines = [
        [
            wait["what"],
            f"{min(wait['seconds']):.3f}",
            f"{statistics.median(wait['seconds']):.3f}",
            "–" if wait["cpu_s"] is None else f"{wait['cpu_s']:.3f}",
        ]
        for wait in found["waits"]
    ]
    head = ["what", "least, s", "median, s", "CPU of the server, s"]
    return f"{about}\n\n{markdown(head, lines)}"
