"""vLLM's LLaVA models with a vision pass that selects.

Scheduler, language model, parallelism and caches stay vLLM's own; only what the vision side hands
over is shorter. Selection is the library's: the same pass, selectors and packing as everywhere.
"""

import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from vllm.model_executor.models.llava import LlavaDummyInputsBuilder, LlavaForConditionalGeneration
from vllm.model_executor.models.llava_next import LlavaNextForConditionalGeneration
from vllm.multimodal import MULTIMODAL_REGISTRY

from hired.clip import Tower
from hired.encode import Vision
from hired.errors import InputError, NotFinite
from hired.pack import project_kept
from hired.selectors import Selection, Selector, build, fitting
from hired.serving.clip_adapter import read_vllm_tower
from hired.serving.processor import (
    FIELD,
    HiredLlavaInfo,
    HiredLlavaNextInfo,
    HiredLlavaNextProcessor,
    HiredLlavaProcessor,
)
from hired.serving.settings import from_tensor, make_selector
from hired.wrapper import look

if TYPE_CHECKING:  # what the mixed-in class stands before
    from vllm.model_executor.models.interfaces import SupportsMultiModal as Vllm
else:
    Vllm = object

log = logging.getLogger(__name__)


class HiredVision(Vllm):
    """The vision side of both models."""

    @cached_property
    def hired_tower(self) -> Tower:
        """The tower as the library reads it; made on first use, when its weights are there."""
        return read_vllm_tower(self)

    def embed_multimodal(self, **kwargs: Any) -> Any:
        """(K, E) of each image; images with the same settings go through the tower together."""
        pixels, packed = kwargs.get("pixel_values"), kwargs.pop(FIELD, None)
        if pixels is None or packed is None:
            return super().embed_multimodal(**kwargs)
        asked = [bytes(row.flatten().tolist()) for row in packed]
        sizes = kwargs.get("image_sizes")
        features: list[Any] = [None] * len(asked)
        for settings in dict.fromkeys(asked):
            chosen = [index for index, other in enumerate(asked) if other == settings]
            selector = make_selector(from_tensor(packed[chosen[0]]))
            part = {"pixel_values": _pick(pixels, chosen)}
            if sizes is not None:
                part["image_sizes"] = _pick(sizes, chosen)
            for index, feature in zip(chosen, self._embed(selector, part), strict=True):
                features[index] = feature
        return features

    def _embed(self, selector: Selector, part: dict[str, Any]) -> Any:
        if selector.name == "full":
            return super().embed_multimodal(**part)  # stock, to the bit
        seen = self.look(selector, part["pixel_values"], part.get("image_sizes"))
        return project_kept(self, [vision for vision, _ in seen], [one for _, one in seen])

    def look(self, selector: Selector, pixels: Any, sizes: Any) -> list[tuple[Vision, Selection]]:
        """One tower pass over some images and what is kept of each.

        Args:
            selector: the method and its settings.
            pixels: (T, 3, S, S) of each image, maybe with padding tiles at the end; (3, S, S) for
                LLaVA-1.5.
            sizes: (images, 2) as (height, width); None for LLaVA-1.5.
        """
        try:
            return look(self.hired_tower, pixels, sizes, selector)
        except (NotFinite, InputError) as error:  # raised here, it would end vLLM for everyone
            log.error("%s As many patches, evenly spaced, are kept instead.", error)
            even = build("spatial", **fitting("spatial", vars(selector)))
            return look(self.hired_tower, pixels, sizes, even)


@MULTIMODAL_REGISTRY.register_processor(
    HiredLlavaNextProcessor, info=HiredLlavaNextInfo, dummy_inputs=LlavaDummyInputsBuilder
)
class HiredLlavaNextForConditionalGeneration(HiredVision, LlavaNextForConditionalGeneration):
    """LLaVA-NeXT."""


@MULTIMODAL_REGISTRY.register_processor(
    HiredLlavaProcessor, info=HiredLlavaInfo, dummy_inputs=LlavaDummyInputsBuilder
)
class HiredLlavaForConditionalGeneration(HiredVision, LlavaForConditionalGeneration):
    """LLaVA-1.5."""


def _pick(values: Tensor | list[Tensor], chosen: list[int]) -> Any:
    if isinstance(values, torch.Tensor):
        return values[chosen]
    return [values[index] for index in chosen]
