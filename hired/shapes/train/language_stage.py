"""The language stage: the tower is frozen; projector and Llama learn to answer.

First the projector is aligned: what it makes of a patch should resemble the sum of the word
embeddings of what lies under the patch. Then projector and Llama learn questions and answers, in
a first lesson on pictures of one tile, then on whole anyres pictures, at every length the stock
sequence has and at no other. Visual tokens learn to tell what belongs to them.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed
from torch.nn import functional as F
from tqdm import tqdm
from transformers import LlavaNextForConditionalGeneration, PreTrainedTokenizerBase

from hired.shapes.documents import Document
from hired.shapes.pictures import draw, offered
from hired.shapes.questions import Question
from hired.shapes.scenes import STREAMS
from hired.shapes.train.batches import Batches
from hired.shapes.train.checkpoints import Journal, load_checkpoint, resume, save_checkpoint
from hired.shapes.train.meanings import Tables, meanings
from hired.shapes.train.optimiser import Optimiser
from hired.shapes.train.packed_questions import Pages, Spelling, answer_loss, lay_out, read, score
from hired.shapes.train.schedule import Course, LanguageSchedule, rate
from hired.shapes.train.seen import Seen, shuffled_batches
from hired.shapes.train.token_targets import TokenHead, Told, token_loss
from hired.shapes.train.vision_stage import drawn, half

CHECK_EVERY = 200
"""Steps between two looks at held-out answers."""
MATRICES = ("v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""What Muon trains of a block."""
SHARES = {
    "digit": 4.0,
    "colour": 2.0,
    "shape": 2.5,
    "where": 4.0,
    "exists": 3.0,
    "count": 6.0,
    "compare": 4.0,
    "absent": 2.0,
    "unknown": 2.5,
    "foreign": 1.0,
}
"""How often each kind is asked of a poster; `describe` is asked for every poster besides."""
PAGE_SHARES = {
    "price": 5.0,
    "costs": 4.0,
    "total": 2.0,
    "items": 4.0,
    "leaves": 4.0,
    "platform": 4.0,
    "goes": 4.0,
    "value": 5.0,
    "highest": 3.0,
    "exists": 2.0,
    "line": 4.0,
    "absent": 3.5,
    "unknown": 2.5,
}
"""How often each kind is asked of a document that offers it."""
ORDER = 78
"""Part of the seed of the pictures' order and of what is asked about them."""
COUNTS = ("count", "items")
"""Kinds that ask for a number of things, which are learnt last."""


def average(parameters: list[torch.nn.Parameter]) -> None:
    """Average the gradients over all processes; alone, do nothing."""
    if processes() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= processes()
    at = 0
    for gradient in gradients:
        gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
        at += gradient.numel()


