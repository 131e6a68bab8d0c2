"""The language stage: the tower is frozen; projector and Llama learn to answer.

First the projector is aligned: what it makes of a patch should resemble the sum of the word
embeddings of what lies under the patch. Then projector and Llama learn questions and answers on
whole anyres posters, at every length the stock sequence has and at no other.
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

from hired.shapes.batches import Batches
from hired.shapes.journal import Journal, load_checkpoint, save_checkpoint
from hired.shapes.llama_start import MARK
from hired.shapes.pictures import draw
from hired.shapes.posters import Poster, shuffled_batches
from hired.shapes.questions import COLUMNS, ROWS, Question
from hired.shapes.reader import Spelling, answer_loss, lay_out, score
from hired.shapes.sprites import COLOUR_NAMES, SHAPES
from hired.shapes.tiles import UNREADABLE
from hired.shapes.vision_stage import drawn, rate
from hired.shapes.words import UNREADABLE_WORD

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
}
"""How often each kind is asked; `describe` is asked for every poster besides."""


def average(parameters: list[torch.nn.Parameter]) -> None:
    """Average the gradients over all processes; alone, do nothing."""
    if not distributed.is_initialized():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    at = 0
    for gradient in gradients:
        gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
        at += gradient.numel()


def rank() -> int:
    """Number of this process among those that train together."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def meanings(model: LlavaNextForConditionalGeneration, tokenizer: PreTrainedTokenizerBase,
             batch: dict) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Per patch the sum of the word embeddings of what lies under it, (B, N, E), and a mask of
    the patches where that is known.
    """
    table = model.model.language_model.embed_tokens.weight.detach().clone()
    table[:, MARK] = 0
    nothing = torch.zeros(1, table.shape[1])

    def rows(words: tuple[str, ...]) -> torch.Tensor:
        return table[torch.tensor(tokenizer.convert_tokens_to_ids(list(words)))]

    on = batch["colour"] > 0
    sure = (batch["colour"] >= 0) & (batch["shape"] >= 0)
    sure &= ~on | (batch["digit"] >= 0)
    total = torch.cat([nothing, rows(COLOUR_NAMES)])[batch["colour"].clamp(min=0)]
    total = total + torch.cat([nothing, rows(SHAPES)])[batch["shape"].clamp(min=0)]
    digits = torch.cat([rows(tuple("0123456789")), rows((UNREADABLE_WORD,))])
    total = total + digits[batch["digit"].clamp(0, UNREADABLE)] * on[..., None]
    total = total + rows(("shapes",))[0] * batch["centre"][..., None]
    third = (batch["xy"] * 3).long().clamp(0, 2)
    # An empty patch is no zero: the norm would blow its noise up to the size of an object.
    total = total + 2 * rows(("paper",))[0] * ~on[..., None]
    place = rows(COLUMNS)[third[..., 0]] + rows(ROWS)[third[..., 1]]
    return total + place * (on & batch["overview"][:, None])[..., None], sure


def align(model: LlavaNextForConditionalGeneration, tokenizer: PreTrainedTokenizerBase,
          steps: int, seed: int, log: Callable[[str], None]) -> None:  # fmt: skip
    """The alignment start: regress the projector onto word-embedding sums."""
    projector = model.model.multi_modal_projector
    adam = torch.optim.AdamW(projector.parameters(), lr=3e-3, weight_decay=0.0)
    stream = drawn(Batches(seed + 900 + rank(), 16), range(steps))
    for step, batch in enumerate(stream):
        for group in adam.param_groups:
            group["lr"] = rate(step * 4, steps * 4, 3e-3)
        with torch.no_grad():
            states = model.model.vision_tower(batch["pixels"], output_hidden_states=True)
            features = states.hidden_states[model.config.vision_feature_layer][:, 1:]
            goal, sure = meanings(model, tokenizer, batch)
        weight = torch.where(batch["colour"] > 0, 1.0, 0.2) * sure
        error = F.mse_loss(projector(features), goal, reduction="none").mean(-1)
        loss = (error * weight).sum() / weight.sum()
        adam.zero_grad()
        loss.backward()
        average(list(projector.parameters()))
        adam.step()
        if (step + 1) % 25 == 0 and rank() == 0:
            log(json.dumps({"align": step + 1, "loss": round(loss.item(), 4)}))


def ask_all(posters: list[Poster], rng: np.random.Generator, many: int) -> list[list[Question]]:
    """`many` random questions for each poster, kinds by `SHARES`."""
    kinds = list(SHARES)
    chances = np.array(list(SHARES.values())) / sum(SHARES.values())
    asked = []
    for poster in posters:
        chosen = [kinds[i] for i in rng.choice(len(kinds), many, p=chances)]
        asked.append(draw(poster.scene, rng, [*chosen, "describe"]))
    return asked


def validate(model: LlavaNextForConditionalGeneration, posters: list[Poster],
             spelling: Spelling) -> dict[str, float]:  # fmt: skip
    """Share of questions answered exactly right, per kind and in all (greedy)."""
    rng = np.random.default_rng(5)
    sums: dict[str, list[int]] = {}
    ordered = sorted(posters, key=lambda p: len(p.newline))
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


def learnable(model: LlavaNextForConditionalGeneration) -> list[torch.nn.Parameter]:
    """Everything but the tower."""
    return [p for name, p in model.named_parameters() if "vision_tower" not in name]


def steps_of(posters: list[Poster], size: int, many: int, seed: int,
             spelling: Spelling, first: int = 0) -> Iterator:  # fmt: skip
    """Endless batches of posters with fresh questions, from step `first` on."""
    entropy = [3, seed, rank()]
    for step, batch in enumerate(shuffled_batches(posters, size, entropy, first), first):
        rng = np.random.default_rng([*entropy, 1, step])
        yield lay_out(batch, ask_all(batch, rng, many), spelling)


def train(
    model: LlavaNextForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    posters: list[Poster],
    held_out: list[Poster],
    folder: Path,
    steps: int,
    seed: int = 0,
    size: int = 8,
    many: int = 16,
    peak: float = 5e-4,
    log: Callable[[str], None] = lambda line: None,
    start: str = "",
) -> None:
    """Train projector and Llama for `steps` batches, on from `language.pt` if it exists.

    Writes `language.pt` about every three minutes and lines to `language.jsonl`. Where several
    processes train together, `posters`, `size` are this process's own share. `start` names the
    weights that the run began with: the checkpoint remembers it.
    """
    spelling = Spelling(tokenizer)
    parameters = learnable(model)
    model.model.vision_tower.requires_grad_(False)
    adam = torch.optim.AdamW(parameters, lr=peak, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    state, first = folder / "language.pt", 0
    if saved := load_checkpoint(state, seed, start):
        model.load_state_dict(saved["model"])
        adam.load_state_dict(saved["optimiser"])
        first = saved["step"]
    journal = Journal(folder / "language.jsonl", 20, log, first)
    check = partial(checked, model, held_out, spelling)
    source = steps_of(posters, size, many, seed, spelling, first)
    left = tqdm(range(first, steps), "language", steps, initial=first, disable=rank() > 0 or None)
    for step, pages in zip(left, source, strict=False):
        for group in adam.param_groups:
            group["lr"] = rate(step, steps, peak)
        loss = answer_loss(model, pages, spelling)
        adam.zero_grad()
        loss.backward()
        average(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
        if rank() > 0:
            continue
        last = step + 1 == steps
        more = check if last or (step + 1) % 100 == 0 else dict
        journal.add(step + 1, {"loss": loss.item()}, more, last)
        if journal.due(last):
            save_checkpoint(state, step + 1, seed, start, model=model, optimiser=adam)


def first_lesson(
    model: LlavaNextForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    tiles: list[Poster],
    steps: int,
    seed: int,
    log: Callable[[str], None],
) -> None:
    """Questions about posters of one tile: where looking things up by name is learned."""
    spelling, parameters = Spelling(tokenizer), learnable(model)
    adam = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01)
    source = steps_of(tiles, 8, 16, seed + 99, spelling)
    for step, pages in zip(range(steps), source, strict=False):
        for group in adam.param_groups:
            group["lr"] = 1e-3 * min(1, (step + 1) / 20)
        loss = answer_loss(model, pages, spelling)
        adam.zero_grad()
        loss.backward()
        average(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
        if (step + 1) % 20 == 0:
            log(json.dumps({"lesson": step + 1, "loss": round(loss.item(), 4)}))


def checked(*arguments: Any) -> dict[str, Any]:
    """The held-out accuracies as a field of a journal line; takes what `validate` takes."""
    return {"held_out": validate(*arguments)}
