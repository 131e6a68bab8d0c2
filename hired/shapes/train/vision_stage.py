"""The vision stage: teach the tower to see, with targets per patch and for the CLS token.

CLIP's CLS token gathers content all the way up because a caption asks it to. Ours is asked in
every block: what the CLS attention fetches there (its attention output, before the residual sum)
and what the CLS token holds there must name all objects of the tile. Nothing supervises the
attention weights themselves, and no token is ever dropped.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm
from transformers import CLIPVisionModel

from hired.errors import ModelError
from hired.shapes.sprites import COLOUR_NAMES, SHAPES
from hired.shapes.train.batches import Batches, held_out_scraps
from hired.shapes.train.checkpoints import Journal, load_checkpoint, resume, save_checkpoint
from hired.shapes.train.clip_init import FEATURE_BLOCK, LAYERS, WIDTH, new_tower
from hired.shapes.train.closing import Asking, Fetch, blend, closing, plain
from hired.shapes.train.optimiser import Optimiser
from hired.shapes.train.schedule import VisionSchedule
from hired.shapes.train.text_heads import TextHeads, reading, text_loss
from hired.shapes.train.tile_targets import COMBOS, IGNORE, UNREADABLE

BAG = COMBOS + 10 + len(COLOUR_NAMES) + len(SHAPES) + 1
"""CLS targets: coloured shapes present, digits present, counts per colour and shape, and in all."""

CHECK_EVERY = 500
"""Steps between two looks at how the tower reads what training does not show."""

CPU = torch.device("cpu")
MATRICES = ("v_proj", "out_proj", "fc1", "fc2")
"""What Muon trains of a block."""
SLOW = ("q_proj", "k_proj", "position_embedding", "norm1", "pre_layrnorm", "patch_embedding")
"""What learns five times slower: at the full rate the neighbour heads of the start are gone within
500 steps.
"""


class Heads(nn.Module):
    """The stage's read-outs, thrown away after training: none of them is part of the model."""

    def __init__(self, reads: bool = False) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        sizes = {"shape": len(SHAPES) + 1, "colour": len(COLOUR_NAMES) + 1, "digit": 11}
        sizes |= {"centre": 1, "xy": 2}
        self.patch = nn.ModuleDict({name: nn.Linear(WIDTH, n) for name, n in sizes.items()})
        self.early = nn.ModuleDict(
            {name: nn.Linear(WIDTH, sizes[name]) for name in ("shape", "colour", "digit")}
        )
        self.early_norm = nn.LayerNorm(WIDTH)
        self.state = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, BAG)) for _ in range(LAYERS)
        )
        self.fetched = nn.ModuleList(nn.Linear(WIDTH, BAG) for _ in range(LAYERS))
        self.text = TextHeads() if reads else None


def run(
    tower: CLIPVisionModel, pixels: torch.Tensor, blocks: int, fetch: Fetch = plain
) -> tuple[list, list]:
    """Hidden states (B, 1 + N, D) after each of the first `blocks` blocks, and what the CLS
    attention fetched in each (B, D), read by `fetch`.
    """
    vision: Any = getattr(tower, "vision_model", tower)
    x = vision.pre_layrnorm(vision.embeddings(pixels))
    states, fetched = [], []
    for block in vision.encoder.layers[:blocks]:
        y = block.layer_norm1(x)
        gathered = block.self_attn(y)[0]
        x = x + gathered
        x = x + block.mlp(block.layer_norm2(x))
        states.append(x)
        fetched.append(fetch(block.self_attn, y, gathered))
    return states, fetched


def patch_losses(heads: Heads, x: torch.Tensor, batch: dict) -> dict[str, torch.Tensor]:
    """Losses of the patch targets on features `x` (B, N, D) of the feature layer."""
    x = heads.norm(x)
    losses = {}
    for name in ("shape", "colour"):
        loss = F.cross_entropy(heads.patch[name](x).flatten(0, 1), batch[name].flatten(),
                               ignore_index=IGNORE, reduction="none")  # fmt: skip
        weight = torch.where(batch[name].flatten() == 0, 0.15, 1.0)
        weight = weight * (batch[name].flatten() != IGNORE)
        losses[name] = (loss * weight).sum() / weight.sum()
    losses["digit"] = digit_loss(heads.patch["digit"](x), batch)
    losses["centre"] = F.binary_cross_entropy_with_logits(
        heads.patch["centre"](x)[..., 0], batch["centre"], pos_weight=x.new_tensor(4.0)
    )
    on = (batch["colour"] > 0).float()[..., None]
    error = (heads.patch["xy"](x) - batch["xy"]).abs() * on
    losses["xy"] = error.sum() / (2 * on.sum() + 1)
    return losses


