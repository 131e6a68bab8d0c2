"""Many questions about one poster in one pass, each as if it were the first and only one.

The visual prefix is computed once per poster. Every question with its answer follows the prefix
at the same positions, sees the prefix and itself and nothing of the other questions. The result
is what the stock model computes for each question alone (a test compares them); it only
costs a fraction.
"""

from dataclasses import dataclass, fields

import torch
from torch.nn import functional as F
from transformers import LlavaNextForConditionalGeneration, PreTrainedTokenizerBase
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from hired.shapes.questions import Question
from hired.shapes.scoring import CONTENT
from hired.shapes.train.attention import attend
from hired.shapes.train.seen import Seen

HEARD = 1
"""Block of the language model after which visual tokens are asked for what stands on their line."""


@dataclass(frozen=True)
class Pages:
    """A batch of posters with questions. B posters, P prefix tokens, S text tokens.

    `features` (B, P - 2, D) with `newline` (B, P - 2) and `length` (B,) real prefix tokens;
    `ids`, `positions`, `block` (B, S): token, offset inside its question, question number (-1 is
    padding); `labels` (B, S) next token of answers, -100 elsewhere; `weights` (B, S).
    """

    features: torch.Tensor
    newline: torch.Tensor
    length: torch.Tensor
    ids: torch.Tensor
    positions: torch.Tensor
    block: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor

    def to(self, device: torch.device) -> "Pages":
        """The same on a device."""
        return Pages(*(getattr(self, field.name).to(device) for field in fields(self)))


class Spelling:
    """Token ids of questions and answers, in the layout of the chat template."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        ids = tokenizer.get_vocab()
        self.user, self.assistant = ids["<user>"], ids["<assistant>"]
        self.start, self.stop = tokenizer.bos_token_id, tokenizer.eos_token_id
        heavy = [*CONTENT, *map(str.capitalize, CONTENT), "I", "There"]
        heavy += [f"##{digit}" for digit in range(10)]
        self.heavy = {ids[word] for word in heavy if word in ids}
        self.known: dict[str, list[int]] = {}

    def spell(self, text: str) -> list[int]:
        """Ids of a text; special tokens in it are not expected here."""
        if text not in self.known:
            self.known[text] = self.tokenizer(text, add_special_tokens=False).input_ids
        return self.known[text]

    def turn(self, question: Question) -> tuple[list[int], list[int], list[float]]:
        """Ids of one turn after the image, its labels and the labels' weights."""
        asked = [*self.spell(question.text), self.assistant]
        told = [*self.spell(question.answer), self.stop]
        ids = asked + told[:-1]
        labels = [-100] * (len(asked) - 1) + told
        weights = [3.0 if label in self.heavy else 1.0 for label in labels]
        return ids, labels, weights


def lay_out(pictures: list[Seen], questions: list[list[Question]], spelling: Spelling) -> Pages:
    """Stack posters and their questions into one padded batch."""
    longest = max(len(p.order) for p in pictures)
    rows = [[spelling.turn(q) for q in many] for many in questions]
    text = max(sum(len(ids) for ids, _, _ in row) for row in rows)
    size = len(pictures)
    features = torch.zeros(size, longest, pictures[0].features.shape[1])
    newline = torch.zeros(size, longest, dtype=torch.bool)
    long = {name: torch.zeros(size, text, dtype=torch.long) for name in ("ids", "positions")}
    block, labels = torch.full((size, text), -1), torch.full((size, text), -100)
    weights = torch.zeros(size, text)
    for b, (picture, row) in enumerate(zip(pictures, rows, strict=True)):
        features[b, : len(picture.order)] = picture.features.float()
        newline[b, : len(picture.order)] = picture.newline
        at = 0
        for number, (ids, marks, shares) in enumerate(row):
            part = slice(at, at + len(ids))
            long["ids"][b, part] = torch.tensor(ids)
            long["positions"][b, part] = torch.arange(len(ids))
            block[b, part] = number
            labels[b, part] = torch.tensor(marks)
            weights[b, part] = torch.tensor(shares)
            at += len(ids)
    length = torch.tensor([len(p.order) for p in pictures]) + 2
    return Pages(features, newline, length, long["ids"], long["positions"], block, labels, weights)


