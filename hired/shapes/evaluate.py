"""Questions on test pictures, answered by any method.

Questions about a picture share its tower pass and its selection (neither depends on a question),
and many are answered in one greedy batch, by the same stages that `HiredModel` runs.
"""

import copy
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from hired.clip import read_tower
from hired.encode import Vision
from hired.errors import SettingError
from hired.generate import CACHE, as_encoder_outputs
from hired.pack import place_tokens, project
from hired.selectors import Selection, Selector
from hired.selectors.random import Random
from hired.shapes.pictures import Picture, ask_about, render
from hired.shapes.questions import Question
from hired.shapes.scoring import asks_which, content, sentences
from hired.wrapper import look

NAMES = ("input_ids", "attention_mask")
LONGEST, SHORTEST = 110, 32
"""Most new tokens of an answer that names objects (six take 60), and of any other."""

PICTURES = 8
"""Pictures whose questions `evaluate` asks at once."""


def is_right(reply: str, question: Question) -> bool:
    """Test whether the words that carry the answer's content match exactly; those of a description
    object by object in any order, so that no object may have another's digit, and so of a count
    whose things are asked for. Who declines has to say what there is to be asked about instead.
    """
    if question.kind in ("unknown", "foreign"):
        return reply.strip() == question.answer
    if question.kind == "describe" or asks_which(question):
        told, known = (list(map(_objects, sentences(text))) for text in (reply, question.answer))
        return told == known
    return content(reply) == content(question.answer)


def _objects(listing: str) -> list[tuple[str, ...]]:
    return sorted(map(content, re.split(r",| and ", listing)))


def new_tokens(question: Question) -> int:
    """The most tokens that an answer may have."""
    return LONGEST if question.kind in ("count", "describe") else SHORTEST


def drawn_for(selector: Selector, index: int) -> Selector:
    """The selector for picture `index`; one that draws by chance draws anew for each picture."""
    if isinstance(selector, Random):
        return replace(selector, seed=selector.seed + index)
    return selector


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
    kept = [selection for _, selection in seen]
    places = place_tokens(heads["input_ids"], heads["attention_mask"], kept, image_id)
    cache = _read_images(model, heads, places, features)
    replies = [[""] * len(asked) for asked in questions]
    asked_at = [(image, row) for image, asked in enumerate(questions) for row in range(len(asked))]
    for limit in (SHORTEST, LONGEST):
        mine = [
            (image, row) for image, row in asked_at if new_tokens(questions[image][row]) == limit
        ]
        if not mine:
            continue
        images = torch.tensor([image for image, _ in mine], device=model.device)
        tails = pad({"input_ids": [rows[i][row][ends[i] :] for i, row in mine]}).to(model.device)
        both = {name: torch.cat([heads[name][images], tails[name]], dim=1) for name in NAMES}
        ids, mask = (both[name] for name in NAMES)
        places = place_tokens(ids, mask, [kept[image] for image, _ in mine], image_id)
        if places is not None:
            both["position_ids"] = places
        shared = copy.deepcopy(cache)
        shared.batch_select_indices(images)
        output = model.generate(**both, **{CACHE: shared}, max_new_tokens=limit, do_sample=False)
        new = output[:, both["input_ids"].shape[1] :]
        texts = processor.batch_decode(new, skip_special_tokens=True)
        for (image, row), text in zip(mine, texts, strict=True):
            replies[image][row] = text.strip()
    return replies


def _read_images(model: Any, heads: Any, places: Tensor | None, features: list[Tensor]) -> Any:
    """KV cache of the left-padded prompts' beginnings, up to the last token of the image."""
    if places is None:
        places = (heads["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)
    output = model(
        **heads,
        position_ids=places,
        mm_encoder_outputs=as_encoder_outputs(features),
        use_cache=True,
        logits_to_keep=1,
    )
    return output[CACHE]


def answer(
    model: Any,
    processor: Any,
    picture: Picture,
    questions: Sequence[Question],
    selector: Selector,
    scale: int = 1,
) -> tuple[list[str], int]:
    """Greedy answers to questions about one picture, and the visual tokens it took."""
    seen = _look_at(model, processor, picture, selector, scale)
    [replies] = answer_all(model, processor, [seen], [questions])
    return replies, seen[1].visual_tokens


def _look_at(
    model: Any, processor: Any, picture: Picture, selector: Selector, scale: int = 1
) -> tuple[Vision, Selection]:
    """The tower's output for one picture, and the selection from it."""
    images = processor.image_processor(render(picture, scale), return_tensors="pt").to(model.device)
    [seen] = look(read_tower(model), images["pixel_values"], images["image_sizes"], selector)
    return seen


def evaluate(
    model: Any,
    processor: Any,
    selector: Selector,
    split: str = "sparse",
    limit: int = 2000,
    seed: int = 0,
    tell: Callable[[int], object] = lambda more: None,
) -> dict[str, Any]:
    """Accuracy of one method on the first `limit` questions of a test stream.

    Args:
        model, processor: stock; only read.
        selector: the method and its settings.
        split: one of `TESTED`.
        limit: questions, one at least; pictures have one of every kind that they offer.
        seed: of the test stream.
        tell: called with the number of questions answered since the last call.

    Returns:
        "accuracy" and "by_kind" as shares of 1, "questions", "visual_tokens_mean" per question.

    Raises:
        SettingError: no questions, or a layer or head does not exist.
    """
    if limit < 1:
        raise SettingError(f"The limit counts questions, one at least; got {limit}.")
    tally: dict[str, list[int]] = {}
    index = asked = tokens = 0
    while asked < limit:
        pictures = [ask_about(split, index + more, seed) for more in range(PICTURES)]
        index += PICTURES
        seen, questions, before = [], [], asked
        for number, (picture, many) in enumerate(pictures, index - PICTURES):
            if many := many[: limit - asked]:
                seen.append(_look_at(model, processor, picture, drawn_for(selector, number)))
                questions.append(many)
                asked += len(many)
                tokens += len(many) * seen[-1][1].visual_tokens
        _count(tally, questions, answer_all(model, processor, seen, questions))
        tell(asked - before)
    return {
        "accuracy": round(sum(right for right, _ in tally.values()) / asked, 4),
        "by_kind": {kind: round(right / n, 4) for kind, (right, n) in tally.items()},
        "questions": asked,
        "visual_tokens_mean": round(tokens / asked, 2),
    }


def _count(
    tally: dict[str, list[int]], asked: list[list[Question]], replies: list[list[str]]
) -> None:
    """Add right answers and questions to the tally of each kind."""
    for many, said in zip(asked, replies, strict=True):
        for question, reply in zip(many, said, strict=True):
            pair = tally.setdefault(question.kind, [0, 0])
            pair[0] += is_right(reply, question)
            pair[1] += 1
