"""Targets per visual token by which the language model reads lines: the name before a number.

"What does bread cost?" takes two steps: a number's tokens hear from the word before them whose
price they are, then the question finds them by that word. The answers alone teach the first step
late: after 1,000 steps of the first lesson a page's first digits were still guesses among its
numbers, though a lone number was read. So it is asked for at every token, as the tower is asked
what lies under a patch: after the second block, tokens of a number name the word that they belong
to. It stands before them on every page, as attention is causal.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from hired.shapes.documents import Document, Word, word_patches
from hired.shapes.train.assemble import WIDTH
from hired.shapes.train.document_tiles import WORD_NUMBER
from hired.shapes.train.seen import Seen
from hired.shapes.train.text_heads import sparse_entropy
from hired.shapes.train.tile_targets import IGNORE, N

NOTHING = 0.05
"""Weight of a token that has nothing to tell, beside one that has."""


def partners(page: Document) -> list[tuple[int, int]]:
    """Pairs of a page's words by their places in `page.words`: a name, and a number of its."""
    found = []
    for row in page.rows:
        [name] = [i for i, word in enumerate(page.words) if word.text.lower() == row.name]
        found += [(name, _nearest(page.words, name, text)) for text in row.numbers]
    totals = [i for i, word in enumerate(page.words) if page.total and word.text == "Total"]
    return found + [(i, _nearest(page.words, i, page.total)) for i in totals]


def _nearest(words: Sequence[Word], name: int, text: str) -> int:
    """The word with this text that stands nearest to the name, above all by its line."""
    own = words[name]
    same = [i for i, word in enumerate(words) if word.text == text]
    return min(same, key=lambda i: 3 * abs(words[i].y - own.y) + abs(words[i].x - own.x))


def line_targets(picture: Seen) -> torch.Tensor:
    """Names (L,) that visual tokens are asked for: a word from 1 on, or 0."""
    page, order = picture.picture, picture.order.numpy()
    names = np.zeros(len(order), np.int64)
    if isinstance(page, Document):
        patches = word_patches(page)
        if order.max() >= N:  # crops tell it; the overview cannot be read
            patches[:, 0] = False
        under = patches.reshape(len(patches), -1)[:, order.clip(0)] & (order >= 0)
        for name, figure in partners(page):
            names[under[figure]] = WORD_NUMBER[page.words[name].text.lower()] + 1
    return torch.from_numpy(names)


def batch_targets(pictures: Sequence[Seen]) -> torch.Tensor:
    """Those of a batch, padded: (B, L)."""
    told = [line_targets(one) for one in pictures]
    return pad_sequence(told, batch_first=True, padding_value=IGNORE)


class LineHead(nn.Module):
    """A read-out in terms of the words' own embeddings, thrown away after training.

    What a token hears lies along the embedding of the word heard, where a question looks for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.1))
        self.nothing = nn.Linear(WIDTH, 1)

    def forward(self, visual: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Scores of names (B, L, 1 + len(WORDS)), of hidden states `visual` (B, L, E) and
        embeddings `words` (len(WORDS), E).
        """
        x = F.rms_norm(visual, (WIDTH,))
        return torch.cat([self.nothing(x), self.gain * x @ words.T], -1)


def line_loss(scores: torch.Tensor, names: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy of the names asked for; those of nothing weigh little."""
    return sparse_entropy(scores, names, NOTHING)
