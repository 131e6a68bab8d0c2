"""Accuracy against budget, measured: questions on test posters, answered by any method.

All questions about a poster share one tower pass and one selection (neither depends on the
question) and are answered in one greedy batch, by the same stages that `HiredModel` runs.
"""

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from hired.generate import as_encoder_outputs
from hired.pack import pack
from hired.selectors import Selector
from hired.shapes.questions import KINDS, Question, content, draw
from hired.shapes.scenes import SPLITS, STREAMS, Scene, render, scene_for
from hired.wrapper import look

LONGEST = 110
"""New tokens at most: six objects described take 80."""


def test_set(
    split: str, seed: int, limit: int, stream: str = "test"
) -> Iterator[tuple[Scene, list[Question]]]:
    """Posters of a stream with one question of every kind each, `limit` questions in all."""
    left, index = limit, 0
    while left > 0:
        rng = np.random.default_rng([STREAMS[stream], SPLITS[split], seed, index, 9])
        scene = scene_for(stream, split, seed, index)
        questions = draw(scene, rng, list(KINDS))[:left]
        yield scene, questions
        left -= len(questions)
        index += 1


def prompts(processor: Any, questions: Sequence[Question], placeholders: int) -> dict[str, Any]:
    """Left-padded `input_ids` and `attention_mask` (B, L) with expanded image placeholders."""
    texts = [
        processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": q.text}]}],
            add_generation_prompt=True,
        ).replace(processor.image_token, processor.image_token * placeholders)
        for q in questions
    ]
    tokenizer = processor.tokenizer
    return dict(tokenizer(texts, padding=True, padding_side="left", return_tensors="pt"))


@torch.no_grad()
def answer(
    model: Any,
    processor: Any,
    scene: Scene,
    questions: Sequence[Question],
    selector: Selector,
    scale: int = 1,
) -> tuple[list[str], int]:
    """Greedy answers to all questions about one poster, and the visual tokens it took."""
    picture = render(scene, scale)
    images = processor.image_processor(picture, return_tensors="pt").to(model.device)
    [(vision, selection)] = look(model, images["pixel_values"], images["image_sizes"], selector)
    replies = [""] * len(questions)
    for long in (False, True):
        rows = [i for i, q in enumerate(questions) if (q.kind == "describe") == long]
        if not rows:
            continue
        batch = prompts(processor, [questions[i] for i in rows], selection.stock)
        packed = pack(
            model,
            batch["input_ids"].to(model.device),
            batch["attention_mask"].to(model.device),
            [vision] * len(rows),
            [selection] * len(rows),
        )
        output = model.generate(
            input_ids=packed.input_ids,
            attention_mask=packed.attention_mask,
            mm_encoder_outputs=as_encoder_outputs(packed.features),
            max_new_tokens=LONGEST if long else 32,
            do_sample=False,
        )
        new = output[:, packed.input_ids.shape[1] :]
        for row, text in zip(
            rows, processor.batch_decode(new, skip_special_tokens=True), strict=True
        ):
            replies[row] = text.strip()
    return replies, selection.visual_tokens


def interval(right: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a share."""
    if total == 0:
        return 0.0, 1.0
    z, share = 1.96, right / total
    middle = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return round((middle - spread) / scale, 4), round((middle + spread) / scale, 4)


def evaluate(
    model: Any,
    processor: Any,
    selector: Selector,
    split: str = "sparse",
    limit: int = 2000,
    seed: int = 0,
    stream: str = "test",
    progress: Any = lambda posters: posters,
) -> dict[str, Any]:
    """Exact match on the answers' content words, in all and per kind of question.

    `progress` wraps the iterator of posters (a progress bar, say).
    """
    began = time.perf_counter()
    tally = {kind: [0, 0] for kind in KINDS}
    tokens, wrong = [], []
    for scene, questions in progress(test_set(split, seed, limit, stream)):
        replies, visual = answer(model, processor, scene, questions, selector)
        tokens += [visual] * len(questions)
        for question, reply in zip(questions, replies, strict=True):
            good = content(reply) == content(question.answer)
            tally[question.kind][0] += good
            tally[question.kind][1] += 1
            if not good and len(wrong) < 20:
                wrong.append([question.text, question.answer, reply])
    right, total = (sum(pair[i] for pair in tally.values()) for i in (0, 1))
    return {
        "split": split,
        "seed": seed,
        "method": selector.name,
        "accuracy": round(right / max(1, total), 4),
        "interval": interval(right, total),
        "by_kind": {k: round(r / t, 4) for k, (r, t) in tally.items() if t},
        "questions": total,
        "questions_by_kind": {k: t for k, (_, t) in tally.items() if t},
        "visual_tokens_mean": round(float(np.mean(tokens)), 2) if tokens else 0.0,
        "seconds": round(time.perf_counter() - began, 1),
        "wrong": wrong,
    }
