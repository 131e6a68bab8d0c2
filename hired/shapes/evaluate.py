"""Questions on test posters, answered by any method.

Questions about a poster share its tower pass and its selection (neither depends on a question),
and many are answered in one greedy batch, by the same stages that `HiredModel` runs.
"""

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hired.generate import as_encoder_outputs
from hired.pack import project
from hired.selectors import Selection, Selector
from hired.shapes.questions import KINDS, Question, content, draw
from hired.shapes.scenes import SPLITS, STREAMS, Scene, render, scene_for
from hired.vision import Vision
from hired.wrapper import look

LONGEST, SHORTEST = 110, 32
"""New tokens at most: of a description (six objects take 80), and of any other answer."""


def ask_about(
    split: str, index: int, seed: int = 0, stream: str = "test"
) -> tuple[Scene, list[Question]]:
    """Poster `index` of a stream and one question of every kind that it offers."""
    rng = np.random.default_rng([STREAMS[stream], SPLITS[split], seed, index, 9])
    scene = scene_for(stream, split, seed, index)
    return scene, draw(scene, rng, list(KINDS))


def is_right(reply: str, question: Question) -> bool:
    """Exact match on the words that carry the answer's content."""
    return content(reply) == content(question.answer)


def new_tokens(question: Question) -> int:
    """How long an answer may become."""
    return LONGEST if question.kind == "describe" else SHORTEST


def prompt_rows(
    processor: Any, questions: Sequence[Question], placeholders: int
) -> list[list[int]]:
    """Token ids of the prompts about one image, not padded."""
    texts = [
        processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": q.text}]}],
            add_generation_prompt=True,
        ).replace(processor.image_token, processor.image_token * placeholders)
        for q in questions
    ]
    return processor.tokenizer(texts)["input_ids"]


@torch.no_grad()
def answer_all(
    model: Any,
    processor: Any,
    seen: Sequence[tuple[Vision, Selection]],
    questions: Sequence[Sequence[Question]],
) -> list[list[str]]:
    """Greedy answers to the questions about each of some images.

    Every image is projected and read by the language model once, however many questions it has:
    the chat template puts it before them, so they share its part of the KV cache.

    Args:
        model, processor: stock; only read.
        seen: what the tower saw of each image and what is kept of it.
        questions: about each image, one at least.
    """
    features = project(model, *zip(*seen, strict=True))
    rows = [prompt_rows(processor, q, len(f)) for q, f in zip(questions, features, strict=True)]
    image_id = model.config.image_token_id
    ends = [len(ids[0]) - ids[0][::-1].index(image_id) for ids in rows]
    pad = partial(processor.tokenizer.pad, padding_side="left", return_tensors="pt")
    heads = pad({"input_ids": [ids[0][:end] for ids, end in zip(rows, ends, strict=True)]})
    heads = heads.to(model.device)
    cache = _read_images(model, heads, features)
    replies = [[""] * len(asked) for asked in questions]
    places = [(image, row) for image, asked in enumerate(questions) for row in range(len(asked))]
    for limit in (SHORTEST, LONGEST):
        mine = [(image, row) for image, row in places if new_tokens(questions[image][row]) == limit]
        if not mine:
            continue
        images = torch.tensor([image for image, _ in mine], device=model.device)
        tails = pad({"input_ids": [rows[image][row][ends[image] :] for image, row in mine]})
        tails = tails.to(model.device)
        both = {name: torch.cat([heads[name][images], tails[name]], dim=1) for name in tails}
        shared = copy.deepcopy(cache)
        shared.batch_select_indices(images)
        output = model.generate(
            **both, past_key_values=shared, max_new_tokens=limit, do_sample=False
        )
        new = output[:, both["input_ids"].shape[1] :]
        texts = processor.batch_decode(new, skip_special_tokens=True)
        for (image, row), text in zip(mine, texts, strict=True):
            replies[image][row] = text.strip()
    return replies


def _read_images(model: Any, heads: Any, features: list[Tensor]) -> Any:
    """KV cache of the left-padded prompts' beginnings, up to the last token of the image."""
    mask = heads["attention_mask"]
    output = model(
        **heads,
        position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0),
        mm_encoder_outputs=as_encoder_outputs(features),
        use_cache=True,
        logits_to_keep=1,
    )
    return output.past_key_values


def answer(
    model: Any,
    processor: Any,
    scene: Scene,
    questions: Sequence[Question],
    selector: Selector,
    scale: int = 1,
) -> tuple[list[str], int]:
    """Greedy answers to questions about one poster, and the visual tokens it took."""
    picture = render(scene, scale)
    images = processor.image_processor(picture, return_tensors="pt").to(model.device)
    seen = look(model, images["pixel_values"], images["image_sizes"], selector)
    [replies] = answer_all(model, processor, seen, [questions])
    return replies, seen[0][1].visual_tokens
