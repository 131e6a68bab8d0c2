"""Whether somebody listens to a run: one whose event stream nobody opens is given up.

A client starts a job with one request and reads it with another. Gradio ends the job of a client
that leaves its stream, but runs one whose stream was never opened to its end.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from time import monotonic
from typing import Any
from urllib.parse import parse_qs

from gradio.server_messages import ProcessCompletedMessage

from hired.web.wiring import GPU

LOOK_S = 0.25  # how often a job that nobody listens to is looked at


class Listeners:
    """The event streams that are open, and the jobs that wait for theirs.

    Attributes:
        unheard_s: how long a job runs before its stream has to be open.
    """

    def __init__(self, unheard_s: float) -> None:
        self.unheard_s = unheard_s
        self._open: Counter[str] = Counter()  # streams of a session
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

    def follow(self, queue: Any) -> None:
        """Give every job for the GPU up once it has run for too long with nobody listening."""
        for name, event in queue.event_ids_to_events.items():
            if event.concurrency_id == GPU["concurrency_id"] and name not in self._followed:
                task = asyncio.create_task(self._follow(queue, name))
                self._followed[name] = task
                task.add_done_callback(lambda _, name=name: self._followed.pop(name, None))

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
    if path.strip("/") == "queue/data":
        return next(iter(parse_qs(query.decode("latin-1")).get("session_hash", ())), None)
    if not path.startswith("call/"):
        return None
    event_id = path.rstrip("/").rpartition("/")[2]
    event = queue.event_ids_to_events.get(event_id)
    return event.session_hash if event else event_id
