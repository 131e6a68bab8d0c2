"""Random models: true shapes, kept proportions, no answers."""

import pytest
import torch
from conftest import ask

from hired.errors import ModelError
from hired.models import load as models
from hired.models import random_weights as random_models


def test_random_7b_has_the_published_shapes() -> None:
    """Checked against the parameter count of llava-v1.6-vicuna-7b: 7.06 billion."""
    config = random_models.make_config(random_models.parse("random:7b"))
    with torch.device("meta"):
        blank = models_from(config)
    assert sum(p.numel() for p in blank.parameters()) == pytest.approx(7.063e9, rel=1e-3)
    vision, text = config.vision_config, config.text_config
    assert (vision.num_hidden_layers, vision.hidden_size, vision.num_attention_heads) == (
        24,
        1024,
        16,
    )
    assert (text.num_hidden_layers, text.hidden_size, text.intermediate_size) == (32, 4096, 11008)
    assert config.vision_feature_layer == -2 and len(config.image_grid_pinpoints) == 5


def models_from(config):
    from transformers import LlavaNextForConditionalGeneration

    return LlavaNextForConditionalGeneration(config)


def flop_ratio(shape) -> float:
    """Language over vision FLOPs for five full partitions, attention included.

    Per token and layer: 2 FLOPs a weight; scores and mixing 4·L·width, half of it when causal.
    """
    sequence, tile_sequence = 5 * 24**2, 24**2 + 1
    text = 2 * (4 * shape.text_width**2 + 3 * shape.text_width * shape.text_mlp)
    text = shape.text_layers * (text + 2 * sequence * shape.text_width)
    vision = 24 * (24 * shape.vit_width**2 + 4 * tile_sequence * shape.vit_width)
    return text * sequence / (vision * 5 * tile_sequence)


@pytest.mark.parametrize("scale", [1, 2, 4, 16, 64])
def test_scaled_models_keep_the_proportions(scale) -> None:
    shape = random_models.parse(f"random:7b/{scale}")
    full = random_models.parse("random:7b")
    assert flop_ratio(shape) == pytest.approx(19.4, rel=0.1)
    assert shape.text_layers == full.text_layers
    assert shape.text_width**2 * scale == pytest.approx(full.text_width**2, rel=0.06)


@pytest.mark.parametrize(
    "name", ["random:", "random:7b/0", "random:7b/9999", "random:70b", "random:7b/x"]
)
def test_unknown_random_shape_is_explained(name) -> None:
    with pytest.raises(ModelError, match="random:7b/16"):
        models.load(name)


def test_random_model_runs_and_speaks_no_answer() -> None:
    model, processor = models.load("random:7b/1024", device="cpu")
    _, tokens = ask(model, processor, budget=0.02)
    assert len(tokens) == 4  # no end token: every lane decodes the same number
    assert models.describe(model)["origin"] == "random"
    again, _ = models.load("random:7b/1024", device="cpu")
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True)
    )
    assert torch.equal(ask(again, processor, budget=0.02)[1], tokens)
    rotary = model.model.language_model.rotary_emb.inv_freq
    assert rotary[0] == 1.0 and rotary.dtype == torch.float32


@pytest.mark.parametrize(
    "text", ["What is it?", "<image> </s> USER: ümläut 你好", "  two  spaces\n"]
)
def test_random_tokenizer_loses_no_text(text) -> None:
    tokenizer = random_models.make_processor().tokenizer
    ids = tokenizer(text, split_special_tokens=True, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert random_models.IMAGE_TOKEN not in ids
