"""A waiting run's place in the queue, told in its panes while it waits."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from hired.web.engine import Engine
from hired.web.gate import gpu_queue
from hired.web.wiring import QUIET

EVERY_S = 1.0  # a place is looked up this often, only while a visitor's run is under way
RUNS = ("run", "measure")  # the handlers whose place it is; a sweep of the same visitor has its own


def add_place(demo: gr.Blocks, engine: Engine) -> gr.Timer:
    """Build the clock that tells the place; who starts a run sets it going."""
    told, clock = gr.HTML("", elem_id="place"), gr.Timer(EVERY_S, active=False)
    clock.tick(_teller(demo, engine), None, [told, clock], queue=False, **QUIET)
    return clock


def count_before(demo: gr.Blocks, visitor: str | None) -> int | None:
    """How many runs and sweeps come before a visitor's run; None where it does not wait."""
    running, waiting = gpu_queue(demo)
    for place, event in enumerate(waiting):
        if event.session_hash == visitor and event.fn.name in RUNS:
            return running + place
    return None


def _teller(demo: gr.Blocks, engine: Engine) -> Callable[[gr.Request], list[Any]]:
    def tell(request: gr.Request) -> list[Any]:  # gradio finds the request by its annotation
        before = count_before(demo, request.session_hash)
        # A style, as the panes themselves belong to the run that may begin at any moment.
        style = f'<style>#panes{{--place:" {before} before you."}}</style>' if before else ""
        return [style, gr.update(active=engine.waits(request.session_hash))]

    return tell
