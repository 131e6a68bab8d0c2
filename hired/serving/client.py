"""One OpenAI-compatible server that can be shown a picture: ask, stream, count, read its gauges.

Knows HTTP, nothing of models. What a server does not tell is `None`. Made for vLLM, whose extra
endpoints (`/tokenize`, `/metrics`) are used where they are there.
"""

import base64
import io
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from PIL import Image

from hired.errors import HiredError, InputError, ModelError
from hired.serving.settings import KEY

# A greedy answer that comes in pieces and ends with counts of its tokens.
STREAMED = {"temperature": 0, "stream": True, "stream_options": {"include_usage": True}}
CONNECT_S, SILENCE_S = 5.0, 600.0  # to connect, between two tokens
COUNT_S, ASIDE_S = 30.0, 5.0  # to count the tokens of a prompt, for other extras
WATCH_S = 0.1  # how often a silent line is looked at
_GAUGE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass
class Usage:
    """The tokens that a server says it has read and written.

    Attributes:
        prompt_tokens: text and image together.
        new_tokens: generated.
    """

    prompt_tokens: int | None = None
    new_tokens: int | None = None


@dataclass(frozen=True)
class Endpoint:
    """One server.

    Attributes:
        url: where it listens, such as http://127.0.0.1:8000; a trailing /v1 does no harm.
        key: sent as a bearer token, if it wants one.
    """

    url: str
    key: str | None = field(default=None, repr=False)

    @property
    def root(self) -> str:
        """The address without /v1."""
        return self.url.rstrip("/").removesuffix("/v1")

    def model(self) -> str:
        """The name of the model it serves.

        Raises:
            ModelError: it cannot be reached, or serves none.
        """
        with self._client(ASIDE_S) as client, self._explained():
            found = client.get(f"{self.root}/v1/models")
            self._check(found)
            names = [str(entry["id"]) for entry in found.json()["data"]]
        if not names:
            raise ModelError(f"{self.root} serves no model.")
        return names[0]

    def ask(
        self,
        model: str,
        picture: str,
        question: str,
        max_new_tokens: int,
        settings: dict[str, Any] | None,
        stopped: Callable[[], bool],
        usage: Usage,
    ) -> Iterator[str]:
        """Pieces of the greedy answer as they come; leaving the iterator cancels the request.

        Args:
            model: its name there.
            picture: from `as_data_uri`.
            question: text of the user.
            max_new_tokens: at most.
            settings: HiRED's, for a server with the plug-in; None for a stock one.
            stopped: asked after every piece, and while the server keeps silent.
            usage: filled in as the server counts.

        Raises:
            InputError: the server refused the request.
            ModelError: it cannot be reached, or broke off.
        """
        body = {
            **_body(model, picture, question, settings),
            **STREAMED,
            "max_tokens": max_new_tokens,
        }
        address = f"{self.root}/v1/chat/completions"
        with self._client(SILENCE_S) as client, self._explained(), Line(stopped) as line:
            with client.stream("POST", address, json=body, extensions=line.heard) as answer:
                if answer.status_code != 200:
                    answer.read()
                self._check(answer)
                for piece in _pieces(answer.iter_lines(), usage):
                    yield piece
                    if stopped():
                        return

    def visual_tokens(
        self, model: str, picture: str, question: str, settings: dict[str, Any] | None
    ) -> int | None:
        """Visual tokens of this prompt: the longest run of one token in it (vLLM's /tokenize)."""
        try:
            with self._client(COUNT_S) as client:
                found = client.post(
                    f"{self.root}/tokenize", json=_body(model, picture, question, settings)
                )
            tokens = found.json()["tokens"] if found.status_code == 200 else []
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return None
        longest = run = 0
        for before, token in zip([None, *tokens], tokens, strict=False):
            run = run + 1 if token == before else 1
            longest = max(longest, run)
        return longest if longest > 1 else None

    def kv_bytes_per_token(self) -> float | None:
        """Bytes a token takes in the server's KV cache, where its /metrics tell enough."""
        try:
            with self._client(ASIDE_S) as client:
                found = client.get(f"{self.root}/metrics")
            rows = read_gauges(found.text) if found.status_code == 200 else []
        except httpx.HTTPError:
            return None
        for name, labels, _ in rows:
            if name == "vllm:cache_config_info":
                return _bytes_per_token(labels)
        return None

    def _client(self, timeout_s: float) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        # Straight to the address that was given: a proxy of the environment is not asked.
        return httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_S),
            trust_env=False,
        )

    def _explained(self) -> "_Explained":
        return _Explained(self.root)

    def _check(self, answer: httpx.Response) -> None:
        if answer.status_code == 200:
            return
        said = _reason(answer)
        if answer.status_code in (400, 413, 422):
            raise InputError(f"The server at {self.root} refused the request: {said}")
        raise ModelError(
            f"The server at {self.root} answered with status {answer.status_code}: {said}"
        )


