"""Listeners whose handlers name what they read and write, on a page of three components."""

import gradio as gr
import pytest

from hired.web.blocks import listen, pick


def call(handler, reads=("one", "two"), writes=("two", "three"), given=(1, 2)):
    """The values a handler gives the page, as gradio asks for them."""
    with gr.Blocks() as page:
        parts = {name: gr.Number(label=name) for name in ("one", "two", "three")}
        button = gr.Button()
        listen(button.click, handler, pick(parts, *reads), pick(parts, *writes))
    (event,) = page.fns.values()
    assert event.outputs == [parts[name] for name in writes]
    assert event.name == handler.__name__, "whose place in the queue is told"
    return event.fn(**dict(zip(event.input_keyword_names, given, strict=True)))


def test_a_handler_names_what_it_reads_and_writes() -> None:
    def add(two, one):
        return {"three": one + 10 * two}

    assert call(add) == [gr.skip(), 21], "what is not named stays"
    assert call(add, writes=("three",)) == 21


def test_names_that_do_not_fit_are_refused() -> None:
    def misspelt(one, two):
        return {"tree": 0}

    with pytest.raises(KeyError, match=r"\['tree'\] are not among \['three', 'two'\]"):
        call(misspelt)
    with pytest.raises(ValueError, match="Unexpected keyword arguments"):
        call(lambda one: {}, reads=("one", "two"))


def test_who_closes_the_frames_closes_the_handler() -> None:
    closed = []

    def count(one, two):
        try:
            yield {"two": one}
            yield {"three": two}
        finally:
            closed.append(True)

    frames = call(count)
    assert next(frames) == [1, gr.skip()] and not closed
    frames.close()
    assert closed
    assert list(call(count))[1] == [gr.skip(), 2]
