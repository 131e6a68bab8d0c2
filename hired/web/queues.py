"""Queues that the parts of the page share: their names, places in them, and open event streams.

A client starts a job with one request and reads it with another. Gradio ends the job of a client
that leaves its stream, but runs one whose stream was never opened to its end. It closes a stream
with the last event that was asked for, and a page that asks for the next one before it hears of
that waits for an answer on a stream that has ended.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from time import monotonic
from typing import Any
from urllib.parse import parse_qs

import gradio as gr
from gradio.data_classes import PredictBody
from gradio.server_messages import ProcessCompletedMessage
from starlette.types import Message, Receive, Scope, Send

from hired.web.engine import Engine
from hired.web.markup import fill

GPU: dict[str, Any] = {"concurrency_id": "gpu", "concurrency_limit": 1}
# One at a time: two changes within milliseconds are both on their way, and the last has to win.
LOOK: dict[str, Any] = {"concurrency_id": "preview", "concurrency_limit": 1}
NOTE: dict[str, Any] = {"concurrency_id": "note", "concurrency_limit": 1}
OPEN: dict[str, Any] = {"concurrency_id": "open", "concurrency_limit": 8}  # a visitor arrives
LOOKS = 200  # previews that may wait beside the comparisons
# For handlers that may refuse: outside the queue gradio keeps the reason to itself.
FREE: dict[str, Any] = {"concurrency_limit": None}
QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


LOOK_S = 0.25  # how often a job that nobody listens to is looked at
LINGER_S = 2.0  # how long the stream of a page stays open after its last event
CLOSES = b'"msg":"close_stream"'
JOIN, STREAM = "queue/join", "queue/data"  # gradio's paths into its queue and out of it


def gpu_queue(blocks: Any) -> tuple[int, list[Any]]:
    """(comparisons and sweeps that run, those that wait) of a served page."""
    queue = blocks._queue.event_queue_per_concurrency_id.get(GPU["concurrency_id"])
    return (queue.current_concurrency, list(queue.queue)) if queue else (0, [])


def asks_gpu(blocks: Any, path: str, body: Any) -> bool:
    """Tell whether a request calls something that waits for the GPU."""
    if not path.startswith(("call/", "queue/join")) or not isinstance(body, dict):
        return False
    name = called(path)
    try:  # as gradio reads it: "5" is 5
        index = PredictBody(data=[], fn_index=body.get("fn_index")).fn_index
    except ValueError:
        return False  # gradio refuses it too
    return any(
        fn.concurrency_id == GPU["concurrency_id"]
        for fn in blocks.fns.values()
        if (fn._id == index if path.startswith("queue") else fn.api_name == name)
    )


def called(path: str) -> str:
    """The endpoint that a path below gradio's API calls by name."""
    return path.removeprefix("call/").removeprefix("v2/").strip("/")


