"""The runs that visitors wait for or have under way, and the signs that stop them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hired.errors import InputError
from hired.web.settings import MOST

MAX_RUNS = 256  # stop signs kept at once


@dataclass(eq=False)
class Stops:
    """Stop signs of one visitor's run, for all lanes and for each, and whether it has begun."""

    everything: threading.Event = field(default_factory=threading.Event)
    lanes: list[threading.Event] = field(
        default_factory=lambda: [threading.Event() for _ in range(MOST)]
    )
    begun: bool = False


class Visitors:
    """The stop signs of every visitor's run."""

    def __init__(self) -> None:
        self._stops: dict[str, Stops] = {}

    @contextmanager
    def stopping(self, visitor: str | None) -> Iterator[Stops]:
        """The stop signs of a run that is about to begin; gone when it ends."""
        stops = self._stops.get(visitor or "") or Stops()
        stops.begun = True
        if visitor:
            self._stops[visitor] = stops
        try:
            yield stops
        finally:
            if visitor and self._stops.get(visitor) is stops:
                del self._stops[visitor]

    def expect(self, visitor: str | None) -> None:
        """Make the stop signs of a run that waits in the queue, so that it can be stopped there.

        Raises:
            InputError: a run of this visitor is not over; two would share one stop.
        """
        if not visitor:
            return
        stops = Stops()
        known = self._stops.setdefault(visitor, stops)
        if known is not stops:
            if known.begun or not known.everything.is_set():
                raise InputError("Your last question is still being answered; press Stop first.")
            self._stops[visitor] = stops  # stopped before its turn, or lost on its way
        waiting = [who for who, one in list(self._stops.items()) if not one.begun]
        for who in waiting[: max(0, len(self._stops) - MAX_RUNS)]:  # left before their turn
            self._stops.pop(who, None)

    def busy(self, visitor: str | None) -> bool:
        """Tell whether a run of this visitor is expected or goes on."""
        return (visitor or "") in self._stops

    def waits(self, visitor: str | None) -> bool:
        """Tell whether a run of this visitor is expected and has not begun."""
        stops = self._stops.get(visitor or "")
        return stops is not None and not stops.begun

    def forget(self, visitor: str | None) -> None:
        """Drop the stop signs of a run that was refused on its way to the queue."""
        if self.waits(visitor):
            del self._stops[visitor or ""]

    def stop(self, visitor: str | None, lane: int | None = None) -> bool:
        """Stop a visitor's run, or one lane of it; False when there is none."""
        stops = self._stops.get(visitor or "")
        if stops is None:
            return False
        (stops.everything if lane is None else stops.lanes[lane]).set()
        return True