def read(
    model: LlavaNextForConditionalGeneration, pages: Pages, spelling: Spelling
) -> tuple[torch.Tensor, torch.Tensor]:
    """Last hidden states (after the final norm) of the text tokens, (B, S, E), and those of the
    visual tokens after block `HEARD`, (B, P - 2, E).
    """
    llama = model.model.language_model
    visual = model.model.multi_modal_projector(pages.features)
    visual = torch.where(pages.newline[..., None], model.model.image_newline, visual)
    opening = pages.ids.new_tensor([spelling.start, spelling.user]).expand(len(visual), 2)
    prefix = torch.cat([llama.embed_tokens(opening), visual], 1)
    text = llama.embed_tokens(pages.ids)
    size, start = len(prefix), prefix.shape[1]
    positions = torch.arange(start, device=prefix.device).expand(size, start)
    positions = torch.cat([positions, pages.length[:, None] + pages.positions], 1)
    cosine, sine = llama.rotary_emb(prefix, positions)
    real = torch.arange(start, device=prefix.device)[None] < pages.length[:, None]
    same = pages.block[:, :, None] == pages.block[:, None]
    mask = torch.cat([real[:, None].expand(-1, text.shape[1], -1), same.tril()], 2)[:, None]
    mask = torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, float("-inf"))
    x, heard = torch.cat([prefix, text], 1), visual
    for index, layer in enumerate(llama.layers):
        attention = layer.self_attn
        y = layer.input_layernorm(x)
        shape = (size, -1, model.config.get_text_config().num_attention_heads, attention.head_dim)
        key = attention.k_proj(y).view(shape).transpose(1, 2)
        value = attention.v_proj(y).view(shape).transpose(1, 2)
        last = index == len(llama.layers) - 1
        if last:
            y, x = y[:, start:], x[:, start:]
        query = attention.q_proj(y).view(shape).transpose(1, 2)
        if last:
            _, key = apply_rotary_pos_emb(key, key, cosine, sine)
            query, _ = apply_rotary_pos_emb(query, query, cosine[:, start:], sine[:, start:])
            out = attend(query, key, value, mask)
        else:
            query, key = apply_rotary_pos_emb(query, key, cosine, sine)
            before = attend(query[:, :, :start], key[:, :, :start], value[:, :, :start], None)
            out = torch.cat([before, attend(query[:, :, start:], key, value, mask)], 1)
        x = x + attention.o_proj(out)
        x = x + layer.mlp(layer.post_attention_layernorm(x))
        if index == HEARD:
            heard = x[:, 2:start]
    return llama.norm(x), heard


def answer_loss(
    model: LlavaNextForConditionalGeneration, pages: Pages, hidden: torch.Tensor
) -> torch.Tensor:
    """Weighted cross entropy of the answers' tokens, from the texts' last hidden states."""
    asked = pages.labels >= 0
    logits = model.lm_head(hidden[asked])
    loss = F.cross_entropy(logits, pages.labels[asked], reduction="none")
    return (loss * pages.weights[asked]).sum() / pages.weights[asked].sum()


@torch.no_grad()
def score(
    model: LlavaNextForConditionalGeneration,
    pictures: list[Seen],
    questions: list[list[Question]],
    spelling: Spelling,
) -> dict[str, tuple[int, int]]:
    """Count by kind the questions whose whole answer greedy decoding gets right, and all."""
    pages = lay_out(pictures, questions, spelling).to(model.device)
    hidden, _ = read(model, pages, spelling)
    asked = pages.labels >= 0
    right = torch.ones_like(asked)
    right[asked] = model.lm_head(hidden[asked]).argmax(-1) == pages.labels[asked]
    tally: dict[str, tuple[int, int]] = {}
    for b, many in enumerate(questions):
        for number, question in enumerate(many):
            good = bool(right[b][pages.block[b] == number].all())
            done, total = tally.get(question.kind, (0, 0))
            tally[question.kind] = (done + good, total + 1)
    return tally
