"""HiRED as a drop-in for a user's own code: `select` and `HiredModel(model, selector).generate`.

`look` is the one way from pixels to what is kept; whatever selects goes through it. The model is
shared and only read.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList

from hired.ambient import on_cpu, without_autocast
from hired.arguments import (
    check_cache,
    check_options,
    read_config,
    read_prompt,
    shorten_lengths,
)
from hired.callbacks import Restored, restore
from hired.clip import Tower, read_tower, split_tiles
from hired.encode import Plan, Taps, Vision, encode, naming_layer
from hired.errors import InputError, ModelError, SettingError
from hired.generate import LogitsWatch, as_encoder_outputs
from hired.pack import Packed, pack
from hired.phases import SELECT, VISION
from hired.selectors import Selection, Selector, as_selector
from hired.stock import unwrap
from hired.tiles import TileGrid

# Options of `model.generate` that speak of the sequence the model reads, which is shorter here.
REFUSED = ("inputs_embeds", "position_ids", "mm_encoder_outputs", "labels", "custom_generate")
# What pipelines and evaluation loops ask a model beside `generate`.
SHARED = {
    "can_generate", "config", "device", "dtype", "generation_config", "get_input_embeddings",
    "hf_device_map", "input_modalities", "main_input_name", "name_or_path", "output_modalities",
    "parameters", "training",
    "_modules", "modules",  # accelerate's `unwrap_model` looks for compiled parts there
}  # fmt: skip


def select(
    model: Any, pixel_values: Any, image_sizes: Any, selector: Selector | str
) -> list[Selection]:
    """Select the patches that `selector` keeps of each image.

    Args:
        model: a stock LLaVA-NeXT or LLaVA-1.5 model; only read.
        pixel_values: (images, T, 3, S, S), or (images, 3, S, S) for LLaVA-1.5; a list of each
            image's tiles too.
        image_sizes: (images, 2) as (height, width) in pixels; None for LLaVA-1.5.
        selector: the method and its settings, or a line such as `hired:budget=20%`.

    Raises:
        ModelError: the model cannot be read.
        SettingError: there is no such method, or no such layer or head in this model.
        InputError: pixels and sizes do not fit.
        NotFinite: the tower computed NaN or infinity.
    """
    seen = look(read_tower(model), pixel_values, image_sizes, as_selector(selector))
    return [selection for _, selection in seen]


Timed = Callable[[str], AbstractContextManager[Any]]  # the name of a phase -> what surrounds it


@on_cpu
def look(
    tower: Tower,
    pixel_values: Any,
    image_sizes: Any,
    selector: Selector,
    *,
    grid: TileGrid | None = None,
    timed: Timed = nullcontext,
) -> list[tuple[Vision, Selection]]:
    """One tower pass over all images, and what is kept of each.

    Args:
        tower: the vision side, of a stock model or of vLLM's; only read.
        pixel_values: tiles as `select` takes them.
        image_sizes: (images, 2) as (height, width) in pixels; None for LLaVA-1.5.
        selector: the method and its settings.
        grid: of every image, where it is known better than the sizes tell it.
        timed: surrounds the phases "vision" and "select"; budgets that are planned between the
            overview and the crops are a "select" inside "vision".

    Raises:
        SettingError: a layer or head is not there.
        InputError: pixels and sizes do not fit.
        NotFinite: the tower computed NaN or infinity, with the layer's name.
    """
    selector.check_model(tower.last_tap + 1, tower.heads)
    with naming_layer(tower, pixel_values):
        with timed(VISION.name):
            images, grids = _fit(tower, pixel_values, image_sizes, grid)
            plan = _plan(selector, grids, timed)
            visions = encode(tower, images, grids, selector.taps(tower.feature_tap), plan)
        with timed(SELECT.name), without_autocast(*(vision.features for vision in visions)):
            return [(vision, selector.select(vision)) for vision in visions]


@on_cpu
def look_everywhere(
    tower: Tower,
    pixel_values: Any,
    image_sizes: Any,
    *,
    grid: TileGrid | None = None,
    received: tuple[int, ...] = (),
) -> list[Vision]:
    """One tower pass over all tiles with every layer tapped: enough for any method and picture.

    Args:
        tower, pixel_values, image_sizes, grid: as for `look`.
        received: layers whose received attention is read too; only their methods need it.

    Raises:
        InputError: pixels and sizes do not fit.
    """
    images, grids = _fit(tower, pixel_values, image_sizes, grid)
    taps = Taps(keys=tower.feature_tap, received=received)  # keys: for methods that merge
    return encode(tower, images, grids, taps, extra_taps=range(tower.last_tap + 1))


def _fit(
    tower: Tower, pixel_values: Any, image_sizes: Any, grid: TileGrid | None
) -> tuple[list[Tensor], list[TileGrid]]:
    """Tiles and grid of each image; LLaVA-1.5's square does not tell what of the image it shows.

    Its processor crops the image to a square in the middle, or pads it, and passes no sizes on.
    """
    if isinstance(image_sizes, Tensor):
        image_sizes = image_sizes.cpu()  # one wait for the device, not one per number
    images = split_tiles(tower, pixel_values, image_sizes)
    if grid is None and tower.pinpoints is not None:
        return images, [tower.fit(size) for size in image_sizes]
    return images, [grid or tower.fit((tower.tile, tower.tile))] * len(images)


def _plan(selector: Selector, grids: Sequence[TileGrid], timed: Timed) -> Plan | None:
    """The selector's budgets as a plan, or None when everything is kept: one stock-shaped call."""
    if all(selector.fixed_count and selector.total(grid) == grid.candidates for grid in grids):
        return None

    def plan(grid: TileGrid, overview: Tensor | None) -> list[int] | None:
        with timed(SELECT.name), without_autocast(overview):
            return selector.budgets(grid, overview)

    return plan


