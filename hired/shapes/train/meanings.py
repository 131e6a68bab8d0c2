"""Word embeddings of what patches show: the projector's first goal, and what lines are named by."""

from dataclasses import dataclass

import torch
from transformers import LlavaNextForConditionalGeneration, PreTrainedTokenizerBase

from hired.shapes.lexicon import BLANK, NAMES, SLOTS, WORDS
from hired.shapes.questions import COLUMNS, ROWS
from hired.shapes.sprites import COLOUR_NAMES, SHAPES
from hired.shapes.train.llama_init import MARK
from hired.shapes.train.tile_targets import UNREADABLE
from hired.shapes.words import UNREADABLE_WORD

MARKS = ("shapes", "items")
"""Words of what can be counted: in the middle of an object, and of a line's name."""


def slot_table(table: torch.Tensor, digits: list[int]) -> torch.Tensor:
    """Embeddings of a digit in each slot of a number: (SLOTS, BLANK + 1, E).

    The last slot has the digits' own embeddings, each slot before it the same ones turned along
    the channels, so that 4.50 and 5.40 differ; an empty slot is nothing.
    """
    own = torch.cat([table[digits], torch.zeros_like(table[:1])])
    turned = torch.stack([own.roll(31 * (SLOTS - 1 - slot), -1) for slot in range(SLOTS)])
    turned[..., MARK] = 0
    return turned


class Rows:
    """Rows of the embedding table by their words."""

    def __init__(self, table: torch.Tensor, tokenizer: PreTrainedTokenizerBase) -> None:
        self.table, self.vocabulary = table, tokenizer.get_vocab()

    def ids(self, words: tuple[str, ...]) -> list[int]:
        """Token ids of the words."""
        return [self.vocabulary[word] for word in words]

    def __call__(self, words: tuple[str, ...]) -> torch.Tensor:
        """Embeddings (len(words), E)."""
        return self.table[self.ids(words)]


def unmarked(model: LlavaNextForConditionalGeneration) -> torch.Tensor:
    """The embedding table as it is now, without the channel that marks words."""
    table = model.model.language_model.embed_tokens.weight.detach().clone()
    table[:, MARK] = 0
    return table


@dataclass(frozen=True)
class Tables:
    """Embeddings of what visual tokens are asked to tell, (words, E) each: the words of documents,
    `MARKS`, the thirds of a poster.
    """

    words: torch.Tensor
    marks: torch.Tensor
    columns: torch.Tensor
    rows: torch.Tensor

    @classmethod
    def of(
        cls, model: LlavaNextForConditionalGeneration, tokenizer: PreTrainedTokenizerBase
    ) -> "Tables":
        """Those that the model has now; no gradient flows into them."""
        embed = Rows(unmarked(model), tokenizer)
        return cls(*(embed(words) for words in (WORDS, MARKS, COLUMNS, ROWS)))


def text_meanings(rows: Rows, batch: dict) -> torch.Tensor:
    """Embed what each patch shows: the word or the digits of the number, (B, N, E); in the middle
    of a line's name an item, so that lines can be counted.
    """
    nothing = torch.zeros_like(rows.table[:1])
    words = torch.cat([nothing, rows(WORDS), nothing, rows((UNREADABLE_WORD,))])
    total = words[batch["word"].clamp(min=0)]
    slots = slot_table(rows.table, rows.ids(tuple("0123456789")))
    for slot in range(SLOTS):
        digit = batch["slots"][..., slot]
        total = total + 0.7 * slots[slot][torch.where(digit < 0, BLANK, digit)]
    named = (batch["word"] > 0) & (batch["word"] <= len(NAMES))
    return total + rows(MARKS[1:])[0] * (batch["middle"] * named)[..., None]


def meanings(model: LlavaNextForConditionalGeneration, tokenizer: PreTrainedTokenizerBase,
             batch: dict) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Sum the word embeddings of what lies under each patch, (B, N, E), with a mask of the
    patches where that is known.
    """
    rows = Rows(unmarked(model), tokenizer)
    nothing = torch.zeros_like(rows.table[:1])
    on = batch["colour"] > 0
    sure = (batch["colour"] >= 0) & (batch["shape"] >= 0) & (batch["word"] >= 0)
    sure &= ~on | (batch["digit"] >= 0)
    total = torch.cat([nothing, rows(COLOUR_NAMES)])[batch["colour"].clamp(min=0)]
    total = total + torch.cat([nothing, rows(SHAPES)])[batch["shape"].clamp(min=0)]
    digits = torch.cat([rows(tuple("0123456789")), rows((UNREADABLE_WORD,))])
    total = total + digits[batch["digit"].clamp(0, UNREADABLE)] * on[..., None]
    total = total + rows(MARKS)[0] * batch["centre"][..., None]
    total = total + text_meanings(rows, batch)
    third = (batch["xy"] * 3).long().clamp(0, 2)
    # An empty patch is no zero: the norm would blow its noise up to the size of an object.
    total = total + 2 * rows(("paper",))[0] * (~on & (batch["word"] == 0))[..., None]
    place = rows(COLUMNS)[third[..., 0]] + rows(ROWS)[third[..., 1]]
    return total + place * (on & batch["overview"][:, None])[..., None], sure