class Listeners:
    """The event streams that are open, and the jobs that wait for theirs.

    Attributes:
        unheard_s: how long a job runs before its stream has to be open.
    """

    def __init__(self, unheard_s: float) -> None:
        self.unheard_s = unheard_s
        self._open: Counter[str] = Counter()  # streams of a session
        self._joining: Counter[str] = Counter()  # events of a session on their way into the queue
        self._joined: dict[str, asyncio.Event] = {}  # by session whose stream is about to close
        self._followed: dict[str, asyncio.Task[None]] = {}  # by job

    @contextmanager
    def listening(self, queue: Any, session: str) -> Iterator[None]:
        """Count one stream of a session for as long as it is open.

        Jobs that somebody listens to go first, so that any number of others cost one wait.
        """
        self._open[session] += 1
        waiting = queue.event_queue_per_concurrency_id.get(GPU["concurrency_id"])
        if waiting:
            waiting.queue.sort(key=lambda event: not self._open[event.session_hash])
        try:
            yield
        finally:
            self._open -= Counter((session,))

    @contextmanager
    def joining(self, asked: Any) -> Iterator[None]:
        """Keep the stream of a session open while an event of it enters the queue.

        Args:
            asked: what the body of a request to join says, if it is one.
        """
        session = asked.get("session_hash") if isinstance(asked, dict) else None
        if not isinstance(session, str):
            yield
            return
        self._joining[session] += 1
        if session in self._joined:
            self._joined[session].set()
        try:
            yield
        finally:
            self._joining -= Counter((session,))

    async def linger(
        self, queue: Any, session: str, app: Any, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve the event stream of a page, and go on with it when an event joins as it closes."""
        begun, closing = False, None

        async def hold(message: Message) -> None:
            nonlocal begun, closing
            if CLOSES in message.get("body", b""):
                closing = message
            elif not closing and not (begun and message["type"] == "http.response.start"):
                begun = True
                await send(message)

        while True:
            closing = None
            await app(scope, receive, hold)
            if not closing:
                return  # the page left, or the stream broke
            if not await self._goes_on(queue, session):
                break
        await send(closing)
        await send({"type": "http.response.body"})

    async def _goes_on(self, queue: Any, session: str) -> bool:
        """Wait until an event of a session joins, `LINGER_S` at most; tell whether one has."""
        if self._joining[session] or queue.pending_event_ids_session.get(session):
            return True
        joined = self._joined[session] = asyncio.Event()
        try:
            await asyncio.wait_for(joined.wait(), LINGER_S)
        except TimeoutError:
            return False
        finally:
            self._joined.pop(session, None)
        return True

    def follow(self, queue: Any) -> None:
        """Give every job for the GPU up once it has run for too long with nobody listening."""
        for name, event in queue.event_ids_to_events.items():
            if event.concurrency_id == GPU["concurrency_id"] and name not in self._followed:
                task = asyncio.create_task(self._follow(queue, name))
                self._followed[name] = task
                task.add_done_callback(partial(self._forget, name))

    def _forget(self, name: str, _: asyncio.Task[None]) -> None:
        self._followed.pop(name, None)

    async def _follow(self, queue: Any, event_id: str) -> None:
        began = None
        while (event := queue.event_ids_to_events.get(event_id)) and not queue.stopped:
            if self._open[event.session_hash]:
                return  # from here on gradio ends it when the client leaves
            if event in chain.from_iterable(filter(None, queue.active_jobs)):
                began = began or monotonic()
                if monotonic() - began >= self.unheard_s:
                    content = {"error": self._unheard}
                    queue.send_message(
                        event, ProcessCompletedMessage(output=content, success=False)
                    )
                    event.alive = False  # closes its iterator at the next frame
                    return
            await asyncio.sleep(LOOK_S)

    @property
    def _unheard(self) -> str:
        return (
            f"Stopped: nobody opened the stream of this job within {self.unheard_s} s after it "
            f"began. Open it right after the job is started."
        )


def session_of(queue: Any, path: str, query: bytes) -> str | None:
    """The session whose event stream a GET below gradio's API opens; None of any other."""
    if path.strip("/") == STREAM:
        return next(iter(parse_qs(query.decode("latin-1")).get("session_hash", ())), None)
    if not path.startswith("call/"):
        return None
    event_id = path.rstrip("/").rpartition("/")[2]
    event = queue.event_ids_to_events.get(event_id)
    return event.session_hash if event else event_id


UNBEGUN = "Stopped while it waited: it has not begun."
EVERY_S = 1.0  # a place is looked up this often, only while a visitor's run is under way
RUNS = ("run", "measure")  # the handlers whose place it is; a sweep of the same visitor has its own


def add_place(demo: gr.Blocks, engine: Engine, stop: gr.Button) -> gr.Timer:
    """Build the clock that tells the place; a run that starts sets it going, and `stop` leaves the
    place, so that the page may ask anew at once.
    """
    told, clock = gr.HTML("", elem_id="place"), gr.Timer(EVERY_S, active=False)
    clock.tick(_teller(demo, engine), None, [told, clock], queue=False, **QUIET)
    stop.click(_leaver(demo), None, None, queue=False, **QUIET)
    return clock


def count_before(demo: gr.Blocks, visitor: str | None) -> int | None:
    """Count the runs and sweeps before a visitor's run; None where it does not wait."""
    running, waiting = gpu_queue(demo)
    for place, event in enumerate(waiting):
        if event.session_hash == visitor and event.fn.name in RUNS:
            return running + place
    return None


def _leaver(demo: gr.Blocks) -> Callable[[gr.Request], Awaitable[None]]:
    async def leave(request: gr.Request) -> None:  # gradio finds the request by its annotation
        for event in gpu_queue(demo)[1]:
            if event.session_hash == request.session_hash and event.fn.name in RUNS:
                await demo._queue.clean_events(event_id=event._id)
                over = {"error": UNBEGUN, "visible": False}  # no news for who pressed Stop
                told = ProcessCompletedMessage(output=over, success=False)
                demo._queue.send_message(event, told)

    return leave


def _teller(demo: gr.Blocks, engine: Engine) -> Callable[[gr.Request], list[Any]]:
    def tell(request: gr.Request) -> list[Any]:  # gradio finds the request by its annotation
        before = count_before(demo, request.session_hash)
        # A style, as the panes themselves belong to the run that may begin at any moment.
        style = fill("page", "place", before=before) if before else ""
        return [style, gr.update(active=engine.waits(request.session_hash))]

    return tell
