"""Initial values of projector and Llama: heads that look back and heads that look alike.

From a random start, finding "blue star" among 600 visual tokens is not learned in an hour on two
cores: after 70,000 questions the answers were still guesses among what is on the poster. From this
start it is learned in minutes. It is only a start: every value is trained on.
"""

from typing import Any

import torch
from transformers import LlavaNextForConditionalGeneration, PreTrainedTokenizerBase

from hired.shapes.sprites import SHAPES
from hired.shapes.train.assemble import WIDTH

MARK = 0
"""The channel that tells words from visual tokens at the start."""


def pair_words(table: torch.Tensor, ids: dict[str, int]) -> None:
    """Words of one meaning start alike: plurals, capitals, spellings (in place)."""
    twins = [(s, s + "s") for s in SHAPES] + [("digit", "number"), ("colour", "color")]
    twins += [("poster", "picture"), ("poster", "image"), ("items", "trains"), ("items", "bars")]
    twins += [(str(digit), f"##{digit}") for digit in range(10)]
    twins += [(w, w[0].upper() + w[1:]) for w in ids if w.islower() and w.isalpha()]
    for word, twin in twins:
        if word in ids and twin in ids and len(twin) > 1:
            table[ids[twin]] = table[ids[word]] + 0.1 * torch.randn_like(table[ids[word]])


def copy_content(attention: Any, gain: float, frame: torch.Tensor) -> None:
    """Let the heads together hand on what they look at: values and output are one rotation."""
    attention.v_proj.weight.copy_(gain * frame)
    attention.o_proj.weight.copy_(frame.T)


def look_back(attention: Any, heads: range, size: int) -> None:
    """Heads that begin by averaging the last few words of the text (rotary waves decide)."""
    for head in heads:
        for weight in (attention.q_proj.weight, attention.k_proj.weight):
            weight[head * size : (head + 1) * size] = 0
            weight[head * size + torch.arange(3, 8), MARK] = 0.73
            weight[head * size + size // 2 - 1, MARK] = 2.1


def look_alike(attention: Any, heads: range, size: int) -> None:
    """Heads that begin by finding the visual tokens whose content resembles the text's."""
    half = size // 2
    slow = torch.cat([torch.arange(half // 2, half), torch.arange(half + half // 2, size)])
    for head in heads:
        rows = torch.linalg.qr(torch.randn(WIDTH, len(slow)))[0].T * 1.73
        rows[:, MARK] = 0
        for weight, sign in ((attention.q_proj.weight, 1.0), (attention.k_proj.weight, -1.0)):
            weight[head * size : (head + 1) * size] = 0
            weight[head * size + slow] = rows
            weight[head * size + half - 1] = 0
            weight[head * size + half - 1, MARK] = 4.0 * sign


@torch.no_grad()
def start(model: LlavaNextForConditionalGeneration, tokenizer: PreTrainedTokenizerBase) -> None:
    """Initial values of projector and Llama.

    One channel marks words. The first block's heads average the last
    words, the second's find visual tokens that resemble them and hand on their content; the third
    does half of each. All of it is only a start, and trained on like the rest.
    """
    llama = model.model.language_model
    for name, parameter in llama.named_parameters():
        if parameter.ndim == 2 and "layers" in name:
            torch.nn.init.normal_(parameter, std=0.04)
            if "o_proj" in name or "down_proj" in name:
                parameter *= 0.35
    table = llama.embed_tokens.weight
    torch.nn.init.normal_(table, std=0.5)
    pair_words(table, tokenizer.get_vocab())
    table[:, MARK] = 1.5
    model.lm_head.weight.copy_(table * 0.06)
    model.lm_head.weight[:, MARK] = 0
    torch.nn.init.normal_(model.model.image_newline, std=1.0)
    model.model.image_newline[MARK] = 0
    size = llama.layers[0].self_attn.head_dim
    heads = WIDTH // size
    for index, gain in ((0, 2.5), (1, 1.5), (2, 1.5)):
        frame = torch.linalg.qr(torch.randn(WIDTH, WIDTH))[0]
        frame[:, MARK] = 0
        copy_content(llama.layers[index].self_attn, gain, frame)
    look_back(llama.layers[0].self_attn, range(heads), size)
    look_alike(llama.layers[1].self_attn, range(heads), size)
    look_back(llama.layers[2].self_attn, range(heads // 2), size)
    look_alike(llama.layers[2].self_attn, range(heads // 2, heads), size)
