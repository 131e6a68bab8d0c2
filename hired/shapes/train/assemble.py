"""The stock LLaVA-NeXT around the tower: configuration, processor, saving and loading.

Nothing here subclasses or patches: what is saved loads with plain `AutoProcessor` and
`AutoModelForImageTextToText`. Weights are stored under the names of the llava-hf hub
checkpoints, which serving engines expect too.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPVisionModel,
    GenerationConfig,
    LlamaConfig,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextProcessor,
)

from hired import inputs
from hired.shapes.scenes import PATCH, PINPOINTS, TILE
from hired.shapes.train.clip_init import tower_config
from hired.shapes.words import BOS, EOS, IMAGE, PAD, build_tokenizer

WIDTH, LAYERS, HEADS, INNER = 256, 4, 4, 512


def model_config() -> LlavaNextConfig:
    """Configuration of the whole model; the projector reads the tower's last but one block."""
    tokenizer = build_tokenizer()
    words = tokenizer.get_vocab()
    ids = {name: words[name] for name in (PAD, BOS, EOS, IMAGE)}
    text = LlamaConfig(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        pad_token_id=ids[PAD],
        bos_token_id=ids[BOS],
        eos_token_id=ids[EOS],
        tie_word_embeddings=False,
    )
    return LlavaNextConfig(
        vision_config=tower_config(),
        text_config=text,
        image_token_index=ids[IMAGE],
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        image_grid_pinpoints=PINPOINTS,
        projector_hidden_act="gelu",
        tie_word_embeddings=False,
    )


def build_processor() -> LlavaNextProcessor:
    """The stock processor: PIL images, 168-px tiles, this model's five grids."""
    tokenizer = build_tokenizer()
    return inputs.build_processor(
        tokenizer,
        TILE,
        PATCH,
        PINPOINTS,
        image_token=IMAGE,
        chat_template=tokenizer.chat_template,
    )


def build_model(tower: CLIPVisionModel | None = None) -> LlavaNextForConditionalGeneration:
    """A fresh model (float32); the tower's weights are taken over if one is given."""
    model = LlavaNextForConditionalGeneration(model_config())
    if tower is not None:
        model.model.vision_tower.load_state_dict(tower.state_dict())
    return model.eval()


def hub_name(name: str) -> str:
    """A parameter's name in llava-hf hub checkpoints, from its name in transformers 5."""
    name = name.removeprefix("model.")
    if name.startswith("language_model."):
        return name.replace("language_model.", "language_model.model.", 1)
    if name == "lm_head.weight":
        return "language_model.lm_head.weight"
    if name.startswith("vision_tower.") and not name.startswith("vision_tower.vision_model."):
        return name.replace("vision_tower.", "vision_tower.vision_model.", 1)
    return name


def own_name(name: str) -> str:
    """The inverse of `hub_name` for the running transformers version."""
    if name.startswith("language_model.model."):
        return "model." + name.replace("language_model.model.", "language_model.", 1)
    if name == "language_model.lm_head.weight":
        return "lm_head.weight"
    return "model." + name.replace("vision_tower.vision_model.", "vision_tower.", 1)


def save(model: LlavaNextForConditionalGeneration, folder: Path) -> None:
    """Write configuration, generation defaults, processor and float32 weights to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = model.config.to_dict()
    config |= {"architectures": ["LlavaNextForConditionalGeneration"], "dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    text = model.config.get_text_config()
    GenerationConfig(
        do_sample=False,
        max_new_tokens=128,
        bos_token_id=text.bos_token_id,
        eos_token_id=text.eos_token_id,
        pad_token_id=text.pad_token_id,
    ).save_pretrained(folder)
    build_processor().save_pretrained(folder)
    weights = {hub_name(k): v.float().contiguous() for k, v in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def load_weights(model: torch.nn.Module, folder: Path) -> None:
    """Fill a `build_model` model with the weights saved in `folder`."""
    saved = load_file(folder / "model.safetensors")
    model.load_state_dict({own_name(name): value for name, value in saved.items()})
