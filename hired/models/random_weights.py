"""LLaVA-NeXT with random weights, true to the shapes of 7B and 13B: for speed and memory only.

`random:7b` has the exact shapes of llava-v1.6-vicuna-7b; `random:7b/16` has a sixteenth of its
parameters. Scaling divides every width by √k and keeps every depth, all 16 ViT heads, the
128-wide language heads, the 576-patch partitions and the vocabulary, so the ratio of language to
vision FLOPs stays near that of the full model. The words it says are invented syllables, not
to be taken for an answer. Nothing here reads a file or the network.
"""

import itertools
import math
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hired.errors import ModelError
from hired.inputs import build_processor

PREFIX = "random:"
SIZES = {"7b": (32, 4096, 11008), "13b": (40, 5120, 13824)}  # layers, width, MLP of Vicuna
LARGEST_SCALE = 1024
HEAD_WIDTH = 128  # of the language model, at every scale
VIT_LAYERS, VIT_WIDTH, VIT_HEADS, TILE, PATCH = 24, 1024, 16, 336, 14
VOCABULARY, IMAGE_TOKEN, PAD_TOKEN = 32064, 32000, 32001
PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
CHAT = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ part['text'] }}{% endfor %}{% endif %}{{ ' ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


@dataclass(frozen=True)
class Shape:
    """Depths and widths of one random model; parameters of both blocks shrink by `scale`."""

    size: str
    scale: int
    text_layers: int
    text_width: int
    text_mlp: int
    vit_width: int


def parse(name: str) -> Shape:
    """`random:7b` or `random:13b`, with `/k` for a model of one k-th of the parameters.

    Raises:
        ModelError: anything else.
    """
    match = re.fullmatch(r"random:(\w+)(?:/(\d{1,6}))?", name)
    scale = int(match[2] or 1) if match else 0
    if not match or match[1] not in SIZES or not 1 <= scale <= LARGEST_SCALE:
        raise ModelError(
            f"{name!r} is no random model. Write random:7b or random:13b, or random:7b/16 for a "
            f"sixteenth of the parameters (1 to {LARGEST_SCALE})."
        )
    layers, width, mlp = SIZES[match[1]]
    shrink = math.sqrt(scale)
    return Shape(
        size=match[1],
        scale=scale,
        text_layers=layers,
        text_width=HEAD_WIDTH * max(1, round(width / HEAD_WIDTH / shrink)),
        text_mlp=64 * max(1, round(mlp / 64 / shrink)),
        vit_width=VIT_HEADS * max(2, round(VIT_WIDTH / VIT_HEADS / shrink)),
    )


def make_config(shape: Shape) -> Any:
    """The stock `LlavaNextConfig` of a shape."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaNextConfig

    heads = shape.text_width // HEAD_WIDTH
    text = LlamaConfig(
        hidden_size=shape.text_width,
        intermediate_size=shape.text_mlp,
        num_hidden_layers=shape.text_layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        vocab_size=VOCABULARY,
        max_position_embeddings=4096,
        pad_token_id=PAD_TOKEN,
        bos_token_id=1,
        eos_token_id=2,
    )
    vision = CLIPVisionConfig(
        hidden_size=shape.vit_width,
        intermediate_size=4 * shape.vit_width,
        num_hidden_layers=VIT_LAYERS,
        num_attention_heads=VIT_HEADS,
        image_size=TILE,
        patch_size=PATCH,
        projection_dim=768,
    )
    return LlavaNextConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=IMAGE_TOKEN,
        image_grid_pinpoints=PINPOINTS,
        vision_feature_layer=-2,
    )


def build_model(
    config: Any, device: torch.device, dtype: torch.dtype, quantization: Any = None, seed: int = 0
) -> nn.Module:
    """A stock model with seeded normal weights, made in place on `device` one module at a time.

    Weights have unit gain (σ = 1/√fan-in), so that activations stay small enough for float16.
    Peak memory is the finished model and one layer's matrix, also when quantising.

    Args:
        config: of a LLaVA-NeXT model.
        quantization: a `BitsAndBytesConfig` whose skip list is obeyed, or None.
        seed: the same seed, device and dtype give the same weights.
    """
    from transformers import LlavaNextForConditionalGeneration

    with torch.device("meta"):
        model = LlavaNextForConditionalGeneration._from_config(config, dtype=dtype)
    if quantization is not None:
        from transformers.integrations import replace_with_bnb_linear

        replace_with_bnb_linear(model, quantization.llm_int8_skip_modules, quantization)
    generator = torch.Generator(device).manual_seed(seed)
    for module in model.modules():
        for name, empty in list(module.named_parameters(recurse=False)):
            values = _draw(name, empty, device, dtype, generator)
            parameter: Any = _pack(module, empty, values) if name == "weight" else _frozen(values)
            parameter._is_hf_initialized = True  # what stock initialisation below leaves alone
            module.register_parameter(name, parameter)
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = torch.empty_like(buffer, device=device)
    model.initialize_weights()  # only the buffers are left to fill
    model.generation_config.update(
        eos_token_id=None, pad_token_id=PAD_TOKEN, bos_token_id=1, do_sample=False
    )
    return model.eval()


def _draw(
    name: str, like: Tensor, device: torch.device, dtype: torch.dtype, generator: torch.Generator
) -> Tensor:
    """Zeros for a bias, ones for a norm, else normal with σ = 1/√fan-in."""
    if name == "bias":
        return torch.zeros(like.shape, device=device, dtype=dtype)
    if name == "weight" and like.dim() == 1:
        return torch.ones(like.shape, device=device, dtype=dtype)
    fan_in = like.numel() // like.shape[0] if like.dim() > 1 else like.shape[0]
    values = torch.empty(like.shape, device=device, dtype=dtype)
    return values.normal_(0.0, fan_in**-0.5, generator=generator)


def _frozen(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)


def _pack(module: Any, empty: nn.Parameter, values: Tensor) -> nn.Parameter:
    """The weight as its module holds it: plain, or quantised by bitsandbytes on the way."""
    kind: Any = type(empty)
    if kind is nn.Parameter:
        return _frozen(values)
    import bitsandbytes

    module._is_hf_initialized = True
    held: Any
    if kind is bitsandbytes.nn.Int8Params:
        held = kind(values.to("cpu"), requires_grad=False, has_fp16_weights=False)
    else:
        held = kind(values, requires_grad=False, **empty.__dict__)
    return held.to(values.device)


def make_processor() -> Any:
    """A `LlavaNextProcessor` that reads any text byte by byte and speaks in invented words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = itertools.islice(_words(), IMAGE_TOKEN - 3 - len(alphabet))
    names = ["<unk>", "<s>", "</s>", *alphabet, *words, "<image>", "<pad>"]
    vocabulary = {name: index for index, name in enumerate(names)}
    assert vocabulary["<image>"] == IMAGE_TOKEN and vocabulary["<pad>"] == PAD_TOKEN
    engine = Tokenizer(models.BPE(vocabulary, merges=[]))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=engine,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        padding_side="left",
        additional_special_tokens=["<image>"],
        clean_up_tokenization_spaces=False,
    )
    return build_processor(tokenizer, TILE, PATCH, PINPOINTS, chat_template=CHAT)


def _words() -> itertools.chain[str]:
    """Pronounceable words, a leading space as byte-level BPE writes it: Ġba … Ġzuzu, Ġbabab …"""
    syllables = [onset + vowel for onset in "bdfghjklmnprstvwz" for vowel in "aeiou"]
    longer = itertools.product(syllables, syllables, ["", *"lmnrs"])
    return itertools.chain(
        ("Ġ" + one for one in syllables), ("Ġ" + "".join(parts) for parts in longer)
    )
