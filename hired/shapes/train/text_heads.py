"""The vision stage's targets for a tower that reads: per patch and for the CLS token."""

import torch
from torch import nn
from torch.nn import functional as F

from hired.shapes.lexicon import BLANK, FORM_NAMES, SLOTS, WORDS
from hired.shapes.train.clip_init import FEATURE_BLOCK, LAYERS, WIDTH
from hired.shapes.train.closing import Asking
from hired.shapes.train.document_tiles import MARK_CLASS, UNREADABLE_TEXT
from hired.shapes.train.tile_targets import IGNORE

SIZES = {"word": UNREADABLE_TEXT + 1, "form": len(FORM_NAMES), "slots": SLOTS * (BLANK + 1)}
BAG = len(WORDS) + SLOTS * 10 + 2
"""CLS targets: words present, digits present in each slot of a number, counts of both."""
READ_FROM = 2
"""First block whose CLS is asked for words and digits: before it no patch can have read them."""
NEAR_BLOCK = 2
"""Block whose patches are asked for single characters."""
COUNT_SCALE = 5.0
"""Words and numbers are counted in fives, so that a full tile does not outweigh all else."""


class TextHeads(nn.Module):
    """Read-outs for text, thrown away after training."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.near_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.patch = nn.ModuleDict({name: nn.Linear(WIDTH, n) for name, n in SIZES.items()})
        self.near = nn.Linear(WIDTH, 2 * (MARK_CLASS + 1))
        self.state = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, BAG)) for _ in range(LAYERS)
        )
        self.fetched = nn.ModuleList(nn.Linear(WIDTH, BAG) for _ in range(LAYERS))


def sparse_entropy(logits: torch.Tensor, target: torch.Tensor, nothing: float) -> torch.Tensor:
    """Cross entropy of (..., C) logits over what is not `IGNORE`; class 0 weighs `nothing`."""
    loss = F.cross_entropy(logits.flatten(0, -2), target.flatten(), ignore_index=IGNORE,
                           reduction="none")  # fmt: skip
    weight = torch.where(target.flatten() == 0, nothing, 1.0) * (target.flatten() != IGNORE)
    return (loss * weight).sum() / (weight.sum() + 1)


def patch_losses(heads: TextHeads, states: list[torch.Tensor], batch: dict) -> dict:
    """Losses of what is written under each patch, from the states (B, 1 + N, D) of the blocks."""
    x = heads.norm(states[FEATURE_BLOCK][:, 1:])
    near = heads.near(heads.near_norm(states[NEAR_BLOCK][:, 1:])).unflatten(-1, (2, -1))
    slots = heads.patch["slots"](x).unflatten(-1, (SLOTS, -1))
    return {
        "word": sparse_entropy(heads.patch["word"](x), batch["word"], 0.15),
        "slots": sparse_entropy(slots, batch["slots"], 1.0),
        "form": sparse_entropy(heads.patch["form"](x), batch["form"], 1.0),
        "near": sparse_entropy(near, batch["near"], 0.15),
    }


def bag_loss(logits: torch.Tensor, batch: dict, reads: bool) -> torch.Tensor:
    """Loss of one CLS read-out (B, BAG): how many words and numbers, and if it `reads`, which."""
    words, figures, texts = logits.split((len(WORDS), SLOTS * 10, 2), -1)
    loss = F.smooth_l1_loss(texts, batch["texts"] / COUNT_SCALE)
    if not reads:
        return loss
    weight = logits.new_tensor(5.0)
    readable = (~batch["overview"]).to(logits.dtype)[:, None]
    for part, name, more in ((words, "words", weight), (figures, "figures", weight / 2)):
        each = F.binary_cross_entropy_with_logits(part, batch[name], pos_weight=more,
                                                  reduction="none")  # fmt: skip
        loss = loss + (each * readable).sum() / (readable.sum() * part.shape[1] + 1)
    return loss


def text_loss(
    heads: TextHeads,
    states: list[torch.Tensor],
    fetched: list[torch.Tensor],
    batch: dict,
    asking: Asking,
) -> tuple[torch.Tensor, dict[str, float]]:
    """Total loss of all that is written on a batch's tiles, and its parts."""
    patch = patch_losses(heads, states, batch)
    on = asking.tiles(batch["texts"].sum(1))
    pages = {name: value[on] for name, value in batch.items()}
    states, fetched = [s[on, 0] for s in states], [f[on] for f in fetched]
    bags = [bag_loss(heads.state[i](s), pages, i >= READ_FROM) for i, s in enumerate(states)]
    pulls = [bag_loss(heads.fetched[i](f), pages, i > READ_FROM) for i, f in enumerate(fetched)]
    weights = {"word": 2.0, "slots": 3.0, "form": 0.5, "near": 3.0}
    total = sum(weights[name] * loss for name, loss in patch.items())
    total = total + 0.3 * bags[0] + 0.12 * sum(bags[1:])
    total = total + sum(share * pull for share, pull in zip(asking.shares, pulls, strict=False))
    parts = {name: loss.item() for name, loss in patch.items()}
    return total, parts | {"text_pull": pulls[FEATURE_BLOCK].item()}


@torch.no_grad()
def reading(heads: TextHeads, states: list[torch.Tensor], batch: dict) -> dict[str, list[int]]:
    """The reading of the feature block's patches: [right, all] for words, digits, numbers whole.

    A patch counts where a readable word or number covers a quarter of it.
    """
    x = heads.norm(states[FEATURE_BLOCK][:, 1:])
    word, slots = batch["word"], batch["slots"]
    is_word = (word > 0) & (word <= len(WORDS))
    named = heads.patch["word"](x).argmax(-1)
    read = heads.patch["slots"](x).unflatten(-1, (SLOTS, -1)).argmax(-1)
    digit, number = (slots >= 0) & (slots < BLANK), slots[..., 0] != IGNORE
    form = heads.patch["form"](x).argmax(-1) == batch["form"]
    whole = ((read == slots).all(-1) & form)[number]
    good = {
        "words": (named == word)[is_word],
        "digits": (read == slots)[digit],
        "numbers": whole,
    }
    return {name: [int(right.sum()), right.numel()] for name, right in good.items()}