def digit_loss(logits: torch.Tensor, batch: dict) -> torch.Tensor:
    """Cross entropy of the digit per patch; unreadable ones count for less."""
    target = batch["digit"].flatten()
    loss = F.cross_entropy(logits.flatten(0, 1), target, ignore_index=IGNORE, reduction="none")
    weight = torch.where(target == UNREADABLE, 0.3, 1.0) * (target != IGNORE)
    return (loss * weight).sum() / (weight.sum() + 1)


def early_loss(heads: Heads, x: torch.Tensor, batch: dict) -> torch.Tensor:
    """Patch targets on an earlier block: a shorter way for the gradient."""
    x = heads.early_norm(x)
    loss = digit_loss(heads.early["digit"](x), batch)
    for name in ("shape", "colour"):
        logits = heads.early[name](x).flatten(0, 1)
        loss = loss + 0.5 * F.cross_entropy(logits, batch[name].flatten(), ignore_index=IGNORE)
    return loss


def bag_loss(logits: torch.Tensor, batch: dict, digits: bool) -> torch.Tensor:
    """Loss of one CLS read-out (B, BAG): which coloured shapes and digits, and how many."""
    combos = batch["combos"]
    parts = (COMBOS, 10, len(COLOUR_NAMES), len(SHAPES), 1)
    has, shows, tints, kinds, total = logits.split(parts, -1)
    weight = logits.new_tensor(5.0)
    loss = 2 * F.binary_cross_entropy_with_logits(has, (combos > 0).float(), pos_weight=weight)
    if digits:
        shown = (batch["digits"] > 0).float()
        loss = loss + F.binary_cross_entropy_with_logits(shows, shown, pos_weight=weight / 2)
    grid = combos.view(-1, len(COLOUR_NAMES), len(SHAPES))
    loss = loss + F.smooth_l1_loss(tints, grid.sum(2)) + F.smooth_l1_loss(kinds, grid.sum(1))
    return loss + 0.2 * F.smooth_l1_loss(total[:, 0], batch["count"].float())


def step_loss(
    tower: CLIPVisionModel, heads: Heads, batch: dict, blocks: int, asking: Asking
) -> tuple[torch.Tensor, dict[str, float]]:
    """Total loss of a batch and its parts."""
    states, fetched = run(tower, batch["pixels"], blocks, asking.fetch)
    patch = patch_losses(heads, states[FEATURE_BLOCK][:, 1:], asking.batch(batch))
    on = asking.tiles(batch["count"])
    posters = {name: value[on] for name, value in batch.items()}
    bags = [bag_loss(heads.state[i](s[on, 0]), posters, i >= 2) for i, s in enumerate(states)]
    pulls = [bag_loss(heads.fetched[i](f[on]), posters, i >= 3) for i, f in enumerate(fetched)]
    early = early_loss(heads, states[2][:, 1:], batch)
    weights = {"shape": 1.2, "colour": 1.0, "digit": 3.0, "centre": 0.5, "xy": 1.0}
    total = sum(weights[k] * v for k, v in patch.items()) + 0.3 * early
    total = total + 0.3 * bags[0] + 0.12 * sum(bags[1:])
    total = total + sum(s * p for s, p in zip(asking.shares, pulls, strict=False))
    parts = {k: v.item() for k, v in patch.items()}
    parts |= {"bag": bags[FEATURE_BLOCK].item(), "pull": pulls[FEATURE_BLOCK].item()}
    parts |= {"bag0": bags[0].item()}
    if heads.text is not None:
        written, more = text_loss(heads.text, states, fetched, batch, asking)
        return total + written, parts | more
    return total, parts


def half(device: torch.device) -> torch.autocast:
    """Products in bfloat16, sums and weights in float32: the same on every device."""
    return torch.autocast(device.type, torch.bfloat16)


def to_tensors(batch: dict) -> dict[str, torch.Tensor]:
    """A numpy batch as tensors."""
    return {name: torch.from_numpy(value) for name, value in batch.items()}


class Stream(torch.utils.data.Dataset):
    """`Batches` as tensors, drawn in worker processes."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        return to_tensors(self.batches[step])


def drawn(batches: Batches, steps: range, workers: int = 1) -> Iterator[dict[str, torch.Tensor]]:
    """The batches of these steps, in order; `workers` processes draw ahead."""
    ahead: dict[str, Any] = {"prefetch_factor": 8} if workers else {}
    return iter(torch.utils.data.DataLoader(Stream(batches), batch_size=None, sampler=steps,
                                            num_workers=workers, **ahead))  # fmt: skip


def twice(
    batches: Iterable[dict[str, torch.Tensor]], apart: int
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield every batch, and again `apart` steps later, as drawing takes half a step's time."""
    kept: list[dict[str, torch.Tensor]] = []
    for batch in batches:
        kept.append(batch)
        yield batch
        if len(kept) == apart:
            yield from kept
            kept = []
    yield from kept


