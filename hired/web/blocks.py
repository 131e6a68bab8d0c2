"""Gradio as this page uses it: Blocks around one engine, events by the names of components, and
errors as one plain sentence for the visitor.

Gradio would refuse a number out of range, and an empty box, before any of the page's handlers could
say so in its own words; so number boxes reach the handlers as they were typed.
"""

import errno
import inspect
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import wraps
from typing import Any

import gradio as gr
from gradio.blocks import BlockContext
from gradio.components import Component
from gradio.data_classes import FileData
from gradio.exceptions import InvalidPathError

from hired.errors import HiredError
from hired.web.engine import Engine
from hired.web.markup import escape
from hired.web.queues import LOOKS

log = logging.getLogger(__name__)
TITLE = "That did not work"
LONGEST = 600  # characters of a message; it may quote what was sent
BROKEN = "Something went wrong on the server. Try again; if it stays, tell who runs it."
FULL_DISK = "The disk of this server is full. Try again later."
FULL = (errno.ENOSPC, errno.EDQUOT)  # a disk or a quota
_SURROGATE = re.compile("[\ud800-\udfff]")
POLL_S = 0.02  # between two looks for requests
NOT_SENT = (
    "The image was not uploaded to this server. Upload the file itself; paths of the server and "
    "addresses of other servers are not opened."
)
UPLOADED = "/gradio_api/file="  # then the path: the address of an uploaded file
Parts = Mapping[str, Component | BlockContext]
Values = dict[str, Any]  # by the names of components


def take_as_sent(component: Component, take: Callable[[Any], Any]) -> None:
    """Hand a component's value to handlers as `take` gives it, not as gradio would decode it.

    Gradio answers what it cannot decode with a developer's message.
    """
    vars(component)["preprocess"] = take


def path_of(payload: FileData | None) -> str | None:
    """The file of an upload, not decoded."""
    return payload.path if payload else None


class Page(gr.Blocks):
    """Blocks around one engine that never answer a malformed request with "null".

    Attributes:
        engine: the model behind the page; the gate asks it who is there.
    """

    def __init__(self, engine: Engine, **options: Any) -> None:
        self.engine = engine  # first: gradio makes a queue at once
        super().__init__(**options)

    def queue(self, *args: Any, **options: Any) -> gr.Blocks:
        """Make gradio's queue as long as the engine's limits say; to call again when they change.

        It looks for requests every `POLL_S` instead of every millisecond: a thousand times a second
        it would take the interpreter from the thread that generates.
        """
        places = self.engine.limits.queue + LOOKS
        super().queue(*args, **{"max_size": places, "api_open": False} | options)
        self._queue.sleep_when_free = POLL_S
        return self

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """Check values as gradio does, on clean text, and say in a sentence where they do not fit.

        Number boxes reach the page's handlers as they were typed.

        Raises:
            gr.Error: too few values, of the wrong kind, or a file that was not uploaded.
        """
        inputs = _complete(block_fn, inputs)
        typed = typed_numbers(block_fn, inputs)
        fitting = _clean(fit_numbers(block_fn, inputs, typed, state))
        try:
            values = await super().preprocess_data(block_fn, fitting, state, explicit_call)
            return [typed.get(index, value) for index, value in enumerate(values)]
        except gr.Error:
            raise
        except InvalidPathError:
            raise tell(NOT_SENT) from None
        except Exception as error:
            log.info("values refused", extra={"facts": {"error": type(error).__name__}})
            raise tell(
                f"The request takes {len(block_fn.inputs)} values of certain kinds; these "
                f"{len(inputs)} do not fit. /gradio_api/info lists them."
            ) from None


def _complete(block_fn: Any, inputs: list[Any]) -> list[Any]:
    """Inputs of a call with the defaults of what it left out, if those are empty or off.

    Programs written before an endpoint had its last parameters leave these out.
    """
    left = [getattr(field, "value", None) for field in block_fn.inputs[len(inputs) :]]
    return [*inputs, *left] if all(one in ("", None, False) for one in left) else inputs


def _clean(value: Any) -> Any:
    """The same values without lone surrogates, which no encoding knows.

    Raises:
        gr.Error: a file that would have to be fetched from somewhere.
    """
    if isinstance(value, str):
        return replace_surrogates(value, "\ufffd")
    if isinstance(value, list):
        return [_clean(part) for part in value]
    if isinstance(value, dict):
        path = value.get("path")
        if isinstance(path, str) and UPLOADED in path:  # its address here; gradio checks the path
            path = path.split(UPLOADED, 1)[1]
            value = value | {"path": path, "url": None}
        if "path" in value and path is not None and (not isinstance(path, str) or "://" in path):
            raise tell(NOT_SENT)
        return {_clean(key): _clean(part) for key, part in value.items()}
    return value


