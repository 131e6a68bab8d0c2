"""Listeners of the page's events: a handler names the components that it reads and writes.

Its parameters are names of components, and so are the keys of what it returns. A component that it
does not name stays as it is.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import wraps
from typing import Any

import gradio as gr
from gradio.blocks import BlockContext
from gradio.components import Component

Parts = Mapping[str, Component | BlockContext]
Values = dict[str, Any]  # by the names of components


def listen(
    event: Callable[..., Any],
    handler: Callable[..., Any],
    reads: Parts,
    writes: Parts,
    **options: Any,
) -> Any:
    """Let a handler answer an event; gives what further events can follow.

    Args:
        event: a listener of gradio's, such as `button.click` or `begun.success`.
        handler: gives a `Values`, or is a generator of several.
        reads: the handler's parameters; gradio refuses a name that it does not have.
        writes: what it may name in its values.
        options: of gradio's listeners.
    """
    place = _place_all if inspect.isgeneratorfunction(handler) else _place
    work = place(handler, writes)
    return event(work, None, list(writes.values()), inputs_kwargs=dict(reads), **options)


def pick(parts: Parts, *names: str) -> Parts:
    """The components with these names, in their order."""
    return {name: parts[name] for name in names}


def _place(handler: Callable[..., Values], writes: Parts) -> Callable[..., Any]:
    @wraps(handler)
    def work(*given: Any, **values: Any) -> Any:
        return _in_order(handler(*given, **values), writes)

    return work


def _place_all(handler: Callable[..., Any], writes: Parts) -> Callable[..., Iterator[Any]]:
    @wraps(handler)
    def work(*given: Any, **values: Any) -> Iterator[Any]:
        with closing(handler(*given, **values)) as frames:
            for frame in frames:
                yield _in_order(frame, writes)

    return work


def _in_order(values: Values, writes: Parts) -> Any:
    """The values as gradio takes them: a list, or the only one itself.

    Raises:
        KeyError: a name that is none of `writes`.
    """
    if unknown := values.keys() - writes.keys():
        raise KeyError(f"{sorted(unknown)} are not among {sorted(writes)}.")
    found = [values.get(name, gr.skip()) for name in writes]
    return found[0] if len(found) == 1 else found
