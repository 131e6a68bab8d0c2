"""8 and 4 bits for real, on the CPU: what is quantised, what stays, what it weighs."""

import contextlib
import copy
import json

import pytest
import torch
from conftest import PINPOINTS, TILE, ask
from torch import nn
from transformers import AutoConfig, BitsAndBytesConfig, LlavaNextForConditionalGeneration

from hired.errors import MemoryShortage, ModelError
from hired.models import load as models
from hired.models import random_weights as random_models
from hired.models.quantization import (
    KINDS,
    SKIP,
    convert_blank,
    held_tensors,
    needed_bytes,
    resting_bytes,
    verify,
)


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_quantised_model_answers_and_keeps_the_tower(saved, quantization) -> None:
    plain, _ = models.load(saved, device="cpu")
    model, processor = models.load(saved, quantization=quantization, device="cpu")
    kind = {"8bit": "Linear8bitLt", "4bit": "Linear4bit"}[quantization]
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            assert type(module).__name__ == ("Linear" if name.startswith(SKIP) else kind), name
    tower, stock = model.model.vision_tower.state_dict(), plain.model.vision_tower.state_dict()
    assert all(torch.equal(tower[key], stock[key]) for key in stock)
    before = [tensor.clone() for tensor in held_tensors(model)]
    first, second = ask(model, processor)[1], ask(model, processor)[1]
    assert len(first) == 4 and torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip(before, held_tensors(model), strict=True))
    shown = models.describe(model)
    assert shown["quantization"] == quantization
    assert shown["resting_bytes"] < models.describe(plain)["resting_bytes"]


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_random_model_is_quantised_through_the_same_check(quantization) -> None:
    config = random_models.make_config(random_models.parse("random:7b/1024"))
    config.vision_config.num_hidden_layers = config.text_config.num_hidden_layers = 2
    settings = models.bits.make_settings(quantization, torch.float32)
    model = random_models.build_model(config, torch.device("cpu"), torch.float32, settings)
    verify(model, quantization)
    with pytest.raises(ModelError, match="went wrong"):
        verify(model, "4bit" if quantization == "8bit" else "8bit")


def test_a_skip_list_that_fails_silently_is_noticed(saved, monkeypatch) -> None:
    """Transformers 4's names change nothing in 5: the tower would be quantised without a word."""
    real = models.bits.make_settings

    def with_old_names(quantization, dtype):
        settings = real(quantization, dtype)
        settings.llm_int8_skip_modules = ["vision_model", "multi_modal_projector.linear", "lm_head"]
        return settings

    monkeypatch.setattr(models.bits, "make_settings", with_old_names)
    with pytest.raises(ModelError, match="vision_tower"):
        models.load(saved, quantization="4bit", device="cpu")


def test_resting_bytes_are_exact_and_count_shared_storage_once(saved) -> None:
    model, _ = models.load(saved, device="cpu")
    tensors = [*model.parameters(), *model.buffers()]
    exact = sum(tensor.nbytes for tensor in tensors)
    assert resting_bytes(model) == exact
    config = copy.deepcopy(model.config)
    with torch.device("meta"):
        blank = type(model)(config)
    buffers = sum(buffer.nbytes for buffer in model.buffers())
    assert needed_bytes(blank, torch.float32, None) == exact - buffers
    model.lm_head.weight = model.model.language_model.embed_tokens.weight
    assert resting_bytes(model) == exact - model.lm_head.weight.nbytes


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_needed_bytes_foresee_what_quantising_takes(saved, quantization) -> None:
    model, _ = models.load(saved, quantization=quantization, device="cpu")
    with torch.device("meta"):
        blank = type(model)(model.config)
    needed = needed_bytes(blank, torch.float32, quantization)
    assert needed == pytest.approx(resting_bytes(model), rel=0.02)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A directory whose tower is wide enough for 4 bits, and its processor."""
    config = random_models.make_config(random_models.parse("random:7b/1024"))
    vision = {"hidden_size": 128, "num_attention_heads": 4, "num_hidden_layers": 2}
    for name, value in {**vision, "image_size": TILE}.items():
        setattr(config.vision_config, name, value)
    config.text_config.num_hidden_layers = 2
    config.image_grid_pinpoints = PINPOINTS
    folder = tmp_path_factory.mktemp("wide")
    random_models.build_model(config, torch.device("cpu"), torch.float16).save_pretrained(folder)
    processor = random_models.make_processor()
    processor.image_processor.size = {"shortest_edge": TILE}
    processor.image_processor.crop_size = {"height": TILE, "width": TILE}
    processor.image_processor.image_grid_pinpoints = PINPOINTS
    processor.save_pretrained(folder)
    return folder, processor


def save_quantised(wide, kind: str, skip, target) -> nn.Module:
    """The model as its user quantised and saved it; also as it was in memory."""
    folder, processor = wide
    settings = BitsAndBytesConfig(
        load_in_8bit=kind == "8bit",
        load_in_4bit=kind == "4bit",
        bnb_4bit_compute_dtype=torch.float32,
        llm_int8_skip_modules=skip,
    )
    stock = LlavaNextForConditionalGeneration.from_pretrained(
        folder, quantization_config=settings, dtype=torch.float32, device_map={"": "cpu"}
    )
    stock.save_pretrained(target)
    processor.save_pretrained(target)
    return stock


@pytest.mark.parametrize("tower", ["plain", "quantised"])
@pytest.mark.parametrize("kind", ["8bit", "4bit"])
def test_a_directory_saved_quantised_answers_as_before_it_was_saved(
    wide, kind, tower, tmp_path, monkeypatch
) -> None:
    stock = save_quantised(wide, kind, list(SKIP) if tower == "plain" else None, tmp_path)
    told = contextlib.nullcontext() if tower == "plain" else pytest.warns(match="vision tower")
    with told:
        model, processor = models.load(tmp_path, device="cpu")
    shown = models.describe(model)
    assert (shown["quantization"], shown["quantized_tower"]) == (kind, tower == "quantised")
    assert torch.equal(ask(model, processor)[1], ask(stock, processor)[1])
    layers = [m for m in model.modules() if type(m).__name__ == KINDS[kind]]
    assert len(layers) == len([m for m in stock.modules() if type(m).__name__ == KINDS[kind]])

    monkeypatch.setattr(models, "free_bytes", lambda device: 0)
    with pytest.raises(MemoryShortage, match="smaller model") as caught:
        models.load(tmp_path, device="cpu")
    assert "quantization=" not in str(caught.value)
    config = AutoConfig.from_pretrained(tmp_path)
    with torch.device("meta"):
        blank = LlavaNextForConditionalGeneration(config)
    convert_blank(blank, config)
    foreseen = needed_bytes(blank, torch.float32, None)
    assert foreseen == pytest.approx(resting_bytes(model), rel=0.02)


def test_a_directory_saved_quantised_cannot_be_had_otherwise(wide, tmp_path) -> None:
    save_quantised(wide, "8bit", list(SKIP), tmp_path)
    assert models.describe(models.load(tmp_path, "8bit", "cpu")[0])["quantization"] == "8bit"
    with pytest.raises(ModelError, match="saved quantised to 8bit and cannot be brought to 4bit"):
        models.load(tmp_path, "4bit", "cpu")
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"quantization_config": {"quant_method": "gptq"}}))
    with pytest.raises(ModelError, match="quantised by 'gptq'"):
        models.load(tmp_path, device="cpu")
    del config["quantization_config"]
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"probably quantised.*does not say how"):
        models.load(tmp_path, device="cpu")
