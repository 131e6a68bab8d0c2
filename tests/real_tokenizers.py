"""Real tokenizers, cut to their first 4,000 merges, on tiny models of the backbones LLaVA has.

`mistral_v1.txt` and `tekken_v3.txt` hold the first entries of Mistral's sentencepiece model and of
its byte-level BPE; `tokenizers/README.md` tells where they are from. What surrounds them is as in
the repositories of llava-hf: the space before a text, byte fallback, BOS by post-processor.
"""

from base64 import b64decode
from functools import cache
from pathlib import Path

import torch
from conftest import PATCH, PINPOINTS, TILE, make_configs
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from transformers import (
    CLIPImageProcessorPil,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from hired.inputs import build_processor

FOLDER = Path(__file__).parent / "tokenizers"
CONTENT = (
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
)
LOOP = "{% for message in messages %}"
VICUNA = LOOP + "{{ message['role'].upper() }}: " + CONTENT + " {% endfor %}ASSISTANT:"
MISTRAL = "{{ bos_token }}" + LOOP + "[INST] " + CONTENT + " [/INST]{% endfor %}"
LLAMA3 = (
    "{{ bos_token }}" + LOOP + "<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    + CONTENT + "<|eot_id|>{% endfor %}<|start_header_id|>assistant<|end_header_id|>\n\n"
)  # fmt: skip
QWEN2 = (
    LOOP + "<|im_start|>{{ message['role'] }}\n" + CONTENT
    + "<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)  # fmt: skip
# backbone -> (architecture, tokenizer, template, bos, eos, further control tokens)
BACKBONES = {
    "vicuna": ("llama", "sentencepiece", VICUNA, "<s>", "</s>", []),
    "mistral": ("mistral", "sentencepiece", MISTRAL, "<s>", "</s>", []),
    "llama3": (
        "llama", "bpe", LLAMA3, "<|begin_of_text|>", "<|eot_id|>",
        ["<|start_header_id|>", "<|end_header_id|>"],
    ),
    "qwen2": ("qwen2", "bpe", QWEN2, None, "<|im_end|>", ["<|im_start|>"]),
    "llava-1.5": ("llama", "sentencepiece", VICUNA, "<s>", "</s>", []),
}  # fmt: skip


def merges_of(vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    """The pairs that make each entry, in the order of the entries, as sentencepiece ranks them."""
    merges = []
    for word in vocabulary:
        pairs = [(word[:cut], word[cut:]) for cut in range(1, len(word))]
        known = [pair for pair in pairs if pair[0] in vocabulary and pair[1] in vocabulary]
        merges += sorted(known, key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
    return merges


def read_sentencepiece() -> Tokenizer:
    """Mistral's first tokenizer, which Llama 2's and Vicuna's resemble."""
    singles, words = (FOLDER / "mistral_v1.txt").read_text("utf-8").strip("\n").split("\n\n")
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    plain = {word: index for index, word in enumerate([*singles.split("\n"), *words.split("\n")])}
    vocabulary = {name: index for index, name in enumerate([*names, *plain])}
    model = models.BPE(
        vocabulary, merges_of(plain), unk_token="<unk>", fuse_unk=True, byte_fallback=True
    )
    engine = Tokenizer(model)
    engine.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    engine.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1),
        ]
    )
    return engine


def read_bpe() -> Tokenizer:
    """Mistral's Tekken, which is built as Llama 3's and Qwen's are."""
    pattern, *entries = (FOLDER / "tekken_v3.txt").read_text("utf-8").strip("\n").split("\n")
    letters = dict(zip(_byte_order(), sorted(pre_tokenizers.ByteLevel.alphabet()), strict=True))
    vocabulary = {
        "".join(letters[byte] for byte in b64decode(entry)): index
        for index, entry in enumerate(entries)
    }
    engine = Tokenizer(models.BPE(vocabulary, merges_of(vocabulary), ignore_merges=True))
    engine.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    engine.decoder = decoders.ByteLevel()
    return engine


def _byte_order() -> list[int]:
    """Bytes in the order of the letters that stand for them: printable ones for themselves."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return printable + [byte for byte in range(256) if byte not in printable]


def make_tokenizer(backbone: str) -> PreTrainedTokenizerFast:
    """The tokenizer as the repository of that backbone sets it up."""
    _, kind, _, bos, eos, more = BACKBONES[backbone]
    engine = read_sentencepiece() if kind == "sentencepiece" else read_bpe()
    names = [name for name in (bos, eos, *more, "<image>", "<pad>") if name]
    engine.add_special_tokens([AddedToken(name, normalized=False) for name in names])
    if bos:
        pairs = [(bos, engine.token_to_id(bos))]
        engine.post_processor = processors.TemplateProcessing(f"{bos} $A", f"{bos} $A $B", pairs)
    return PreTrainedTokenizerFast(
        tokenizer_object=engine,
        bos_token=bos,
        eos_token=eos,
        unk_token="<unk>" if kind == "sentencepiece" else None,
        pad_token="<pad>",
        padding_side="left",
        additional_special_tokens=["<image>", *more],
        clean_up_tokenization_spaces=False,
    )


@cache
def make_real(backbone: str):
    """A tiny random model of a backbone with a real tokenizer, its processor and template."""
    text, _, template, *_ = BACKBONES[backbone]
    tokenizer = make_tokenizer(backbone)
    vision, language = make_configs(text, 4, len(tokenizer))
    language.bos_token_id, language.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    language.pad_token_id = tokenizer.pad_token_id
    if backbone == "llama3":
        language.rope_parameters = {
            "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 512,
        }  # fmt: skip
    shared = {
        "vision_config": vision, "text_config": language,
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
    }  # fmt: skip
    torch.manual_seed(0)
    processor = build_processor(tokenizer, TILE, PATCH, PINPOINTS, chat_template=template)
    if backbone == "llava-1.5":
        model = LlavaForConditionalGeneration(LlavaConfig(**shared))
        size, crop = {"shortest_edge": TILE}, {"height": TILE, "width": TILE}
        processor = LlavaProcessor(
            image_processor=CLIPImageProcessorPil(size=size, crop_size=crop),
            tokenizer=tokenizer,
            patch_size=PATCH,
            vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
            chat_template=template,
        )
    else:
        model = LlavaNextForConditionalGeneration(
            LlavaNextConfig(**shared, image_grid_pinpoints=PINPOINTS)
        )
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return model.eval(), processor
