"""Whatever goes wrong in a handler, or is wrong with what it was sent, as one plain sentence."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.exceptions import InvalidPathError

from hired.errors import HiredError
from hired.web import boxes
from hired.web.gate import FULL
from hired.web.panes import esc
from hired.web.wiring import LOOKS

if TYPE_CHECKING:
    from hired.web.engine import Engine

log = logging.getLogger(__name__)
TITLE = "That did not work"
POLL_S = 0.02
LONGEST = 600  # characters of a message; it may quote what was sent
BROKEN = "Something went wrong on the server. Try again; if it stays, tell who runs it."
FULL_DISK = "The disk of this server is full. Try again later."
NOT_SENT = (
    "The image was not uploaded to this server. Upload the file itself; paths of the server and "
    "addresses of other servers are not opened."
)
UPLOADED = "/gradio_api/file="  # then the path: the address of an uploaded file
_SURROGATE = re.compile("[\ud800-\udfff]")


@contextmanager
def plain_errors(html: bool = True) -> Iterator[None]:
    """Errors as a sentence, without a trace for the visitor; unexpected ones go to the log.

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
    """The error gradio shows to whoever asked."""
    cut = _SURROGATE.sub("?", words if len(words) <= LONGEST else f"{words[:LONGEST]} …")
    return gr.Error(esc(cut) if html else cut, title=TITLE, print_exception=False)


class Page(gr.Blocks):
    """Blocks around one engine that never answer a malformed request with "null".

    Attributes:
        engine: the model behind the page; the gate asks it who is there.
    """

    def __init__(self, engine: "Engine", **options: Any) -> None:
        self.engine = engine  # first: gradio makes a queue at once
        super().__init__(**options)

    def queue(self, *args: Any, **options: Any) -> gr.Blocks:
        """Gradio's own, as long as the engine's limits say; to call again when they change.

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
        """Gradio's own, on clean text, and with a sentence when the values do not fit.

        Number boxes reach the page's handlers as they were typed.

        Raises:
            gr.Error: too few values, of the wrong kind, or a file that was not uploaded.
        """
        inputs = _complete(block_fn, inputs)
        typed = boxes.typed_numbers(block_fn, inputs)
        fitting = _clean(boxes.fit(block_fn, inputs, typed, state))
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
    """The values of a program written before an endpoint took lanes, with no lanes."""
    left = [getattr(field, "value", None) for field in block_fn.inputs[len(inputs) :]]
    return [*inputs, *left] if left == [""] else inputs


def _clean(value: Any) -> Any:
    """The same values without lone surrogates, which no encoding knows.

    Raises:
        gr.Error: a file that would have to be fetched from somewhere.
    """
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
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


def upload_folder() -> str:
    """Gradio's own temporary folder, which it clears by itself."""
    folder = Path(gr.utils.get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)