def take_step(
    whole: dict[str, Any], schedule: VisionSchedule, seed: int, step: int, batch: dict
) -> dict[str, float]:
    """One step of either course on `tower`, `heads` and `optimiser`; returns its losses."""
    tower, optimiser = whole["tower"], whole["optimiser"]
    optimiser.rate(schedule.rate(step))
    # The last block feeds nothing but its own CLS read-out: train it near the end only.
    blocks = LAYERS if step >= 0.9 * schedule.steps else LAYERS - 1
    asking = Asking()
    if step >= schedule.steps:
        asking = closing(schedule.noise_at(step), seed, step, tower.device)
    batch = {name: value.to(tower.device) for name, value in batch.items()}
    with half(tower.device):
        total, parts = step_loss(tower, whole["heads"], batch, blocks, asking)
    optimiser.zero_grad()
    total.backward()
    optimiser.step(longest=2.0)
    return parts


def batches_of(
    schedule: VisionSchedule, seed: int, first: int, workers: int
) -> Iterator[dict[str, torch.Tensor]]:
    """The schedule's batches from step `first` on."""
    switches = {"harder": schedule.harder // 2, "even": schedule.steps // 2}
    batches = Batches(seed, schedule.size, schedule.documents, **switches)
    round_of, shown = divmod(first, 2 * schedule.apart)
    fresh = drawn(batches, range(round_of * schedule.apart, schedule.length), workers)
    return islice(twice(fresh, schedule.apart), shown, None)


def train(
    folder: Path,
    schedule: VisionSchedule,
    seed: int = 0,
    device: torch.device = CPU,
    workers: int = 1,
    log: Callable[[str], None] = lambda line: None,
) -> CLIPVisionModel:
    """Train by the schedule, on from the checkpoint in `folder` if there is one.

    Writes `vision.pt` (tower, heads, optimiser, step, seed) and one line per 50 steps to
    `vision.jsonl`. A training that was interrupted ends with the same weights as one that was not.

    Raises:
        ModelError: the checkpoint is of another run, the weights before its closing course are
            missing, or a loss is not finite.
    """
    steps, start = schedule.length, str(schedule)
    state, before = folder / "vision.pt", folder / "before-closing.pt"
    saved = load_checkpoint(state, seed, start)  # another run's is refused before drawing
    tower = new_tower(seed, to_tensors(Batches(seed + 50, 64)[0])["pixels"])
    cast(nn.Module, tower).to(device)
    heads = Heads(reads=schedule.documents > 0).to(device)
    optimiser = Optimiser([*tower.named_parameters(), *heads.named_parameters()], MATRICES, SLOW)
    whole: dict[str, Any] = {"tower": tower, "heads": heads, "optimiser": optimiser}
    if (first := resume(saved, whole)) == steps:
        return tower
    if schedule.steps < first and not before.exists():
        raise ModelError(
            f"{state} is in the middle of its closing course, and {before}, the weights before "
            f"that, is missing. Bring the file back, or remove {state} to train the tower anew."
        )
    source = batches_of(schedule, seed, first, workers)
    journal = Journal(folder / "vision.jsonl", 50, log, first)
    check = partial(checked, tower, heads, seed)
    for step in tqdm(range(first, steps), "vision", steps, initial=first, disable=None):
        if step == schedule.steps:
            save_checkpoint(before, step, seed, start, tower=tower, heads=heads)
        parts = take_step(whole, schedule, seed, step, next(source))
        last = step + 1 == steps
        if last and schedule.closing:
            kept = load_checkpoint(before, seed, start)
            assert kept is not None
            blend({"tower": tower, "heads": heads}, kept, schedule.kept)
        more = check if heads.text and (last or (step + 1) % CHECK_EVERY == 0) else dict
        journal.add(step + 1, parts, more, last)
        if journal.due(last):
            save_checkpoint(state, step + 1, seed, start, **whole)
    return tower


@torch.no_grad()
def checked(tower: CLIPVisionModel, heads: Heads, seed: int, count: int = 48) -> dict[str, Any]:
    """Measure how well the tower reads fonts, sizes and grounds that no training page has, as a
    field of a journal line.
    """
    assert heads.text is not None
    device = next(tower.parameters()).device
    batch = {k: torch.from_numpy(v).to(device) for k, v in held_out_scraps(seed, count).items()}
    states, _ = run(tower, batch["pixels"], FEATURE_BLOCK + 1)
    found = reading(heads.text, states, batch)
    return {"held_out": {name: round(a / max(1, b), 4) for name, (a, b) in found.items()}}
