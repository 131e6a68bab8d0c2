"""Gate between the network and gradio: sizes, rates, places in the queue, `/healthz`, logs.

A plain ASGI middleware. Every refusal is JSON with one sentence in `detail` that says the limit;
gradio's own page and clients show it. Nothing a request brings can end in a bare "500".
"""

import asyncio
import hashlib
import logging
import secrets
from collections import Counter
from ipaddress import ip_address, ip_network
from pathlib import Path
from time import perf_counter
from typing import Any

import gradio as gr
from gradio.route_utils import FnIndexInferError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from hired.web.blocks import FULL
from hired.web.limits import (
    Limits,
    Rate,
    drain_body,
    parse_body,
    read_body,
    replay_body,
    stated_length,
    too_long,
    trim,
)
from hired.web.queues import GPU, JOIN, STREAM, Listeners, asks_gpu, called, gpu_queue, session_of

log = logging.getLogger(__name__)
API = "/gradio_api/"
ASKING = ("call/", "run/", "api/", "upload")
EVENTS = (JOIN, "run/predict")  # what gradio's page sends whenever something changes on it
LOGINS = 30  # tries of one client per minute
NOTHING = "There is no such endpoint. /gradio_api/info lists them."
_SALT = secrets.token_bytes(16)
DRAIN = 8  # times the limit of what is read and thrown away, so that the client hears the answer


