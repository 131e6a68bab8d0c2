"""Questions with and without image in one batch, and what a benchmark asks of a generation.

Knows nothing of lmms-eval, so that it is tested without it.
"""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers import BatchFeature

from hired.clip import read_tower
from hired.errors import SettingError
from hired.images import open_image
from hired.inputs import grid_for, prompt_ids
from hired.wrapper import HiredModel

NEW_TOKENS = 128  # where a task does not say
Pair = tuple[str, Image.Image | None]


def ask_batch(
    wrapped: HiredModel, processor: Any, pairs: Sequence[Pair], **kwargs: Any
) -> list[str]:
    """Answers to some questions, each about one image or none, in one left-padded batch.

    Args:
        wrapped: the model and the method.
        processor: the model's own.
        pairs: text and image of each question.
        kwargs: for `generate`.
    """
    tower = read_tower(wrapped.model)
    # A camera's EXIF turns a picture: its size counts once it is upright.
    opened = [(text, picture and open_image(picture)) for text, picture in pairs]
    pictures = [picture for _, picture in opened if picture is not None]
    ids = []
    for text, picture in opened:
        stock = 0 if picture is None else grid_for(processor, tower.fit, picture).stock
        ids.append(prompt_ids(processor, text, stock, image=picture is not None))
    batch = _pad(ids, processor.tokenizer.pad_token_id or 0)
    if pictures:
        batch.update(processor.image_processor(images=pictures, return_tensors="pt"))
    batch = batch.to(wrapped.model.get_input_embeddings().weight.device)
    output = wrapped.generate(**batch, **kwargs)
    new = output[:, batch["input_ids"].shape[1] :]
    return [text.strip() for text in processor.batch_decode(new, skip_special_tokens=True)]


def _pad(ids: list[list[int]], pad: int) -> BatchFeature:
    """`input_ids` and `attention_mask` (B, L), padded on the left."""
    length = max(map(len, ids))
    rows = [[pad] * (length - len(row)) + row for row in ids]
    masks = [[0] * (length - len(row)) + [1] * len(row) for row in ids]
    return BatchFeature({"input_ids": torch.tensor(rows), "attention_mask": torch.tensor(masks)})


def read_batch_size(value: int | str) -> int:
    """Questions at once, as lmms-eval's command line has them.

    Raises:
        SettingError: it is no whole number from 1; `auto` is not known here.
    """
    if not str(value).isdecimal() or int(value) < 1:
        raise SettingError(
            f"batch_size is a whole number from 1, as no size is found by itself; got {value!r}."
        )
    return int(value)


def generate_settings(asked: dict[str, Any]) -> dict[str, Any]:
    """A task's `generation_kwargs` as `generate` takes them; greedy without a temperature."""
    kwargs: dict[str, Any] = {
        "max_new_tokens": int(asked.get("max_new_tokens") or NEW_TOKENS),
        "num_beams": int(asked.get("num_beams") or 1),
        "do_sample": (asked.get("temperature") or 0) > 0,
    }
    if kwargs["do_sample"]:
        kwargs |= {k: asked[k] for k in ("temperature", "top_p") if asked.get(k) is not None}
    return kwargs


def cut_at(text: str, ends: str | Sequence[str]) -> str:
    """The text up to the first of some stop strings."""
    for end in [ends] if isinstance(ends, str) else ends:
        text = text.split(end)[0] if end else text
    return text
