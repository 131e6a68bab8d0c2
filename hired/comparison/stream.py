"""Steps of lanes that run in the background, whatever runs them; knows no model.

The work happens in threads; the iterator only waits for what comes out of them, so that closing it
never waits for a prefill.
"""

import atexit
import queue
import threading
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from hired.comparison.lane import Lane, Tell, explain
from hired.metrics import Metrics
from hired.phases import DECODE, FINAL, WAITING
from hired.selectors import Selection, Selector

HEARTBEAT_S = 0.2  # a step at least this often, so that a consumer can leave while a lane works
LEAVE_S = 10.0  # how long the interpreter's end waits for lanes that are no longer read
HALF = "\ufffd"  # what decoders make of bytes that are no character, or not yet
_running: "weakref.WeakSet[_Comparison]" = weakref.WeakSet()

News = queue.SimpleQueue  # of (lane index, what is new about it)
Work = Callable[[Selector, Tell, Callable[[], bool], bool], None]  # `run_lane` without its prompt


@dataclass(frozen=True, eq=False)
class Step:
    """The state of a lane at one moment.

    Attributes:
        lane: its index.
        phase: "waiting", then the name of one of `hired.phases.PHASES`, and last one of "done",
            "stopped", "failed".
        text: the answer so far.
        new_tokens: tokens generated so far.
        elapsed_s: seconds since the lane began, 0 while it waits.
        selection: what is kept, once it is known.
        metrics: the numbers when "done", or when "stopped" after the first token.
        error: what went wrong, in words for the user.
    """

    lane: int
    phase: str = WAITING
    text: str = ""
    new_tokens: int = 0
    elapsed_s: float = 0.0
    selection: Selection | None = None
    metrics: Metrics | None = None
    error: str | None = None


def follow(
    lanes: Sequence[Lane],
    work: Work,
    decode: Callable[[list[Any]], str],
    *,
    race: bool = False,
    stop: threading.Event | None = None,
    warm_up: Callable[[Callable[[], bool]], None] | None = None,
    turn: "threading.Lock | None" = None,
) -> Generator[Step]:
    """Steps of lanes that run in the background, whatever runs them.

    Args:
        lanes: one or more.
        work: takes one lane to its end, telling what is new as `run_lane` does.
        decode: the tokens told so far, as text.
        race: run all lanes at once.
        stop: ends every lane.
        warm_up: called first; asks whether to stop.
        turn: held while the lanes run, where only one comparison may run at a time.

    Returns:
        An iterator of steps as they come, tokens that arrived together as one, and heartbeats in
        between; see `compare`.
    """
    comparison = _Comparison(lanes, work, race, stop or threading.Event(), warm_up, turn)
    return _stream(comparison, decode)


def _stream(comparison: "_Comparison", decode: Callable[[list[Any]], str]) -> Generator[Step]:
    states = [Step(index) for index in range(len(comparison.lanes))]
    texts = [Transcript(decode) for _ in states]
    try:
        yield from states
        comparison.start()
        while any(state.phase not in FINAL for state in states):
            changed = set()
            for index, news in _drain(comparison.news):
                changed.add(index)
                if "token" in news:
                    texts[index].tokens.append(news["token"])
                    news = {"phase": DECODE.name}
                states[index] = replace(states[index], **news)
            for index, state in enumerate(states):
                if index in changed or state.phase not in FINAL:
                    texts[index].read(whole=state.phase in FINAL)
                    states[index] = replace(
                        state,
                        text=texts[index].text.strip(),
                        new_tokens=len(texts[index].tokens),
                        elapsed_s=comparison.elapsed(index),
                    )
                    yield states[index]
    finally:
        comparison.closed.set()