class Gate:
    """The middleware. Finds the page and its engine through the app that the request is for."""

    def __init__(self, app: Any, limits: Limits) -> None:
        self.app, self.limits = app, limits
        self.rate, self.events, self.logins = Rate(limits.rate), Rate(limits.events), Rate(LOGINS)
        self.listeners = Listeners(limits.unheard)
        self.entering: Counter[str] = Counter()  # let in, not yet seen in the queue; by client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, whatever it is."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin, status = perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            if _route(scope) == "/healthz":
                state = health(scope["app"].get_blocks())
                status_code = 503 if state["status"] == "closing" else 200
                await JSONResponse(state, status_code)(scope, receive, watched)
            else:
                await self._pass(scope, receive, watched)
        except Exception as error:  # the last line of defence: told, logged, survived
            refusal = explain(error)
            if status:
                raise
            content = {"detail": refusal.detail}
            told = JSONResponse(content, refusal.status_code, refusal.headers)
            await told(scope, receive, watched)
        finally:
            asked = scope["method"] == "POST" or status >= 400
            facts = {
                "method": scope["method"],
                "path": _path_without_name(scope),
                "status": status,
                "seconds": round(perf_counter() - begin, 3),
                "client": _mark(_client(scope)),
            }
            log.log(logging.INFO if asked else logging.DEBUG, "request", extra={"facts": facts})

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _route(scope).removeprefix(API)
        name = path.strip("/")
        if scope["method"] == "POST":
            if name in EVENTS:
                self._admit(scope, self.events)
            elif path.startswith(ASKING):
                self._admit(scope, self.rate)
            if name == "login":
                self._admit(scope, self.logins)
            if path.startswith("upload"):
                await self._check_upload(scope, receive)
            else:
                most = self.limits.body_mb * 1_000_000
                if stated_length(scope) > most:
                    await drain_body(receive, stated_length(scope), DRAIN * most)
                    raise too_long(most)
                _check_name(scope["app"].get_blocks(), path)
                body = await read_body(receive, most)
                asked, receive = parse_body(body), replay_body(body, receive)
                with self.listeners.joining(asked if name == JOIN else None):
                    if not asks_gpu(scope["app"].get_blocks(), path, asked):
                        await self.app(scope, receive, send)
                        return
                    if name in EVENTS:
                        self._admit(scope, self.rate)
                    await self._queue(scope, receive, send)
                return
        elif scope["method"] == "GET":
            queue = scope["app"].get_blocks()._queue
            session = session_of(queue, path, scope["query_string"])
            if session:
                with self.listeners.listening(queue, session):
                    if name == STREAM and _is_page(scope):
                        await self.listeners.linger(queue, session, self.app, scope, receive, send)
                    else:
                        await self.app(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _admit(self, scope: Scope, rate: Rate) -> None:
        if scope["app"].get_blocks().engine.closing.is_set():
            raise HTTPException(503, "This server is shutting down. Try again in a minute.")
        wait = rate.wait_s(_client(scope))
        if wait:
            raise HTTPException(
                429,
                f"That is more than {rate.per_minute} requests a minute, the limit for one "
                f"visitor. Wait a moment.",
                {"retry-after": str(int(wait) + 1)},
            )

    async def _check_upload(self, scope: Scope, receive: Receive) -> None:
        most, size = self.limits.upload_mb * 1_000_000, stated_length(scope)
        if size < 0:
            raise HTTPException(411, "An upload has to say its length (the header Content-Length).")
        if size > most + 100_000:  # what surrounds the file
            await drain_body(receive, size, DRAIN * most)
            raise HTTPException(
                413,
                f"The upload has {size / 1e6:.1f} MB; the limit is {self.limits.upload_mb} MB. "
                f"Save the image smaller or as JPEG.",
            )
        await self._make_room(scope, size)

    async def _make_room(self, scope: Scope, size: int = 0) -> None:
        """Delete old uploads and results, until `size` bytes more fit the disk's limit."""
        folder = Path(gr.utils.get_upload_folder())
        if folder.is_dir():
            every = scope["app"].get_blocks().blocks.values()
            kept = {path for block in every for path in block.keep_in_cache}
            most = self.limits.disk_mb * 1_000_000 - size
            await asyncio.to_thread(trim, folder, most, kept)

    async def _queue(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a comparison or sweep into the queue if it and its client have a place left.

        Gradio's own limit counts previews too, and its page hides the 503 it answers with. A
        request that a free GPU is about to take does not count as waiting.
        """
        client, (running, asked) = _client(scope), gpu_queue(scope["app"].get_blocks())
        free = GPU["concurrency_limit"] - running
        waiting = asked[free:]
        hosts = [network(event.request.client.host) for event in waiting if event.request.client]
        if hosts.count(client) + self.entering[client] >= self.limits.per_client:
            raise HTTPException(
                429,
                f"At most {self.limits.per_client} of your requests may wait on this server. Wait "
                f"for an answer first.",
            )
        if len(asked) + self.entering.total() >= self.limits.queue + free:
            raise HTTPException(
                429,
                f"The queue is full: at most {self.limits.queue} may wait on this server. Try "
                f"again in a minute.",
            )
        self.entering[client] += 1
        try:
            await self._make_room(scope)  # a run leaves files
            await self.app(scope, receive, send)
            self.listeners.follow(scope["app"].get_blocks()._queue)
        finally:
            self.entering -= Counter((client,))


def explain(error: Exception) -> HTTPException:
    """Refusal that a client gets for an error; unexpected ones go to the log with their trace."""
    if isinstance(error, HTTPException):
        return error
    if isinstance(error, FnIndexInferError):
        return HTTPException(404, NOTHING)
    if isinstance(error, OSError) and error.errno in FULL:
        return HTTPException(507, "The disk of this server is full. Try again later.")
    log.error("request failed", exc_info=error)
    return HTTPException(500, "Something went wrong on the server. Try again.")


def _is_page(scope: Scope) -> bool:
    """Tell whether a browser asks: it says how it fetches, gradio's clients in programs do not."""
    return any(name == b"sec-fetch-mode" for name, _ in scope["headers"])


def _check_name(blocks: Any, path: str) -> None:
    """Refuse a call of what is not there; gradio's second version of the route would raise."""
    if path.startswith("call/") and called(path) not in {f.api_name for f in blocks.fns.values()}:
        raise HTTPException(404, NOTHING)


def health(blocks: Any) -> dict[str, Any]:
    """State of the server: the model, the queue, and whether it is about to end."""
    engine, (running, waiting) = blocks.engine, gpu_queue(blocks)
    state = "closing" if engine.closing.is_set() else "ok" if engine.ready else "loading"
    return {
        "status": state,
        "model": {"name": engine.name, "loaded": engine.ready},
        "queue": {"running": running, "waiting": len(waiting), "limit": engine.limits.queue},
    }


def _client(scope: Scope) -> str:
    return network((scope.get("client") or ("",))[0])


def _mark(client: str) -> str:
    """A client's address as a mark that cannot be turned back."""
    return hashlib.blake2b(client.encode(), key=_SALT, digest_size=4).hexdigest()


def network(host: str) -> str:
    """Network of a client: its address, or of IPv6 the 64 bits that one line is given."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return host
    return str(address.ipv4_mapped or ip_network((address, 64), strict=False))


def _route(scope: Scope) -> str:
    """The path below that of a proxy (GRADIO_ROOT_PATH), as the router takes it."""
    path, above = scope["path"], scope.get("root_path", "")
    return path.removeprefix(above) if path.startswith(f"{above}/") else path


def _path_without_name(scope: Scope) -> str:
    """The path for the log: a file is named as the visitor named it."""
    before, mark_of_a_file, _ = scope["path"].partition("file=")
    return (before + mark_of_a_file)[:120]
