"""Targets per visual token by which the language model reads lines: what stands before it there.

"What does bread cost?" takes two steps: a number's tokens hear from the word before them whose
price they are, then the question finds them by that word. The answers alone teach the first step
late: after 1,000 steps of the first lesson a page's first digits were still guesses among its
numbers, though a lone number was read. So it is asked for at every token, as the tower is asked
what lies under a patch: after the second block, tokens of a number name the word that stands on
their line before it, and tokens of a word the digits. Every document is laid out in the order of
reading, so the earlier of two is told to the later one, as attention is causal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from hired.shapes.documents import Document, Word, word_patches
from hired.shapes.lexicon import BLANK, SLOTS, number
from hired.shapes.train.assemble import WIDTH
from hired.shapes.train.document_tiles import WORD_NUMBER
from hired.shapes.train.seen import Seen
from hired.shapes.train.text_heads import sparse_entropy
from hired.shapes.train.tile_targets import IGNORE, N

LEVEL = 4
"""Words whose tops are less than this many px apart stand on one line."""
NOTHING = 0.05
"""Weight of a token that has nothing to tell, beside one that has."""


def partners(page: Document) -> list[tuple[int, int]]:
    """Pairs of a page's words that belong together, by their places in `page.words`: the earlier in
    reading order, then the later.
    """
    found = []
    for row in page.rows:
        [name] = [i for i, word in enumerate(page.words) if word.text.lower() == row.name]
        for text in row.numbers:
            found.append(_in_order(page.words, name, _nearest(page.words, name, text)))
    totals = [i for i, word in enumerate(page.words) if page.total and word.text == "Total"]
    return found + [(i, _nearest(page.words, i, page.total)) for i in totals]


def _nearest(words: Sequence[Word], name: int, text: str) -> int:
    """The word with this text that stands nearest to the name, above all by its line."""
    own = words[name]
    same = [i for i, word in enumerate(words) if word.text == text]
    return min(same, key=lambda i: 3 * abs(words[i].y - own.y) + abs(words[i].x - own.x))


def _in_order(words: Sequence[Word], one: int, other: int) -> tuple[int, int]:
    a, b = words[one], words[other]
    first = a.x < b.x if abs(a.y - b.y) < LEVEL else a.y < b.y
    return (one, other) if first else (other, one)


def line_targets(picture: Seen) -> tuple[np.ndarray, np.ndarray]:
    """Names (L,) and digits (L, SLOTS) that visual tokens are asked for: a word from 1 on or 0, and
    `IGNORE` where no digits are.
    """
    page, order = picture.picture, picture.order.numpy()
    names = np.zeros(len(order), np.int64)
    digits = np.full((len(order), SLOTS), IGNORE, np.int64)
    if not isinstance(page, Document):
        return names, digits
    patches = word_patches(page)
    if order.max() >= N:  # crops tell it; the overview cannot be read
        patches[:, 0] = False
    under = patches.reshape(len(patches), -1)[:, order.clip(0)] & (order >= 0)
    for early, late in partners(page):
        text = page.words[early].text
        if figures := number(text):
            digits[under[late]] = figures[1]
        else:
            names[under[late]] = WORD_NUMBER[text.lower()] + 1
    return names, digits


@dataclass(frozen=True)
class Lines:
    """The targets of a batch, padded: `names` (B, L) and `digits` (B, L, SLOTS)."""

    names: torch.Tensor
    digits: torch.Tensor

    @classmethod
    def of(cls, pictures: list[Seen]) -> "Lines":
        """Those of these pictures."""
        told = [line_targets(one) for one in pictures]
        names, digits = (
            [torch.from_numpy(part) for part in parts] for parts in zip(*told, strict=True)
        )
        padded = partial(pad_sequence, batch_first=True, padding_value=IGNORE)
        return cls(padded(names), padded(digits))

    def to(self, device: torch.device) -> "Lines":
        """The same on a device."""
        return Lines(self.names.to(device), self.digits.to(device))


class LineHeads(nn.Module):
    """Read-outs in terms of the words' own embeddings, thrown away after training.

    What a token hears lies along the embedding of the word heard, where a question looks for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((2,), 0.1))
        self.nothing = nn.Linear(WIDTH, 1)
        self.blank = nn.Linear(WIDTH, SLOTS)

    def forward(
        self, visual: torch.Tensor, words: torch.Tensor, slots: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores of names (B, L, 1 + len(WORDS)) and digits (B, L, SLOTS, BLANK + 1).

        `visual` (B, L, E) are hidden states, `words` (len(WORDS), E) and `slots`
        (SLOTS, BLANK + 1, E) embeddings.
        """
        x = F.rms_norm(visual, (WIDTH,))
        named = torch.cat([self.nothing(x), self.gain[0] * x @ words.T], -1)
        read = self.gain[1] * torch.einsum("bpe,sde->bpsd", x, slots[:, :BLANK])
        return named, torch.cat([read, self.blank(x)[..., None]], -1)


def line_loss(scores: tuple[torch.Tensor, torch.Tensor], lines: Lines) -> torch.Tensor:
    """Mean cross entropy of the names and of the digits asked for; 0 where none are."""
    named, read = scores
    names = sparse_entropy(named, lines.names, NOTHING)
    return names + sparse_entropy(read, lines.digits, 1.0)