def processes() -> int:
    """Number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Number of this process among those that train together."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def align(model: LlavaNextForConditionalGeneration, tokenizer: PreTrainedTokenizerBase,
          plan: LanguageSchedule, seed: int, log: Callable[[str], None],
          workers: int) -> None:  # fmt: skip
    """The alignment start: regress the projector onto word-embedding sums of tiles that `workers`
    processes draw.
    """
    projector, steps = model.model.multi_modal_projector, plan.align
    adam = torch.optim.AdamW(projector.parameters(), lr=3e-3, weight_decay=0.0)
    stream = drawn(
        Batches(seed + 900 + rank(), 16, documents=8 * plan.reads), range(steps), workers
    )
    for step, host in enumerate(stream):
        batch = {name: value.to(model.device) for name, value in host.items()}
        for group in adam.param_groups:
            group["lr"] = rate(step * 4, steps * 4, 3e-3)
        with torch.no_grad():
            states = model.model.vision_tower(batch["pixels"], output_hidden_states=True)
            features = states.hidden_states[model.config.vision_feature_layer][:, 1:]
            goal, sure = meanings(model, tokenizer, batch)
        seen = (batch["colour"] > 0) | (batch["word"] > 0)
        weight = torch.where(seen, 1.0, 0.2) * sure
        error = F.mse_loss(projector(features), goal, reduction="none").mean(-1)
        loss = (error * weight).sum() / weight.sum()
        adam.zero_grad()
        loss.backward()
        average(list(projector.parameters()))
        adam.step()
        if (step + 1) % 25 == 0 and rank() == 0:
            log(json.dumps({"align": step + 1, "loss": round(loss.item(), 4)}))


def ask_all(
    pictures: list[Seen], rng: np.random.Generator, many: int, counts: float = 1.0
) -> list[list[Question]]:
    """`many` random questions for each picture, kinds by `SHARES`; to count is asked `counts` times
    as often. Kinds that a document lacks are not drawn; those that a poster lacks are left out.
    """
    asked = []
    for picture in (one.picture for one in pictures):
        page = isinstance(picture, Document)
        shares = PAGE_SHARES if page else SHARES
        kinds = offered(picture, rng, shares) if page else list(shares)
        chances = np.array([shares[kind] * (counts if kind in COUNTS else 1) for kind in kinds])
        chosen = [kinds[i] for i in rng.choice(len(kinds), many, p=chances / chances.sum())]
        asked.append(draw(picture, rng, chosen if page else [*chosen, "describe"]))
    return asked


def validate(model: LlavaNextForConditionalGeneration, seen: list[Seen],
             spelling: Spelling) -> dict[str, float]:  # fmt: skip
    """Share of questions answered exactly right, per kind and in all (greedy)."""
    rng = np.random.default_rng(5)
    sums: dict[str, list[int]] = {}
    ordered = sorted(seen, key=lambda one: len(one.order))
    for start in range(0, len(ordered), 8):
        part = ordered[start : start + 8]
        questions = ask_all(part, rng, 16)
        for kind, (good, total) in score(model, part, questions, spelling).items():
            pair = sums.setdefault(kind, [0, 0])
            pair[0] += good
            pair[1] += total
    report = {kind: round(good / total, 3) for kind, (good, total) in sorted(sums.items())}
    report["all"] = round(sum(g for g, _ in sums.values()) / sum(t for _, t in sums.values()), 4)
    return report


def learnable(model: LlavaNextForConditionalGeneration) -> list[tuple[str, torch.nn.Parameter]]:
    """Everything but the tower, by name."""
    return [(name, p) for name, p in model.named_parameters() if "vision_tower" not in name]


def steps_of(seen: list[Seen], course: Course, seed: int, spelling: Spelling,
             first: int = 0) -> Iterator[tuple[Pages, Told]]:  # fmt: skip
    """Endless batches of this process's share of a step, with fresh questions, from `first` on."""
    entropy = [STREAMS["train"], ORDER, seed, rank()]
    size = course.size // processes()
    for step, batch in enumerate(shuffled_batches(seen, size, entropy, first), first):
        rng = np.random.default_rng([*entropy, 1, step])
        asked = ask_all(batch, rng, course.many, course.counts)
        yield lay_out(batch, asked, spelling), Told.batch(batch)


def losses(
    model: LlavaNextForConditionalGeneration,
    head: TokenHead,
    tokenizer: PreTrainedTokenizerBase,
    pages: Pages,
    told: Told,
    spelling: Spelling,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses of the answers and of what visual tokens tell."""
    pages = pages.to(model.device)
    hidden, heard = read(model, pages, spelling)
    scores = head(heard, Tables.of(model, tokenizer))
    return answer_loss(model, pages, hidden), token_loss(scores, told.to(model.device))


def train(
    model: LlavaNextForConditionalGeneration,
    head: TokenHead,
    tokenizer: PreTrainedTokenizerBase,
    seen: list[Seen],
    held_out: list[Seen],
    path: Path,
    course: Course,
    seed: int = 0,
    log: Callable[[str], None] = lambda line: None,
    start: str = "",
) -> None:
    """Train projector, Llama and head by the course, on from the checkpoint at `path` if it exists.

    Writes the checkpoint about every three minutes and lines beside it, to `.jsonl`. Where several
    processes train together, `seen` is this process's own share. `start` names what the
    run began with: the checkpoint remembers it.
    """
    spelling, steps = Spelling(tokenizer), course.steps
    model.model.vision_tower.requires_grad_(False)
    optimiser = Optimiser([*learnable(model), *head.named_parameters()], MATRICES, decay=0.01)
    whole: dict[str, Any] = {"model": model, "head": head, "optimiser": optimiser}
    first = resume(load_checkpoint(path, seed, start), whole)
    journal = Journal(path.with_suffix(".jsonl"), 20, log, first) if rank() == 0 else None
    check = partial(checked, model, held_out, spelling)
    source = steps_of(seen, course, seed, spelling, first)
    left = tqdm(range(first, steps), path.stem, steps, initial=first, disable=rank() > 0 or None)
    for step, (pages, targets) in zip(left, source, strict=False):
        optimiser.rate(rate(step, steps, course.peak, course.fall))
        with half(model.device):
            loss, told = losses(model, head, tokenizer, pages, targets, spelling)
        optimiser.zero_grad()
        (loss + course.told * told).backward()
        average(optimiser.parameters)
        optimiser.step(longest=1.0)
        if journal is None:
            continue
        last = step + 1 == steps
        more = check if last or (step + 1) % CHECK_EVERY == 0 else dict
        journal.add(step + 1, {"loss": loss.item(), "told": told.item()}, more, last)
        if journal.due(last):
            save_checkpoint(path, step + 1, seed, start, **whole)


def checked(*arguments: Any) -> dict[str, Any]:
    """The held-out accuracies as a field of a journal line; takes what `validate` takes."""
    return {"held_out": validate(*arguments)}
