"""The tokenizer: one token per word of the grammar, letters for everything else.

A word of up to 60 ASCII characters outside the vocabulary is spelled letter by letter (WordPiece
with all single letters), a number digit by digit with its marks (4, ##., ##5, ##0); longer ones and
other characters become `<unk>`.
"""

import re

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from hired.shapes.lexicon import CITIES, DAYS, WORDS
from hired.shapes.page_phrases import KNOWS_PAGES, PAGE_PHRASES
from hired.shapes.phrases import _TOPICS, ANSWERS_NOTHING, PHRASES, UNKNOWN
from hired.shapes.questions import COLUMNS, NUMBERS, ROWS
from hired.shapes.sprites import COLOUR_NAMES, SHAPES

PAD, BOS, EOS, UNK, IMAGE, USER, ASSISTANT = (
    "<pad>", "<s>", "</s>", "<unk>", "<image>", "<user>", "<assistant>"
)  # fmt: skip
SPECIAL = (PAD, BOS, EOS, UNK, IMAGE, USER, ASSISTANT)
UNREADABLE_WORD = "tiny"
"""Stands for an object too small to read in the alignment start."""
_ANSWERS = (
    "The shows the digit is are a an at and or on There no one Yes No not left right of above"
    " below higher lower further poster shapes shape with I see top middle bottom square corner"
    " yes true false none larger smaller bigger near between tiny number colours digits places"
    " upper centre center side picture image please thanks circles squares triangles diamonds"
    " stars hearts grey gray white brown cyan"
    " price cost costs train trains leaves goes from platform at for value highest bar bars line"
    " says It nothing items total words numbers page"
)
PARTS = r"[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[0-9]+(?:[.:][0-9]+)*%?|[^\sA-Za-z0-9]"
"""Words, numbers whole as they are written (4.50, 14:05, 45%), and single marks."""
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}<user> {% else %}<assistant> {% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% endif %}{% endfor %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %} {{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% else %} {% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def vocabulary() -> list[str]:
    """All tokens, in a fixed order: special ones, characters, their continuations, words."""
    characters = [chr(code) for code in range(33, 127)]
    texts = [_ANSWERS, ANSWERS_NOTHING, KNOWS_PAGES, *UNKNOWN]
    texts += [p for phrases in (PHRASES, PAGE_PHRASES) for many in phrases.values() for p in many]
    words = set(_TOPICS) | set(COLOUR_NAMES) | set(SHAPES) | set(NUMBERS) | set(COLUMNS) | set(ROWS)
    words |= {*WORDS, *(name.capitalize() for name in CITIES + DAYS)}
    for text in texts:
        found = re.findall(r"[A-Za-z]+", re.sub(r"\{\w+\}", "", text))
        words |= set(found) | {w.lower() for w in found}
        words |= {w[0].upper() + w[1:] for w in found[:1]}
    words -= set(characters)
    return [*SPECIAL, *characters, *("##" + c for c in characters), *sorted(words)]


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The stock fast tokenizer with its special tokens and the chat template."""
    tokens = vocabulary()
    tokenizer = Tokenizer(
        models.WordPiece(
            {t: i for i, t in enumerate(tokens)}, unk_token=UNK, max_input_chars_per_word=60
        )
    )
    tokenizer.normalizer = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PARTS), "removed", invert=True)
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNK,
        pad_token=PAD,
        additional_special_tokens=[IMAGE, USER, ASSISTANT],
        padding_side="left",
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast
