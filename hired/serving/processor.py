"""vLLM's LLaVA processors, reserving exactly the tokens that will be kept.

The settings of a request are resolved first of all, so that they are part of every cache key:
another budget never finds this one's entry.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from transformers import BatchFeature
from vllm.inputs import MultiModalInput
from vllm.model_executor.models.llava import (
    LlavaMultiModalProcessor,
    LlavaProcessingInfo,
)
from vllm.model_executor.models.llava_next import (
    LlavaNextMultiModalProcessor,
    LlavaNextProcessingInfo,
)
from vllm.multimodal.inputs import MultiModalFieldConfig, MultiModalKwargsItems
from vllm.multimodal.parse import ImageProcessorItems, MultiModalDataItems
from vllm.multimodal.processing import PromptReplacement, PromptUpdate
from vllm.multimodal.processing.inputs import ProcessorInputs

from hired.errors import SettingError
from hired.serving.settings import KEY, Settings, make_selector, resolve, to_tensor
from hired.tiles import TileGrid

if TYPE_CHECKING:  # what the mixed-in classes stand before
    from vllm.multimodal.processing import BaseMultiModalProcessor as Processor
    from vllm.multimodal.processing import BaseProcessingInfo as Info
else:
    Info = Processor = object

FIELD = "hired_settings"  # of each image, on its way to the model
STOCK = {"method": "full"}  # what the server's memory is measured with: the most a request can ask


class HiredInfo(Info):
    """The facts of model and server that both processors need."""

    def resolve(self, kwargs: Mapping[str, Any]) -> Settings:
        """The settings of one request, checked as far as this model allows.

        Raises:
            SettingError: see `hired.serving.settings.resolve`; also a layer or head that the
                model does not have.
        """
        config = self.get_hf_config()
        settings = resolve(getattr(config, KEY, None), kwargs.get(KEY))
        vision = config.vision_config
        chosen = config.vision_feature_layer
        chosen = [chosen] if isinstance(chosen, int) else chosen
        depth = max(layer % (vision.num_hidden_layers + 1) for layer in chosen)
        make_selector(settings).check_model(depth, vision.num_attention_heads)
        return settings

    def count(self, height: int, width: int, settings: Settings) -> int:
        """Placeholders of one image: what `Selection.visual_tokens` will be, from its size."""
        grid, selector = self.grid(height, width), make_selector(settings)
        total = selector.total(grid)
        rows = selector.newline == "rows" or total == grid.candidates
        return total + (grid.newline_rows if rows else 0)

    def grid(self, height: int, width: int) -> TileGrid:
        """The grid of an image's tiles."""
        config = self.get_hf_config()
        tile, patch = config.vision_config.image_size, config.vision_config.patch_size
        pinpoints = getattr(config, "image_grid_pinpoints", None)
        if pinpoints is None:
            return TileGrid.single((tile, tile), tile, patch)
        return TileGrid.fit((height, width), pinpoints, tile, patch)


class HiredLlavaNextInfo(HiredInfo, LlavaNextProcessingInfo):
    """LLaVA-NeXT."""


class HiredLlavaInfo(HiredInfo, LlavaProcessingInfo):
    """LLaVA-1.5."""


class HiredProcessor(Processor):
    """The work of both processors beside vLLM's own."""

    info: Any

    def apply(self, inputs: ProcessorInputs, timing_ctx: Any) -> MultiModalInput:
        """Resolve the settings, then process as vLLM does.

        Raises:
            SettingError: it cannot be asked; vLLM answers 400 with its sentence.
        """
        asked = inputs.hf_processor_mm_kwargs
        if others := sorted(asked.keys() - {KEY}):
            # vLLM's switch for settings per request opens them all; these could cost much.
            raise SettingError(
                f"This server takes only {KEY!r} in mm_processor_kwargs; got {others[0]!r}."
            )
        settings = {KEY: self.info.resolve(asked)}
        return super().apply(replace(inputs, hf_processor_mm_kwargs=settings), timing_ctx)

    def get_dummy_inputs(self, *args: Any, **kwargs: Any) -> ProcessorInputs:
        """The largest request there can be, for vLLM's measurement of its memory."""
        inputs = super().get_dummy_inputs(*args, **kwargs)
        return replace(inputs, hf_processor_mm_kwargs={KEY: STOCK})

    def _call_hf_processor(
        self, hf_data: Mapping[str, object], hf_kwargs: Mapping[str, object]
    ) -> BatchFeature:
        kwargs = {name: value for name, value in hf_kwargs.items() if name != KEY}
        return super()._call_hf_processor(hf_data, kwargs)

    def _postprocess_hf_mm_data(
        self,
        mm_inputs: Mapping[str, object],
        hf_processor_mm_kwargs: Mapping[str, Any],
        processed_data: BatchFeature,
    ) -> BatchFeature:
        data = super()._postprocess_hf_mm_data(mm_inputs, hf_processor_mm_kwargs, processed_data)
        if "pixel_values" in data:
            packed = to_tensor(hf_processor_mm_kwargs[KEY])
            data[FIELD] = torch.stack([packed] * len(data["pixel_values"]))
        return data

    def _get_mm_fields_config(
        self, hf_inputs: BatchFeature, hf_processor_mm_kwargs: Mapping[str, object]
    ) -> Mapping[str, MultiModalFieldConfig]:
        fields = super()._get_mm_fields_config(hf_inputs, hf_processor_mm_kwargs)
        return {**fields, FIELD: MultiModalFieldConfig.batched("image", keep_on_cpu=True)}

    def _get_prompt_updates(
        self,
        mm_items: MultiModalDataItems,
        hf_processor_mm_kwargs: Mapping[str, Any],
        out_mm_kwargs: MultiModalKwargsItems,
    ) -> Sequence[PromptUpdate]:
        stock = super()._get_prompt_updates(mm_items, hf_processor_mm_kwargs, out_mm_kwargs)
        token = self.info.get_hf_config().image_token_index
        settings = hf_processor_mm_kwargs[KEY]

        def placeholders(index: int) -> list[int]:
            images = mm_items.get_items("image", ImageProcessorItems)
            size = images.get_image_size(index)
            return [token] * self.info.count(size.height, size.width, settings)

        images = mm_items.get("image")
        if not isinstance(images, ImageProcessorItems):  # embeddings somebody else made
            return stock
        return [PromptReplacement(modality="image", target=[token], replacement=placeholders)]


class HiredLlavaNextProcessor(HiredProcessor, LlavaNextMultiModalProcessor):
    """LLaVA-NeXT."""


class HiredLlavaProcessor(HiredProcessor, LlavaMultiModalProcessor):
    """LLaVA-1.5."""
