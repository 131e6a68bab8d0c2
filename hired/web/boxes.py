"""Number boxes as they stand: what is typed reaches the form, which says what is wrong with it.

Gradio would refuse a number out of range, and an empty box, before any of the page's handlers
could say so in its own words; the picture would stay that of the number before.
"""

from typing import Any

import gradio as gr


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


def fit(block_fn: Any, inputs: list[Any], typed: dict[int, Any], state: Any) -> list[Any]:
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