class HiredModel:
    """A stock LLaVA model that drops visual tokens before its language model.

    `model` is shared, not copied and not changed; any number of wrappers can live on it. Beside
    `generate` it has what pipelines and evaluation loops ask of a model: `config`, `device`,
    `dtype`, `generation_config`, `can_generate()` and the like are the stock model's own.

    Attributes:
        model: the stock model.
        selector: the method and its settings.
    """

    def __init__(self, model: Any, selector: Selector | str) -> None:
        read_tower(model)  # refuse here, not at the first prompt
        self.model = unwrap(model)
        self.selector = as_selector(selector)

    def generate(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pixel_values: Any = None,
        image_sizes: Any = None,
        **generate_kwargs: Any,
    ) -> Any:
        """`model.generate` with fewer visual tokens; takes what the processor returned.

        Batches, several images in a prompt, prompts without image, sampling, beams, streamers
        and `return_dict_in_generate` work as they do on the stock model. The sequences returned
        begin with `input_ids` as they came in, so `output[:, input_ids.shape[1]:]` is the answer
        here too. Whatever counts or sees a prompt sees this one: `max_length` and `min_length`,
        of any `generation_config` too, stopping criteria, logits processors and streamers.

        Args:
            input_ids: (B, L) with the processor's placeholders.
            attention_mask: (B, L); padding may lie on either side. Worked out where it is missing
                and the pad token cannot be text.
            pixel_values: (images, T, 3, S, S), a list of (T, 3, S, S), or None for prompts
                without image.
            image_sizes: (images, 2) as (height, width).
            generate_kwargs: for `model.generate`; `vision_feature_layer` is obeyed.

        Raises:
            InputError, ModelError, SettingError: see `select`; an option is unknown, or speaks of
                the sequence that is shortened here; padding cannot be told from text.
            NotFinite: tower, projector or language model computed NaN or infinity.
        """
        options = dict(generate_kwargs)
        if input_ids is None:
            input_ids = options.pop("inputs", None)
        layer = options.pop("vision_feature_layer", None)
        check_options(self.model, options, REFUSED)
        options.pop("vision_feature_select_strategy", None)
        config = read_config(self.model, options)
        tower = read_tower(self.model, layer)
        vocabulary = self.model.get_input_embeddings().weight.shape[0]
        ids, mask = read_prompt(input_ids, attention_mask, config, vocabulary)
        with naming_layer(tower, pixel_values):
            packed = self._pack(tower, ids, mask, pixel_values, image_sizes)
            check_cache(config, packed.position_ids is not None)
            length, shorter = ids.shape[1], packed.input_ids.shape[1]
            if length != shorter or (packed.input_ids != ids).any():
                options = restore(options, Restored(ids, shorter))
            options = shorten_lengths(options, config, length, shorter)
            output = self._generate(packed, options, input_ids.device)
        return Restored(input_ids, shorter).output(output)

    def _pack(self, tower: Tower, ids: Tensor, mask: Tensor, pixel_values: Any,
              image_sizes: Any) -> Packed:  # fmt: skip
        """The prompt as the model reads it, on the CPU."""
        if pixel_values is not None:
            seen = look(tower, pixel_values, image_sizes, self.selector)
            return pack(self.model, ids, mask, *zip(*seen, strict=True))
        if (ids == self.model.config.image_token_id).any():
            raise InputError(
                "The prompt holds image placeholders but pixel_values is missing. Pass all that "
                "the processor returned."
            )
        return pack(self.model, ids, mask, [], [])

    def _generate(self, packed: Packed, options: dict[str, Any], device: torch.device) -> Any:
        logits = LogitsWatch(self.model, packed)
        processors = [logits, *(options.pop("logits_processor", None) or ())]
        try:
            output = self.model.generate(
                input_ids=packed.input_ids.to(device),
                attention_mask=packed.attention_mask.to(device),
                mm_encoder_outputs=as_encoder_outputs(packed.features),
                **packed.extras(device),
                logits_processor=LogitsProcessorList(processors),
                **options,
            )
        except ValueError as error:
            if "image tokens do not match" not in str(error):
                raise
            # The prompt's own were counted: these are copies that stock code cannot feed.
            raise SettingError(
                "Drafting tokens, as prompt_lookup_num_tokens does, copied image placeholders out "
                "of the prompt, and stock transformers stops there. Leave that option out."
            ) from error
        logits.check()
        return output

    def __call__(self, *_: Any, **__: Any) -> None:
        """Refused: logits of the shortened sequence would not lie where the caller's labels do.

        Raises:
            ModelError: always.
        """
        raise ModelError(
            "A HiredModel only generates: call its generate, or the stock model for a plain "
            "forward pass."
        )

    def to(self, *args: Any, **kwargs: Any) -> "HiredModel":
        """Move the shared model."""
        self.model.to(*args, **kwargs)
        return self

    def eval(self) -> "HiredModel":
        """Put the shared model in eval mode."""
        self.model.eval()
        return self

    def __getattr__(self, name: str) -> Any:
        """Answer what a pipeline asks a model, from the stock model."""
        if name in SHARED:
            return getattr(self.model, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute that is the wrapper's own; the stock model is shared and not changed."""
        if name in SHARED:
            raise ModelError(
                f"{name} is the stock model's, which is shared: set it on .model, or pass it to "
                f"generate where generate takes it."
            )
        super().__setattr__(name, value)
