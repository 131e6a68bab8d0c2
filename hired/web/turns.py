"""Changes of the form, told one at a time: what follows a change is asked for once, and in order.

Gradio sends a request for every change. Two within milliseconds are both on their way, may be
answered in either order, and the first answer can be shown last.
"""

from collections.abc import Sequence
from typing import Any

import gradio as gr

SPACING_MS = 60  # the least time from one turn to the next
# All changes that wait for the same moment are one turn: they give the same number.
TAKE = """() => new Promise((tell) => {
  const next = window.hiredTurns ??= {}, now = Date.now(), turn = Math.max(now, next.NAME ?? 0);
  next.NAME = turn === now ? now + SPACING : turn;
  setTimeout(() => {
    next.NAME = Math.max(next.NAME, turn + SPACING);
    tell(turn);
  }, turn - now);
})"""


def take_turns(name: str, changes: Sequence[Any]) -> Any:
    """The event of a turn: after any of `changes`, at once where the last turn is over.

    Args:
        name: a word that no other turns of the page have.
    """
    turn = gr.Number(0, visible="hidden", elem_id=f"turn-{name}", label=name)
    take = TAKE.replace("NAME", name).replace("SPACING", str(SPACING_MS))
    gr.on(list(changes), None, None, turn, js=take, queue=False, show_progress="hidden")
    return turn.change