def typed_numbers(block_fn: Any, inputs: list[Any]) -> dict[int, Any]:
    """Index -> number, or None for an empty box, of each number box among a handler's inputs.

    Only for the page's own handlers; a program's call is checked as the endpoint says.
    """
    if block_fn.api_visibility != "private":
        return {}
    return {
        index: value
        for index, (block, value) in enumerate(zip(block_fn.inputs, inputs, strict=False))
        if isinstance(block, gr.Number | gr.Slider) and _is_number(value)
    }


def fit_numbers(block_fn: Any, inputs: list[Any], typed: dict[int, Any], state: Any) -> list[Any]:
    """The inputs with each typed number in its box's range, where gradio's own check lets it pass.

    `state` knows the ranges that this visitor's page has now.
    """
    fitting = list(inputs)
    for index, value in typed.items():
        block = block_fn.inputs[index]
        if state is not None and block._id in state:
            block = state[block._id]
        low = block.minimum if block.minimum is not None else value or 0
        high = block.maximum if block.maximum is not None else value
        fitting[index] = low if value is None else max(low, min(value, high))
    return fitting


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


@contextmanager
def plain_errors(html: bool = True) -> Iterator[None]:
    """Turn errors into a sentence without a trace for the visitor; log the unexpected ones.

    `html` escapes it for the page; a program gets the text as it is.
    """
    try:
        yield
    except HiredError as error:
        raise tell(str(error), html) from None
    except gr.Error:
        raise
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in FULL
        if not full:
            log.error("a handler failed", exc_info=error)
        raise tell(FULL_DISK if full else BROKEN, html) from None


def tell(words: str, html: bool = False) -> gr.Error:
    """Make the error that gradio shows to the visitor."""
    cut = replace_surrogates(words if len(words) <= LONGEST else f"{words[:LONGEST]} …")
    return gr.Error(escape(cut) if html else cut, title=TITLE, print_exception=False)


def replace_surrogates(text: str, by: str = "?") -> str:
    """The text with `by` for every lone surrogate, which no encoding knows."""
    return _SURROGATE.sub(by, text)


def listen(
    event: Callable[..., Any],
    handler: Callable[..., Any],
    reads: Parts,
    writes: Parts,
    words: Mapping[str, str] | None = None,
    **options: Any,
) -> Any:
    """Let a handler answer an event; gives what further events can follow.

    Args:
        event: a listener of gradio's, such as `button.click` or `begun.success`.
        handler: gives a `Values`, or is a generator of several.
        reads: the handler's parameters; gradio refuses a name that it does not have.
        writes: what it may name in its values; a component it does not name stays as it is.
        words: what each of `reads` is, for programs and MCP to read.
        options: of gradio's listeners.
    """
    place = _place_all if inspect.isgeneratorfunction(handler) else _place
    work = place(handler, writes)
    if words:
        _describe(work, reads, words)
    return event(work, None, list(writes.values()), inputs_kwargs=dict(reads), **options)


def pick(parts: Parts, *names: str) -> Parts:
    """The components with these names, in their order."""
    return {name: parts[name] for name in names}


def _describe(work: Callable[..., Any], reads: Parts, words: Mapping[str, str]) -> None:
    """Put what is read into docstring and signature, where gradio looks for it.

    What a handler takes without naming it may be left out, as None.
    """
    lines = "\n".join(f"    {name}: {words[name]}" for name in reads)
    work.__doc__ = f"{inspect.getdoc(work)}\n\nArgs:\n{lines}"
    own, kind = inspect.signature(work).parameters, inspect.Parameter.KEYWORD_ONLY
    defaults = {name: own[name].default if name in own else None for name in reads}
    named = [inspect.Parameter(name, kind, default=one) for name, one in defaults.items()]
    vars(work)["__signature__"] = inspect.Signature(named)


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
    """Values as gradio takes them: a list, or the only one itself.

    Raises:
        KeyError: a name that is none of `writes`.
    """
    if unknown := values.keys() - writes.keys():
        raise KeyError(f"{sorted(unknown)} are not among {sorted(writes)}.")
    found = [values.get(name, gr.skip()) for name in writes]
    return found[0] if len(found) == 1 else found
