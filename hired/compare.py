"""Two or more lanes over one prompt on shared weights, as one stream of steps.

The demo's engine. Each lane pays for its own preprocessing and vision pass, so that its time to
first token is honest. The work happens in threads; the iterator only waits for what comes out of
them, so that closing it never waits for a prefill.
"""

import queue
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any

from hired.errors import SettingError
from hired.images import open_image
from hired.inputs import check_question
from hired.lane import Lane, Prompt, Tell, check_lanes, run_lane
from hired.metrics import Metrics
from hired.selectors import Selection, Selector, build
from hired.tower import read_tower

__all__ = ["FINAL", "Lane", "Step", "compare", "device_turn", "follow"]

HEARTBEAT_S = 0.2  # a step at least this often, so that a consumer can leave while a lane works
FINAL = ("done", "stopped", "failed")
_warm: "weakref.WeakSet[Any]" = weakref.WeakSet()
_device = threading.Lock()  # one comparison at a time: a leftover prefill must not spoil the next

News = queue.SimpleQueue  # of (lane index, what is new about it)


@dataclass(frozen=True, eq=False)
class Step:
    """What a lane looks like now.

    Attributes:
        lane: its index.
        phase: "waiting", "preparing", "looking", "selecting", "reading", "answering", and last
            one of "done", "stopped", "failed".
        text: the answer so far.
        new_tokens: tokens generated so far.
        elapsed_s: seconds since the lane began, 0 while it waits.
        selection: what is kept, once it is known.
        metrics: the numbers when "done", or when "stopped" after the first token.
        error: what went wrong, in words for the user.
    """

    lane: int
    phase: str = "waiting"
    text: str = ""
    new_tokens: int = 0
    elapsed_s: float = 0.0
    selection: Selection | None = None
    metrics: Metrics | None = None
    error: str | None = None


def compare(
    model: Any,
    processor: Any,
    image: Any,
    question: str,
    lanes: Sequence[Lane],
    *,
    max_new_tokens: int = 64,
    race: bool = False,
    stop: threading.Event | None = None,
    warm_up: bool = True,
    **generate_kwargs: Any,
) -> Iterator[Step]:
    """Answer one question in every lane.

    Args:
        model: a stock LLaVA model, shared by the lanes; only read.
        processor: its processor.
        image: a PIL image, a path or the bytes of a file.
        question: text of the user; special tokens in it are text.
        lanes: one or more; the baseline first by convention.
        max_new_tokens: per lane.
        race: run all lanes at once; their times are then marked as contended.
        stop: ends every lane within one token, keeping what was generated.
        warm_up: run two short generations before the first lane this model ever measures.
        generate_kwargs: for `model.generate`; greedy unless they say otherwise.

    Returns:
        An iterator of steps. Every lane ends with "done", "stopped" or "failed"; an error in one
        leaves the others running. Closing the iterator stops all lanes and returns at once.

    Raises:
        InputError: the image or the question cannot be used.
        ModelError: the model cannot be read.
        SettingError: no lanes, a bad `max_new_tokens`, no such layer or head, beams or no cache.
    """
    check_asked(lanes, max_new_tokens)
    kwargs = {"max_new_tokens": max_new_tokens, **generate_kwargs}
    check_lanes(read_tower(model), lanes, kwargs)
    prompt = Prompt(model, processor, open_image(image), check_question(question), kwargs)
    return follow(
        lanes,
        partial(run_lane, prompt),
        partial(processor.tokenizer.decode, skip_special_tokens=True),
        race=race,
        stop=stop,
        warm_up=partial(_warm_up, prompt) if warm_up else None,
        turn=_device,
    )


def check_asked(lanes: Sequence[Lane], max_new_tokens: int) -> None:
    """Raise SettingError without lanes, or for a bad `max_new_tokens`."""
    if not lanes:
        raise SettingError("A comparison needs at least one lane; got none.")
    if isinstance(max_new_tokens, bool) or not isinstance(max_new_tokens, int):
        raise SettingError(f"max_new_tokens is a whole number; got {max_new_tokens!r}.")
    if max_new_tokens < 1:
        raise SettingError(f"max_new_tokens is at least 1; got {max_new_tokens}.")


@contextmanager
def device_turn(patience_s: float) -> Iterator[None]:
    """Work beside no comparison, so that it spoils no measurement, or after `patience_s` anyway."""
    taken = _device.acquire(timeout=patience_s)
    try:
        yield
    finally:
        if taken:
            _device.release()


Work = Callable[[Selector, Tell, Callable[[], bool], bool], None]  # `run_lane` without its prompt


def follow(
    lanes: Sequence[Lane],
    work: Work,
    decode: Callable[[list[Any]], str],
    *,
    race: bool = False,
    stop: threading.Event | None = None,
    warm_up: Callable[[Callable[[], bool]], None] | None = None,
    turn: "threading.Lock | None" = None,
) -> Iterator[Step]:
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


def _stream(comparison: "_Comparison", decode: Callable[[list[Any]], str]) -> Iterator[Step]:
    states = [Step(index) for index in range(len(comparison.lanes))]
    tokens: list[list[Any]] = [[] for _ in states]
    try:
        yield from states
        comparison.start()
        while any(state.phase not in FINAL for state in states):
            changed = set()
            for index, news in _drain(comparison.news):
                changed.add(index)
                if "token" in news:
                    tokens[index].append(news["token"])
                    news = {"phase": "answering"}
                states[index] = replace(states[index], **news)
            for index, state in enumerate(states):
                if index in changed or state.phase not in FINAL:
                    states[index] = replace(
                        state,
                        text=decode(tokens[index]).strip(),
                        new_tokens=len(tokens[index]),
                        elapsed_s=comparison.elapsed(index),
                    )
                    yield states[index]
    finally:
        comparison.closed.set()


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
        threading.Thread(target=self._conduct, name="compare", daemon=True).start()

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
                self.warm_up(lambda: self._stopped(0))
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
        self.work(self.lanes[index].selector, tell, lambda: self._stopped(index), self.race)


def _warm_up(prompt: Prompt, stopped: Callable[[], bool]) -> None:
    """Short answers nobody sees, once per model: first calls load kernels and grow pools.

    Stock too: the first long prefill would else be paid by the baseline, which runs first.
    """
    if prompt.model in _warm:
        return
    prompt = replace(prompt, generate_kwargs={**prompt.generate_kwargs, "max_new_tokens": 2})
    for selector in (build("full"), build("hired", budget=8)):
        run_lane(prompt, selector, _ignore, stopped, False)
    if not stopped():
        _warm.add(prompt.model)


def _ignore(**_: Any) -> None:
    """For the warm-up, which tells nobody."""