def read_gauges(text: str) -> list[tuple[str, dict[str, str], float]]:
    """(name, labels, value) of every line of a Prometheus page."""
    rows = []
    for line in text.splitlines():
        if found := _GAUGE.match(line):
            rows.append((found[1], dict(_LABEL.findall(found[2] or "")), float(found[3])))
    return rows


class _Explained:
    """Turns what goes wrong on the way into a sentence."""

    def __init__(self, root: str) -> None:
        self.root = root

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        if isinstance(error, HiredError) or error is None:
            return
        if isinstance(error, httpx.UnsupportedProtocol):
            raise ModelError(
                f"{self.root} is no address of a server. Begin it with http:// or https://."
            ) from error
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.InvalidURL):
            raise ModelError(
                f"No server answers at {self.root}. Start it with `python -m hired serve`, or "
                f"check the address."
            ) from error
        if isinstance(error, httpx.HTTPError | ValueError | KeyError | TypeError):
            raise ModelError(
                f"The server at {self.root} broke off or gave no answer that can be read "
                f"({type(error).__name__}). Its log says why."
            ) from error


class Line:
    """The line of one request, hung up once `stopped` says so: a read that waits does not ask."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self._stopped, self._over = stopped, threading.Event()
        self._socket: socket.socket | None = None
        self.heard = {"trace": self._connected}

    def _connected(self, event: str, facts: dict[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = facts["return_value"].get_extra_info("socket")

    def _watch(self) -> None:
        while not self._over.wait(WATCH_S):
            if self._socket is not None and self._stopped():
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
                return

    def __enter__(self) -> "Line":
        threading.Thread(target=self._watch, name="line", daemon=True).start()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> bool:
        """Swallow what the hanging up raised."""
        self._over.set()
        return isinstance(error, httpx.TransportError) and self._stopped()


def as_data_uri(image: Image.Image) -> str:
    """An RGB image as PNG in a URL, as chat requests carry it; encoded before the clock runs."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _body(
    model: str, picture: str, question: str, settings: dict[str, Any] | None
) -> dict[str, Any]:
    content = [
        {"type": "image_url", "image_url": {"url": picture}},
        {"type": "text", "text": question},
    ]
    body = {"model": model, "messages": [{"role": "user", "content": content}]}
    return body if settings is None else {**body, "mm_processor_kwargs": {KEY: settings}}


def _pieces(lines: Iterator[str], usage: Usage) -> Iterator[str]:
    """The text of a stream of server-sent events."""
    for line in lines:
        if not line.startswith("data:") or line.endswith("[DONE]"):
            continue
        event = json.loads(line.removeprefix("data:"))
        if event.get("error"):
            raise ModelError(f"The server broke off: {event['error'].get('message')}")
        if counted := event.get("usage"):
            usage.prompt_tokens = counted.get("prompt_tokens")
            usage.new_tokens = counted.get("completion_tokens")
        for choice in event.get("choices") or []:
            if text := (choice.get("delta") or {}).get("content"):
                yield text


def _reason(answer: httpx.Response) -> str:
    try:
        found = answer.json()
        return str(found["error"]["message"] if "error" in found else found["message"])[:400]
    except (ValueError, KeyError, TypeError):
        return answer.text[:200] or "no reason given"


def _bytes_per_token(labels: dict[str, str]) -> float | None:
    sizes = (labels.get(name) for name in ("kv_cache_memory_bytes", "cpu_kvcache_space_bytes"))
    total = next((int(size) for size in sizes if size and size.isdigit()), None)
    try:
        tokens = int(labels["num_gpu_blocks"]) * int(labels["block_size"])
    except (KeyError, ValueError):
        return None
    return total / tokens if total and tokens else None
