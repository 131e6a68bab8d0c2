"""HiRED as a drop-in for a user's own code: `select` and `HiredModel(model, selector).generate`.

One of the two places that know the order of the stages. The model is shared and only read.
"""

from collections.abc import Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor

from hired.errors import InputError
from hired.generate import as_encoder_outputs
from hired.pack import pack
from hired.selectors import Selection, Selector
from hired.tiles import TileGrid
from hired.tower import Tower, read_tower, split_tiles
from hired.vision import Plan, Vision, encode


def select(
    model: Any, pixel_values: Tensor, image_sizes: Any, selector: Selector
) -> list[Selection]:
    """Which patches `selector` keeps of each image.

    Args:
        model: a stock LLaVA-NeXT or LLaVA-1.5 model; only read.
        pixel_values: (images, T, 3, S, S), or (images, 3, S, S) for LLaVA-1.5.
        image_sizes: (images, 2) as (height, width) in pixels; None for LLaVA-1.5.
        selector: the method and its settings.

    Raises:
        ModelError: the model cannot be read.
        SettingError: a layer or head does not exist in this model.
        InputError: pixels and sizes do not fit.
    """
    return [selection for _, selection in look(model, pixel_values, image_sizes, selector)]


def look(
    model: Any, pixel_values: Tensor, image_sizes: Any, selector: Selector
) -> list[tuple[Vision, Selection]]:
    """One tower pass over all images and what is kept of each."""
    tower = read_tower(model)
    if isinstance(image_sizes, Tensor):
        image_sizes = image_sizes.cpu()  # one wait for the device, not one per number
    images = split_tiles(tower, pixel_values, image_sizes)
    grids = fit_grids(tower, images, image_sizes)
    taps = selector.taps(tower.feature_tap)
    visions = encode(tower, images, grids, taps, plan_for(selector, grids))
    return [(vision, selector.select(vision)) for vision in visions]


def fit_grids(tower: Tower, images: Sequence[Tensor], image_sizes: Any) -> list[TileGrid]:
    """One grid per image; for LLaVA-1.5 a square of which it is not known what it shows.

    Its processor crops the image to a square in the middle, or pads it, and passes no sizes on.
    """
    if tower.pinpoints is None:
        return [tower.fit((tower.tile, tower.tile)) for _ in images]
    return [tower.fit(size) for size in image_sizes]


def plan_for(selector: Selector, grids: Sequence[TileGrid]) -> Plan | None:
    """The selector's budgets as a plan, or None when everything is kept: one stock-shaped call."""
    if all(selector.fixed_count and selector.total(grid) == grid.candidates for grid in grids):
        return None
    return selector.budgets


class HiredModel:
    """A stock LLaVA model that drops visual tokens before its language model.

    `model` is shared, not copied and not changed; any number of wrappers can live on it.

    Attributes:
        model: the stock model.
        selector: the method and its settings.
    """

    def __init__(self, model: Any, selector: Selector) -> None:
        read_tower(model)  # refuse here, not at the first prompt
        self.model = model
        self.selector = selector

    def generate(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_sizes: Any = None,
        **generate_kwargs: Any,
    ) -> Any:
        """`model.generate` with fewer visual tokens; takes what the processor returned.

        Batches, several images in a prompt, prompts without image, sampling, beams, streamers
        and `return_dict_in_generate` work as they do on the stock model. The sequences returned
        begin with `input_ids` as they came in, so `output[:, input_ids.shape[1]:]` is the answer
        here too; `max_length` and `min_length`, in a `generation_config` too, count it as well.

        Args:
            input_ids: (B, L) with the processor's placeholders.
            attention_mask: (B, L).
            pixel_values: (images, T, 3, S, S), or None for prompts without image.
            image_sizes: (images, 2) as (height, width).
            generate_kwargs: for `model.generate`.

        Raises:
            InputError, ModelError, SettingError: see `select`.
        """
        if pixel_values is None:
            if (input_ids == self.model.config.image_token_id).any():
                raise InputError(
                    "The prompt holds image placeholders but pixel_values is missing. Pass all "
                    "that the processor returned."
                )
            return self.model.generate(
                input_ids=input_ids, attention_mask=attention_mask, **generate_kwargs
            )
        seen = look(self.model, pixel_values, image_sizes, self.selector)
        packed = pack(
            self.model,
            input_ids,
            attention_mask,
            [vision for vision, _ in seen],
            [selection for _, selection in seen],
        )
        output = self.model.generate(
            input_ids=packed.input_ids,
            attention_mask=packed.attention_mask,
            mm_encoder_outputs=as_encoder_outputs(packed.features),
            **_shorter_lengths(generate_kwargs, input_ids.shape[1] - packed.input_ids.shape[1]),
        )
        return _with_prompt(output, input_ids, packed.input_ids.shape[1])


def _shorter_lengths(kwargs: dict[str, Any], dropped: int) -> dict[str, Any]:
    """Total lengths count the caller's prompt, not the one the model reads, `dropped` shorter."""
    kwargs = dict(kwargs)
    config = kwargs["generation_config"] = copy(kwargs.get("generation_config"))
    for name in ("max_length", "min_length"):
        if kwargs.get(name) is not None:
            kwargs[name] = max(kwargs[name] - dropped, 0)
        if getattr(config, name, None) is not None:
            setattr(config, name, max(getattr(config, name) - dropped, 0))
    return kwargs


def _with_prompt(output: Any, input_ids: Tensor, length: int) -> Any:
    """Put the caller's prompt in place of the shortened one."""
    sequences = output if isinstance(output, Tensor) else output.sequences
    prompt = input_ids.repeat_interleave(len(sequences) // len(input_ids), dim=0)
    whole = torch.cat([prompt.to(sequences.device), sequences[:, length:]], dim=1)
    if isinstance(output, Tensor):
        return whole
    output.sequences = whole
    return output
