"""8 and 4 bits for real, on the CPU: what is quantised, what stays, what it weighs."""

import copy

import pytest
import torch
from conftest import ask
from torch import nn

from hired import models, random_models
from hired.errors import ModelError
from hired.quantization import SKIP, held_tensors, needed_bytes, resting_bytes, verify


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
