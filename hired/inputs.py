"""Image + question -> what the model takes, through the stock processor's own parts.

Knows the processor and the chat template, nothing of methods. A question is text: special tokens
and role markers typed into it never become control tokens.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from hired.ambient import on_cpu
from hired.errors import InputError, ModelError
from hired.images import MAX_PIXELS
from hired.tiles import TileGrid, Window

MAX_QUESTION = 4000  # characters
MARK = "QUESTIONGOESHERE"  # stands in for the question while the chat template is rendered


@dataclass(frozen=True)
class Inputs:
    """One prompt, batch of one; all but the pixels on the CPU, where it is read.

    Attributes:
        input_ids: (1, L), one placeholder per stock visual token.
        attention_mask: (1, L).
        pixel_values: (1, T, 3, S, S), or (1, 3, S, S) for LLaVA-1.5.
        image_sizes: (1, 2) as (height, width) in pixels, or None for LLaVA-1.5.
        prompt_tokens: text tokens, placeholders not counted.
        grid: the image's tiles, and for a single square what the processor leaves of the image.
    """

    input_ids: Tensor
    attention_mask: Tensor
    pixel_values: Tensor
    image_sizes: Tensor | None
    prompt_tokens: int
    grid: TileGrid


def build_processor(
    tokenizer: Any, tile: int, patch: int, pinpoints: list[list[int]], **more: Any
) -> Any:
    """A stock `LlavaNextProcessor` on PIL images, for models made here.

    Args:
        tokenizer: of the language model.
        tile, patch: edges in pixels.
        pinpoints: canvases as [height, width], those of the model.
        more: for the processor, its chat template among it.
    """
    from transformers import LlavaNextImageProcessorPil, LlavaNextProcessor

    images = LlavaNextImageProcessorPil(
        size={"shortest_edge": tile},
        crop_size={"height": tile, "width": tile},
        image_grid_pinpoints=pinpoints,
    )
    return LlavaNextProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # CLS
        **more,
    )


def check_question(question: Any) -> str:
    """The question as clean text.

    Raises:
        InputError: it is empty, no text, or longer than `MAX_QUESTION` characters.
    """
    if not isinstance(question, str) or not question.strip():
        raise InputError("The question is empty. Type what you want to know about the image.")
    if len(question) > MAX_QUESTION:
        raise InputError(
            f"The question has {len(question)} characters; the limit is {MAX_QUESTION}. Shorten it."
        )
    # Lone surrogates and NUL have no encoding a tokenizer could read.
    return question.encode("utf-8", "replace").decode("utf-8").replace("\0", " ").strip()


@on_cpu
def prepare(
    processor: Any, grid_of: Any, image: Image.Image, question: str, device: Any = "cpu"
) -> Inputs:
    """Pixels and token ids of one prompt; equal to calling the processor on the rendered text.

    Args:
        processor: the model's own `LlavaNextProcessor` or `LlavaProcessor`.
        grid_of: (height, width) -> TileGrid, from the model (`Tower.fit`).
        image: RGB.
        question: text of the user.
        device: where the pixels go.

    Raises:
        InputError: the question cannot be used, or the image is too long and thin.
    """
    question = check_question(question)
    grid = grid_for(processor, grid_of, image)
    pixels = processor.image_processor(images=image, return_tensors="pt")
    ids = torch.tensor([prompt_ids(processor, question, grid.stock)])
    sizes = pixels.get("image_sizes")
    return Inputs(
        ids,
        torch.ones_like(ids),
        pixels["pixel_values"].to(device),
        sizes,
        ids.shape[1] - grid.stock,
        grid,
    )


def grid_for(processor: Any, grid_of: Any, image: Image.Image) -> TileGrid:
    """The grid of an image, with what a single square shows of it; reads no pixel.

    Args:
        processor: the model's own.
        grid_of: (height, width) -> TileGrid, from the model (`Tower.fit`).
        image: any mode.

    Raises:
        InputError: see `shown_of`.
    """
    size = image.height, image.width
    grid: TileGrid = grid_of(size)
    return (
        grid if grid.tiles > 1 else replace(grid, shown=shown_of(processor.image_processor, size))
    )


def shown_of(images: Any, size: tuple[int, int]) -> Window | None:
    """The part of an image that a CLIP or LLaVA-1.5 image processor hands to the model.

    These pad to a square (`do_pad`), resize (`size`) and crop in the middle (`do_center_crop`),
    each only if told to; the stock LLaVA-1.5 processor resizes the shorter edge and crops.

    Args:
        images: the image processor; only its settings are read.
        size: (height, width) of the image, pixels.

    Returns:
        top, bottom, left, right in pixels of the image, beyond its borders where it is padded,
        one apart at least; None if the image is resized in a way not known here.

    Raises:
        InputError: its shorter edge resized, the image would have more than `MAX_PIXELS`.
    """
    # LLaVA-1.5's processor alone knows how to pad to a square; CLIP's has no use for `do_pad`.
    pads = getattr(images, "do_pad", False) and hasattr(images, "pad_to_square")
    whole = [max(size)] * 2 if pads else list(size)
    resized = list(whole)
    if images.do_resize:
        wanted = images.size
        short, exact = wanted.get("shortest_edge"), (wanted.get("height"), wanted.get("width"))
        if wanted.get("longest_edge") or (short is None and None in exact):
            return None
        resized = list(exact) if short is None else [short * side / min(whole) for side in whole]
    if math.prod(resized) > MAX_PIXELS:
        raise InputError(
            f"The image is {size[1]} x {size[0]} pixels, and this model reads it with "
            f"{min(resized):.0f} pixels on its shorter side: it would have "
            f"{math.prod(resized) / 1e6:.0f} megapixels. Cut a part out that is less long."
        )
    crop = images.crop_size if images.do_center_crop else {}
    shown: list[int] = []
    for side, full, now, edge in zip(size, whole, resized, ("height", "width"), strict=True):
        left_of = crop.get(edge) or now  # what the crop leaves of `now`, in the middle
        low = full * (now - left_of) / 2 / now - (full - side) / 2
        shown += [round(low), max(round(low) + 1, round(low + full * left_of / now))]
    return (shown[0], shown[1], shown[2], shown[3])


def prompt_ids(processor: Any, question: str, placeholders: int, image: bool = True) -> list[int]:
    """Token ids of the rendered prompt with `placeholders` image tokens.

    An ordinary question is tokenised together with its template, as the processor does. One that
    contains a special token is tokenised apart, as plain text.

    Args:
        processor: the model's own.
        question: text of the user.
        placeholders: visual tokens of the image.
        image: whether the prompt has one at all.

    Raises:
        ModelError: the chat template is not LLaVA's kind.
    """
    tokenizer, image_token = processor.tokenizer, processor.image_token
    before, after = (
        part.replace(image_token, image_token * placeholders)
        for part in render(processor, image).split(MARK)
    )
    # As in stock `apply_chat_template`: a template that writes BOS needs no second one.
    bos = tokenizer.bos_token
    added = {"add_special_tokens": bos is None or not before.startswith(bos)}
    special = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab(), image_token}
    if not any(token in question for token in special):
        return tokenizer(before + question + after, **added)["input_ids"]
    plain = _inner_ids(tokenizer, question, split_special_tokens=True)
    forbidden = set(tokenizer.convert_tokens_to_ids(sorted(special))) - {tokenizer.unk_token_id}
    return [
        *tokenizer(before, **added)["input_ids"],
        *(token for token in plain if token not in forbidden),
        *_inner_ids(tokenizer, after),
    ]


def _inner_ids(tokenizer: Any, text: str, **options: Any) -> list[int]:
    """Ids of text that begins no sequence: sentencepiece would put a space before it."""
    options["add_special_tokens"] = False
    anchor = tokenizer("\n", **options)["input_ids"]
    ids = tokenizer("\n" + text, **options)["input_ids"]
    if ids[: len(anchor)] == anchor:
        return ids[len(anchor) :]
    return tokenizer(text, **options)["input_ids"]


def render(processor: Any, image: bool = True) -> str:
    """The chat prompt for one image, or none, and one question, with `MARK` in its place.

    Raises:
        ModelError: the chat template takes no list of an image and a text.
    """
    token = processor.image_token
    if processor.chat_template is None:
        return f"USER: {token}\n{MARK} ASSISTANT:" if image else f"USER: {MARK} ASSISTANT:"
    content = [{"type": "image"}, {"type": "text", "text": MARK}]
    text = _apply(processor, content)
    if (text.count(token), text.count(MARK)) != (1, 1):
        raise _blame_template(
            f"it writes the image token {token!r} {text.count(token)} times and the question "
            f"{text.count(MARK)} times instead of once each"
        )
    return text if image else _apply(processor, content[1:])


def _apply(processor: Any, content: list[dict[str, str]]) -> str:
    messages = [{"role": "user", "content": content}]
    try:
        return processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # a template is a program, and raises what it likes
        reason = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise _blame_template(f"it stops with: {reason}") from error


def _blame_template(reason: str) -> ModelError:
    return ModelError(
        f"The chat template of this processor does not take a message made of an image and a "
        f"text: {reason}. Set processor.chat_template to the one of the model's own repository, "
        f"or to None for LLaVA's plain prompt."
    )


def check_image_token(processor: Any, config: Any) -> None:
    """Raise ModelError unless tokenizer and model mean the same token by the image's.

    Args:
        processor: of the model.
        config: of the model.
    """
    token, tokenizer = processor.image_token, processor.tokenizer
    read = tokenizer.convert_tokens_to_ids(token)
    if read == config.image_token_id:
        return
    absent = read is None or read == tokenizer.unk_token_id
    raise ModelError(
        f"The image token of the model's config is {config.image_token_id}, but its tokenizer "
        f"{'does not know' if absent else 'reads'} {token!r}{'' if absent else f' as {read}'}"
        f"{f', reading it as {read}' if absent and read is not None else ''}. Use the tokenizer "
        f"of the same repository, or set image_token_index in config.json to its id."
    )
