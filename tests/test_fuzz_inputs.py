"""Processor outputs that people get wrong: stock's answer, or a HiredError; never a third thing."""

import numpy as np
import torch
from asking import KINDS, TEXTS, process
from conftest import make_tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from hired.errors import HiredError
from hired.selectors import HiRED
from hired.wrapper import HiredModel

MISSING = object()


def move(change):
    """A change of one field, where it is still a tensor."""
    return lambda value: change(value) if isinstance(value, torch.Tensor) else value


def right_padded(value):
    return torch.nn.functional.pad(value, (0, 2)) if value.dim() == 2 else value


# field -> what may become of it
WRONGS = {
    "input_ids": {
        "int32": move(lambda ids: ids.to(torch.int32)),
        "float": move(lambda ids: ids.float()),
        "bool": move(lambda ids: ids.bool()),
        "list": move(lambda ids: ids.tolist()),
        "array": move(lambda ids: ids.numpy()),
        "cut at the end": move(lambda ids: ids[:, :-5]),
        "cut inside the image": move(lambda ids: ids[:, : ids.shape[1] // 2]),
        "cut at the start": move(lambda ids: ids[:, 60:]),
        "one row": move(lambda ids: ids[0]),
        "first row": move(lambda ids: ids[:1]),
        "no rows": move(lambda ids: ids[:0]),
        "negative": move(lambda ids: ids - 3),
        "too high": move(lambda ids: ids + 40),
        "missing": lambda ids: MISSING,
        "rows turned": move(lambda ids: ids.flip(0)),
        "padded twice": move(right_padded),
    },
    "attention_mask": {
        "bool": move(lambda mask: mask.bool()),
        "float": move(lambda mask: mask.float()),
        "int32": move(lambda mask: mask.to(torch.int32)),
        "list": move(lambda mask: mask.tolist()),
        "ones": move(torch.ones_like),
        "zeros": move(torch.zeros_like),
        "twos": move(lambda mask: mask * 2),
        "inverted": move(lambda mask: 1 - mask),
        "cut": move(lambda mask: mask[:, :-5]),
        "first row": move(lambda mask: mask[:1]),
        "4 dimensions": move(lambda mask: mask[:, None, None]),
        "None": lambda mask: None,
        "missing": lambda mask: MISSING,
        "padded twice": move(right_padded),
    },
    "pixel_values": {
        "half": move(lambda pixels: pixels.half()),
        "double": move(lambda pixels: pixels.double()),
        "bytes": move(lambda pixels: (pixels * 10).to(torch.uint8)),
        "list": move(list),
        "arrays": move(lambda pixels: [np.asarray(one) for one in pixels]),
        "array": move(lambda pixels: pixels.numpy()),
        "nested lists": move(lambda pixels: pixels.tolist()),
        "flat": move(lambda pixels: pixels.flatten(0, 1)),
        "one picture": move(lambda pixels: pixels[0]),
        "first": move(lambda pixels: pixels[:1]),
        "none of them": move(lambda pixels: pixels[:0]),
        "turned": move(lambda pixels: pixels.flip(0)),
        "channels last": move(lambda pixels: pixels.movedim(-3, -1)),
        "smaller": move(lambda pixels: pixels[..., :70, :70]),
        "NaN": move(lambda pixels: pixels * float("nan")),
        "words": lambda pixels: "pixels",
        "None": lambda pixels: None,
        "missing": lambda pixels: MISSING,
    },
    "image_sizes": {
        "list": move(lambda sizes: sizes.tolist()),
        "tuples": move(lambda sizes: [tuple(size) for size in sizes.tolist()]),
        "array": move(lambda sizes: sizes.numpy()),
        "float": move(lambda sizes: sizes.float()),
        "swapped": move(lambda sizes: sizes.flip(1)),
        "turned": move(lambda sizes: sizes.flip(0)),
        "one size": move(lambda sizes: sizes[0]),
        "first": move(lambda sizes: sizes[:1]),
        "zeros": move(torch.zeros_like),
        "words": lambda sizes: ["168x168", "84x252"],
        "None": lambda sizes: None,
        "missing": lambda sizes: MISSING,
    },
    "mm_token_type_ids": {"extra": lambda value: torch.zeros(2, 9, dtype=torch.long)},
    "token_type_ids": {"extra": lambda value: torch.zeros(2, 9, dtype=torch.long)},
    "labels": {"extra": lambda value: torch.zeros(2, 9, dtype=torch.long)},
    "pixel_mask": {"extra": lambda value: torch.ones(2, 84, 84)},
    "num_crops": {"extra": lambda value: [5, 4]},
}
CHOICES = [(field, name) for field, wrongs in WRONGS.items() for name in wrongs]


def answer(model, inputs):
    """New tokens, or the error."""
    try:
        output = model.generate(**inputs, max_new_tokens=4, do_sample=False)
    except Exception as error:
        return error
    return output[:, -4:].tolist()


def left_padded(inputs):
    """The same prompts as stock code reads them well: it answers after the padding otherwise."""
    ids, mask = inputs.get("input_ids"), inputs.get("attention_mask")
    if not isinstance(ids, torch.Tensor) or ids.dim() != 2 or ids.is_floating_point():
        return inputs
    seen = (ids != 0) if mask is None else mask
    if not isinstance(seen, torch.Tensor) or seen.shape != ids.shape:
        return inputs
    order = seen.bool().int().argsort(dim=1, stable=True)
    moved = {"input_ids": ids.gather(1, order), "attention_mask": seen.gather(1, order)}
    return {**inputs, **moved}


@given(
    kind=st.sampled_from(KINDS),
    prompts=st.integers(1, 2),
    choices=st.lists(
        st.sampled_from(CHOICES), min_size=1, max_size=3, unique_by=lambda choice: choice[0]
    ),
)
@settings(max_examples=250, deadline=None)
def test_whatever_a_processor_returned_is_answered_as_stock_does_or_refused(kind, prompts, choices):
    model, processor = make_tiny(kind)
    inputs = dict(process(processor, TEXTS[:prompts]))
    for field, name in choices:
        value = WRONGS[field][name](inputs.get(field))
        inputs = {k: v for k, v in (inputs | {field: value}).items() if v is not MISSING}
    ours = answer(HiredModel(model, HiRED(budget=1.0)), inputs)
    if isinstance(ours, Exception):
        assert isinstance(ours, HiredError), (type(ours), ours)
        return
    stock = answer(model, left_padded(inputs))
    if isinstance(stock, Exception):
        stock = answer(model, left_padded(mended(kind, processor, inputs, prompts)))
    assert ours == stock, stock


def mended(kind, processor, inputs, prompts):
    """The inputs with lists and arrays as the tensors they stand for, which stock code needs."""
    right = process(processor, TEXTS[:prompts])
    pixels = inputs["pixel_values"]
    if isinstance(pixels, np.ndarray):
        pixels = torch.as_tensor(pixels)
    elif isinstance(pixels, list):
        pixels = torch.stack([torch.as_tensor(one) for one in pixels])
    return {**inputs, "pixel_values": pixels.float().reshape(right["pixel_values"].shape)}
