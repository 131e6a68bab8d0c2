"""Requests and answers of ASGI: bodies read within a limit, refusals, JSON. Knows no gradio."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Refusal(Exception):
    """A request that is not let in: HTTP status, sentence, headers."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def length(scope: Message) -> int:
    """The length a request claims, -1 when it claims none."""
    stated = dict(scope["headers"]).get(b"content-length", b"")
    return int(stated) if stated.isdigit() else -1


def too_long(most: int) -> Refusal:
    """Of a request with more bytes than `most`."""
    return Refusal(413, f"The request is longer than {most / 1e6:.0f} MB, the limit.")


def parse(body: bytes) -> Any:
    """The JSON of a body; None where there is none that can be read.

    Raises:
        Refusal: it is nested too deeply.
    """
    try:
        return json.loads(body) if body.strip() else None
    except RecursionError:
        raise Refusal(400, "The JSON is nested too deeply.") from None
    except ValueError:
        return None  # gradio says what is wrong with it


async def read(receive: Receive, most: int) -> bytes:
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


async def drain(receive: Receive, size: int, most: int) -> None:
    """Read a body and throw it away: a client that is cut off never sees why."""
    seen = 0
    while size <= most and seen < size:
        message = await receive()
        seen += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that hands the body out once more."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


async def answer(
    send: Send, status: int, content: Any, headers: dict[str, str] | None = None
) -> None:
    """Send JSON."""
    body = json.dumps(content).encode()
    fields = {"content-type": "application/json", "content-length": str(len(body))}
    fields |= headers or {}
    raw = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