class Transcript:
    """Tokens as text that grows while they come, each decoded only a few times.

    New tokens are decoded after those before them, as the decoders of most tokenizers look at
    their neighbours, and what that adds is appended; a character whose bytes are not all there yet
    waits. The whole is decoded once more in the end, or where a decoder changed what was there.

    Attributes:
        tokens: ids, or pieces of text, in order.
        text: what they say.
    """

    def __init__(self, decode: Callable[[list[Any]], str]) -> None:
        self.tokens: list[Any] = []
        self.text = ""
        self._decode = decode
        self._before = self._read = 0  # tokens that lead up to the new ones, and that are in `text`

    def read(self, whole: bool = False) -> None:
        """Bring `text` up to `tokens`; `whole` decodes them all together."""
        if self._read < len(self.tokens) and not whole:
            known = self._decode(self.tokens[self._before : self._read])
            longer = self._decode(self.tokens[self._before :])
            if longer == known or longer.endswith(HALF):
                return  # special tokens, which say nothing, or half a character
            self._before, self._read = self._read, len(self.tokens)
            self.text += longer[len(known) :]
            whole = not longer.startswith(known)
        if whole:
            self.text = self._decode(self.tokens)


def _drain(news: News) -> list[tuple[int, dict[str, Any]]]:
    """All that has arrived; waits one heartbeat for the first."""
    items = []
    try:
        items.append(news.get(timeout=HEARTBEAT_S))
        while True:
            items.append(news.get_nowait())
    except queue.Empty:
        return items


class _Comparison:
    """The threads behind one stream, and the clocks and stop signs of its lanes."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        work: Work,
        race: bool,
        stop: threading.Event,
        warm_up: Callable[[Callable[[], bool]], None] | None,
        turn: "threading.Lock | None",
    ) -> None:
        self.lanes = list(lanes)
        self.work = work
        self.race = race and len(self.lanes) > 1
        self.stop = stop
        self.warm_up = warm_up
        self.turn = turn or threading.Lock()
        self.closed = threading.Event()
        self.news: News = queue.SimpleQueue()
        self._spans: dict[int, tuple[float, float | None]] = {}

    def start(self) -> None:
        """Begin in the background."""
        self.thread = threading.Thread(target=self._conduct, name="compare", daemon=True)
        self.thread.start()
        _running.add(self)

    def elapsed(self, index: int) -> float:
        """Seconds lane `index` has run."""
        begin, end = self._spans.get(index, (0.0, 0.0))
        return (perf_counter() if end is None else end) - begin

    def _stopped(self, index: int) -> bool:
        signs = (self.closed, self.stop, self.lanes[index].stop)
        return any(sign.is_set() for sign in signs)

    def _conduct(self) -> None:
        everyone = range(len(self.lanes))
        while not self.turn.acquire(timeout=HEARTBEAT_S):
            if all(self._stopped(index) for index in everyone):
                for index in everyone:
                    self.news.put((index, {"phase": "stopped"}))
                return
        try:
            if self.warm_up is not None:
                with suppress(Exception):  # what fails here fails in the lanes, which say so
                    self.warm_up(lambda: all(self._stopped(index) for index in everyone))
            if not self.race:
                for index in everyone:
                    self._run(index)
                return
            threads = [
                threading.Thread(target=self._run, args=(index,), daemon=True) for index in everyone
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            self.turn.release()

    def _run(self, index: int) -> None:
        self._spans[index] = (perf_counter(), None)

        def tell(**news: Any) -> None:
            if news.get("phase") in FINAL:
                self._spans[index] = (self._spans[index][0], perf_counter())
            self.news.put((index, news))

        if self._stopped(index):
            tell(phase="stopped")
            return
        try:
            self.work(self.lanes[index].selector, tell, lambda: self._stopped(index), self.race)
        except Exception as error:  # a lane that never ended would be waited for
            tell(phase="failed", error=explain(error))


@atexit.register
def _leave() -> None:
    """Let what still runs come to its end: a thread that the interpreter kills inside PyTorch takes
    the process down with SIGABRT.
    """
    comparisons = list(_running)
    for comparison in comparisons:
        comparison.closed.set()
    until = perf_counter() + LEAVE_S
    for comparison in comparisons:
        comparison.thread.join(max(0.0, until - perf_counter()))
