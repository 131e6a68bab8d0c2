"""The newest look wins: of two previews under way for one visitor, the older shows nothing.

Gradio may run two events of one trigger at once, and the answer that comes last stays on the page,
whichever was asked first.
"""

import itertools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import gradio as gr

VISITORS = 1000  # whose newest look is known; those seen longest ago are forgotten


class Latest:
    """Keeps which look of each visitor began last."""

    def __init__(self) -> None:
        self._ticks = itertools.count()
        self._newest: OrderedDict[str, int] = OrderedDict()

    def only(self, look: Callable[..., Any]) -> Callable[..., Any]:
        """The handler `look`, whose values are left out if a newer one of the visitor began."""

        def newest(request: gr.Request, *values: Any) -> Any:
            visitor = request.session_hash or ""
            tick = self._newest[visitor] = next(self._ticks)
            self._newest.move_to_end(visitor)
            while len(self._newest) > VISITORS:
                self._newest.popitem(last=False)
            try:
                shown = look(*values)
            except Exception:
                if self._newest.get(visitor, tick) != tick:
                    return gr.skip()
                raise
            return shown if self._newest.get(visitor, tick) == tick else gr.skip()

        return newest
