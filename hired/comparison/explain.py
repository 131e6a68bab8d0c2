"""The attention of an answer's words on the image, and how much of it a method keeps.

Asked for after a run, never during one. The stock model writes the answer (or reads one that is
given); of every word it is told where on the image its attention lay, and of every method which
share of that lies on the patches it keeps.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from hired.ambient import on_cpu
from hired.comparison.gaze import attention_rows
from hired.comparison.preview import Preview
from hired.comparison.run import device_turn
from hired.errors import InputError
from hired.generate import generate
from hired.images import open_image
from hired.inputs import prepare
from hired.metrics import MemoryProbe, Stopwatch
from hired.pack import NEWLINE, Packed, pack, sequence
from hired.selectors import Selection, Selector, as_selector, candidate_mask
from hired.settings import NEW_TOKENS
from hired.stock import unwrap
from hired.tiles import TileGrid

WORD = re.compile(r"\w+(?:[^\w\s]\w+)*")
SINK = 10.0  # times the mean patch's attention: in every word, or of the CLS token


@dataclass(frozen=True, eq=False)
class Word:
    """One word of an answer and where the model looked when it wrote it.

    Attributes:
        text: the word, without punctuation.
        weights: (T, N) float32, attention on each patch; sums to 1, newlines left out.
        on_image: share of all the word's attention that lies on the image's patches.
    """

    text: str
    weights: Tensor
    on_image: float

    def coverage(self, mask: Tensor, without: Tensor | None = None) -> float:
        """Share of the attention on the image that lies on the patches of `mask`.

        Args:
            mask: bool (T, N), what a method keeps.
            without: bool (T, N), patches to leave out of both sides, such as sinks.
        """
        weights = self.weights if without is None else self.weights.masked_fill(without, 0.0)
        total = float(weights.sum())
        return float(weights[mask].sum()) / total if total > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Explanation:
    """The patches behind each word of the stock model's answer, and the share that methods keep.

    Attributes:
        answer: text.
        grid: where the tiles lie.
        words: of the answer, in order.
        kept: method, with its settings as text -> bool (T, N), the patches it keeps.
        cls: (T, N) float32, attention of the CLS token in the layer that feeds the projector.
        tokens: of the answer, an end token included.
        seconds: what the two passes over prompt and answer took.
        peak_bytes: memory above the resting level meanwhile.
    """

    answer: str
    grid: TileGrid
    words: tuple[Word, ...]
    kept: dict[str, Tensor]
    cls: Tensor
    tokens: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0

    @property
    def sinks(self) -> Tensor:
        """Patches that get `SINK` times the mean patch's attention in every word, bool (T, N).

        What draws attention whatever is written says nothing of the word (arXiv 2503.03321). One
        word alone cannot tell them.
        """
        if len(self.words) < 2:
            return torch.zeros(self.grid.tiles, self.grid.patches, dtype=torch.bool)
        least = torch.stack([word.weights for word in self.words]).amin(0)
        return least * self.grid.candidates >= SINK

    @property
    def outliers(self) -> Tensor:
        """Candidates with `SINK` times the mean CLS attention of those in their tile, which the
        answer looked at less than at the mean patch, bool (T, N): most likely background (DAMRO,
        arXiv 2410.04514).
        """
        looked = torch.stack([word.weights for word in self.words]).mean(0)
        there = candidate_mask(self.grid)
        mean = self.cls.sum(1, keepdim=True) / there.sum(1, keepdim=True).clamp(min=1)
        high = there & (self.cls >= SINK * mean)
        return high & (looked * self.grid.candidates < 1)

    def coverage(self, method: str, sinks: bool = True) -> float:
        """Share of the answer's attention that a method keeps, mean over its words.

        Args:
            method: one of `kept`.
            sinks: whether these count.
        """
        without = None if sinks else self.sinks
        shares = [word.coverage(self.kept[method], without) for word in self.words]
        return sum(shares) / len(shares)

    def shares(self, method: str) -> tuple[tuple[str, float], ...]:
        """Every word and the share of its attention that a method keeps."""
        return tuple((word.text, word.coverage(self.kept[method])) for word in self.words)

    def _count(self, marked: Tensor) -> dict[str, int]:
        """Count the marked patches, and those of them that each method keeps."""
        each = {method: int((mask & marked).sum()) for method, mask in self.kept.items()}
        return {"all": int(marked.sum()), **each}

    def as_dict(self) -> dict[str, Any]:
        """All of it but the maps as plain data, for JSON."""
        return {
            "answer": self.answer,
            "visual_tokens": self.grid.stock,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 3),
            "peak_bytes": self.peak_bytes,
            "sinks": self._count(self.sinks),
            "outliers": self._count(self.outliers),
            "coverage": {method: round(self.coverage(method), 4) for method in self.kept},
            "coverage_without_sinks": {
                method: round(self.coverage(method, sinks=False), 4) for method in self.kept
            },
            "words": [
                {
                    "word": word.text,
                    "on_image": round(word.on_image, 4),
                    "coverage": {m: round(word.coverage(mask), 4) for m, mask in self.kept.items()},
                }
                for word in self.words
            ],
        }


@on_cpu
def explain(
    model: Any,
    processor: Any,
    image: Any,
    question: str,
    methods: Sequence[Selector | str] = ("hired",),
    *,
    reader: Selector | str = "full",
    answer: Sequence[int] | None = None,
    max_new_tokens: int = NEW_TOKENS,
    eye: Preview | None = None,
) -> Explanation:
    """Explain the stock model's answer by what it looked at, and tell what methods keep of that.

    Args:
        model, processor: stock; only read.
        image: a PIL image, a path or the bytes of a file.
        question: text of the user.
        methods: selectors, or lines such as `hired:budget=20%`.
        reader: whose answer it is, the stock model's by default; another method's words can have
            looked only at what it keeps.
        answer: token ids of the answer; None to have it written here, greedily.
        max_new_tokens: of an answer that is written here.
        eye: what looked at this image already, if anything did.

    Raises:
        InputError: image or question cannot be used, or the answer has no words.
        ModelError: attention of a kind that cannot be read.
        SettingError: no such method, setting, layer or head.
    """
    selectors, picture = [as_selector(method) for method in methods], open_image(image)
    eye = eye or Preview(model, processor)
    stock, selection = unwrap(model), eye.select(picture, as_selector(reader))
    asked = prepare(processor, eye.tower.fit, picture, question)
    vision = eye.look(picture)  # it may wait for the device itself: not while it is held here
    watch = Stopwatch(eye.device)
    with device_turn(None), torch.inference_mode():
        packed = pack(stock, asked.input_ids, None, [vision], [selection])  # no padding to mask
        if answer is None:
            limit = {"max_new_tokens": max_new_tokens}
            answer = generate(stock, packed, _ignore, lambda: False, **limit).tokens
        with MemoryProbe(eye.device) as probe, watch.phase("explain"):
            words = read_words(stock, processor.tokenizer, packed, selection, answer)
    candidates = candidate_mask(selection.grid)
    cls = eye.attention(picture, eye.feature_tap).masked_fill(~candidates, 0.0)
    kept = {one.text: eye.select(picture, one).mask & candidates for one in selectors}
    text = processor.tokenizer.decode(answer, skip_special_tokens=True).strip()
    cost = len(answer), watch.seconds["explain"], probe.peak_bytes
    return Explanation(text, selection.grid, words, kept, cls, *cost)


def read_words(
    model: Any, tokenizer: Any, packed: Packed, selection: Selection, answer: Sequence[int]
) -> tuple[Word, ...]:
    """The words of an answer with their maps; a word of several tokens has their mean.

    Args:
        model, tokenizer: stock.
        packed: the prompt with what is kept of its one image.
        selection: what is kept of it.
        answer: token ids.

    Raises:
        InputError: the answer has no words.
    """
    parts = split_words(tokenizer, answer)
    if not parts:
        raise InputError("There is no answer to explain: it has no words.")
    grid, order = selection.grid, sequence(selection)
    places = (packed.input_ids[0].cpu() == model.config.image_token_id).nonzero()[:, 0]
    patches = order != NEWLINE
    rows = attention_rows(model, packed, answer, places[patches])
    words = []
    for text, tokens in parts:
        on_image = rows[tokens].mean(0)
        weights = torch.zeros(grid.nominal, dtype=torch.float32)
        weights[order[patches]] = on_image / on_image.sum().clamp(min=1e-30)
        words.append(Word(text, weights.view(grid.tiles, grid.patches), float(on_image.sum())))
    return tuple(words)


def split_words(tokenizer: Any, answer: Sequence[int]) -> list[tuple[str, list[int]]]:
    """Words as (text, numbers of their tokens); punctuation and special tokens belong to none."""
    ends = [0]
    for count in range(1, len(answer) + 1):
        ends.append(len(tokenizer.decode(list(answer[:count]), skip_special_tokens=True)))
    text = tokenizer.decode(list(answer), skip_special_tokens=True)
    words = []
    for found in WORD.finditer(text):
        spans = enumerate(pairwise(ends))
        mine = [i for i, (low, high) in spans if max(low, found.start()) < min(high, found.end())]
        if mine:
            words.append((found[0], mine))
    return words


def _ignore(*_: Any) -> None:
    """Drop a token: this answer is not shown while it is written."""
