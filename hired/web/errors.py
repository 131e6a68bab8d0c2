"""Errors of handlers as one plain sentence for the visitor; unexpected ones go to the log."""

import errno
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from hired.errors import HiredError
from hired.web.markup import escape

log = logging.getLogger(__name__)
TITLE = "That did not work"
LONGEST = 600  # characters of a message; it may quote what was sent
BROKEN = "Something went wrong on the server. Try again; if it stays, tell who runs it."
FULL_DISK = "The disk of this server is full. Try again later."
FULL = (errno.ENOSPC, errno.EDQUOT)  # a disk or a quota
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
    cut = replace_surrogates(words if len(words) <= LONGEST else f"{words[:LONGEST]} …")
    return gr.Error(escape(cut) if html else cut, title=TITLE, print_exception=False)


def replace_surrogates(text: str, by: str = "?") -> str:
    """The text with `by` for every lone surrogate, which no encoding knows."""
    return _SURROGATE.sub(by, text)
