"""Targets per visual token of the language model: which name a number has, what is where.

"What does bread cost?" takes two steps: a number's tokens hear from the word before them whose
price they are, then the question finds them by that word. The answers alone teach the first step
late: after 1,000 steps of the first lesson a page's first digits were still guesses among its
numbers, though a lone number was read. So it is asked for at every token, as the tower is asked
what lies under a patch: after the second block, tokens of a number name the word that they belong
to. It stands before them on every page, as attention is causal.

For the same reason tokens of an object in the overview tell their place on the poster, and those in
the middle of an object or of a line's name that there is one to be counted: the projector begins
with both (`meanings`), and a lesson that never asked for them had wiped them out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from hired.shapes.documents import Document, line_words, showing_patches
from hired.shapes.lexicon import NAMES
from hired.shapes.scenes import Scene, patches_at, thing_patches
from hired.shapes.train.assemble import WIDTH
from hired.shapes.train.document_tiles import WORD_NUMBER
from hired.shapes.train.meanings import Tables
from hired.shapes.train.seen import Seen
from hired.shapes.train.text_heads import sparse_entropy
from hired.shapes.train.tile_targets import IGNORE, N

NOTHING = 0.05
"""Weight of a token that has nothing to tell, beside one that has."""
SHAPE, ITEM = 1, 2
"""Marks of what can be counted: `meanings.MARKS` from 1 on."""

NONE = (0, 0, IGNORE, IGNORE)
"""The fields of `Told` where there is nothing to tell."""


@dataclass(frozen=True)
class Told:
    """The targets of a picture, or of a batch of them, padded with `IGNORE`.

    `names` (…, L): a number's name, a word from 1 on, 0, or `IGNORE` under numbers of two lines.
    `marks` (…, L): `SHAPE` or `ITEM` where the middle of one is, or 0. `columns`, `rows` (…, L):
    the third of the poster, from 0 on, that holds the object under a patch of the overview; else
    `IGNORE`.
    """

    names: torch.Tensor
    marks: torch.Tensor
    columns: torch.Tensor
    rows: torch.Tensor

    @classmethod
    def of(cls, picture: Seen) -> "Told":
        """Those of a picture."""
        order = picture.order.numpy()
        # Crops tell what the overview of a page cannot; a picture of one tile has no other.
        crops = bool(order.max() >= N)
        shown = picture.picture
        found = _page(shown, crops) if isinstance(shown, Document) else _poster(shown)
        flat = (np.where(order < 0, nothing, part.ravel()[order.clip(0)])
                for part, nothing in zip(found, NONE, strict=True))  # fmt: skip
        return cls(*(torch.from_numpy(one) for one in flat))

    @classmethod
    def batch(cls, pictures: Sequence[Seen]) -> "Told":
        """Those of a batch, (B, L)."""
        told = [cls.of(one) for one in pictures]
        pad = partial(pad_sequence, batch_first=True, padding_value=IGNORE)
        return cls(*(pad([getattr(one, field.name) for one in told]) for field in fields(cls)))

    def to(self, device: torch.device) -> "Told":
        """The same on a device."""
        return Told(*(getattr(self, field.name).to(device) for field in fields(self)))


def _nothing(tiles: int) -> list[np.ndarray]:
    """Targets of patches that tell nothing, (tiles, N) each."""
    return [np.full((tiles, N), nothing, np.int64) for nothing in NONE]


def _page(page: Document, crops: bool) -> list[np.ndarray]:
    """Names, marks, columns and rows of a page's patches, (T, N) each."""
    under = showing_patches(page)
    found = _nothing(under.shape[1])
    under[:, 0] &= not crops
    for name, *figures in line_words(page):
        word = page.words[name]
        text = word.text.lower()
        numbers = np.any(under[figures], axis=0)
        found[0][numbers] = np.where(found[0][numbers] == 0, WORD_NUMBER[text] + 1, IGNORE)
        if text in NAMES:
            middle = np.array([[word.x + word.width / 2], [word.y + word.height / 2]])
            at = patches_at(page.width, page.height, *page.turned(*middle))
            found[1].ravel()[at[int(crops)]] = ITEM
    return found


def _poster(scene: Scene) -> list[np.ndarray]:
    """Names, marks, columns and rows of a poster's patches, (T, N) each."""
    rows, columns, *_ = scene.canvas()
    found = _nothing(1 + rows * columns)
    if not scene.things:
        return found
    for thing, patches in zip(scene.things, thing_patches(scene, 0.1), strict=True):
        x, y = thing.centre
        middle = np.array([[x], [y]])
        found[1].ravel()[np.concatenate(patches_at(scene.width, scene.height, *middle))] = SHAPE
        found[2][0][patches[0]] = int(3 * x / scene.width)
        found[3][0][patches[0]] = int(3 * y / scene.height)
    return found


class TokenHead(nn.Module):
    """A read-out in terms of the words' own embeddings, thrown away after training.

    What a token hears lies along the embedding of the word heard, where a question looks for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((3,), 0.1))
        self.nothing = nn.Linear(WIDTH, 2)

    def forward(self, visual: torch.Tensor, tables: Tables) -> list[torch.Tensor]:
        """Scores, (B, L, C) each, of `Told`'s fields, of hidden states `visual` (B, L, E)."""
        x = F.rms_norm(visual, (WIDTH,))
        nothing = self.nothing(x)
        return [
            torch.cat([nothing[..., :1], self.gain[0] * x @ tables.words.T], -1),
            torch.cat([nothing[..., 1:], self.gain[1] * x @ tables.marks.T], -1),
            self.gain[2] * x @ tables.columns.T,
            self.gain[2] * x @ tables.rows.T,
        ]


def token_loss(scores: list[torch.Tensor], told: Told) -> torch.Tensor:
    """Mean cross entropies of what is told, summed up; tokens with nothing to tell weigh little."""
    names, marks, columns, rows = scores
    loss = sparse_entropy(names, told.names, NOTHING) + sparse_entropy(marks, told.marks, NOTHING)
    return loss + sparse_entropy(columns, told.columns, 1.0) + sparse_entropy(rows, told.rows, 1.0)
