"""The list of models: weights that follow from configs, what fits, and what needs a flag."""

import pytest
import torch
from transformers import AutoModelForImageTextToText, CLIPVisionConfig, LlamaConfig, LlavaConfig

from hired.cli import main
from hired.errors import ModelError
from hired.models import folders
from hired.models import load as models
from hired.models import quantization as bits
from hired.models.allowed import ALLOWED, LISTED, PRECISIONS, UNTRIED
from hired.models.auto import REAL, WHOLE_BYTES

VISION = CLIPVisionConfig(
    hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
    image_size=336, patch_size=14, projection_dim=768,
)  # fmt: skip
LAYERS, WIDTH, MLP, KV, WORDS = range(5)
TEXTS = {
    "llava-hf/llava-v1.6-mistral-7b-hf": (32, 4096, 14336, 8, 32064),
    "llava-hf/llava-v1.6-vicuna-7b-hf": (32, 4096, 11008, 32, 32064),
    "llava-hf/llava-v1.6-vicuna-13b-hf": (40, 5120, 13824, 40, 32064),
    "llava-hf/llama3-llava-next-8b-hf": (32, 4096, 14336, 8, 128320),
    "llava-hf/llava-1.5-7b-hf": (32, 4096, 11008, 32, 32064),
    "llava-hf/llava-1.5-13b-hf": (40, 5120, 13824, 40, 32064),
    "xtuner/llava-phi-3-mini-hf": (32, 3072, 8192, 32, 32064),
    "bczhou/tiny-llava-v1-hf": (22, 2048, 5632, 4, 32064),
}


@pytest.mark.parametrize("name", LISTED)
def test_weights_are_those_of_the_config(name) -> None:
    text = TEXTS[name]
    heads = text[WIDTH] // (96 if "phi" in name else 64 if "tiny" in name else 128)
    language = LlamaConfig(
        num_hidden_layers=text[LAYERS], hidden_size=text[WIDTH], intermediate_size=text[MLP],
        num_attention_heads=heads, num_key_value_heads=text[KV], vocab_size=text[WORDS],
    )  # fmt: skip
    with torch.device("meta"):
        blank = AutoModelForImageTextToText.from_config(
            LlavaConfig(vision_config=VISION, text_config=language)
        )
    half = torch.float16
    wanted = {
        "float32": bits.needed_bytes(blank, torch.float32, None),
        "half": bits.needed_bytes(blank, half, None),
        "8bit": bits.needed_bytes(blank, half, "8bit"),
        "4bit": bits.needed_bytes(blank, half, "4bit"),
    }
    for precision in PRECISIONS:
        assert LISTED[name].bytes_in(precision) == pytest.approx(wanted[precision], rel=0.01)


def test_what_fits_is_the_best_that_leaves_room_for_two_lanes() -> None:
    entry = LISTED["llava-hf/llava-1.5-7b-hf"]
    fits = {gigabytes: entry.fitting(gigabytes * 1e9) for gigabytes in (80, 24, 16, 12, 9, 8)}
    assert fits == {80: "float32", 24: "half", 16: "8bit", 12: "8bit", 9: "4bit", 8: None}
    assert (
        LISTED[REAL].needs("half") == WHOLE_BYTES and LISTED[REAL].needs("4bit") < WHOLE_BYTES / 2
    )
    small = [name for name, one in LISTED.items() if one.fitting(8e9)]
    assert {name for name in small if LISTED[name].note == UNTRIED} == {
        "xtuner/llava-phi-3-mini-hf", "bczhou/tiny-llava-v1-hf",
    }  # fmt: skip
    assert all("not tried here" in ALLOWED[name] for name in LISTED if LISTED[name].note == UNTRIED)
    assert entry.partitions == "1" and "5" in LISTED["llava-hf/llava-v1.6-vicuna-7b-hf"].partitions


def test_the_command_says_what_this_machine_can_hold(capsys) -> None:
    assert main(["models", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "(cpu) has" in out and "GB free" in out and "--unlisted" in out
    assert all(name in out and ALLOWED[name] in out for name in LISTED)
    assert main(["models", "--device", "cuda:99"]) == 1


def test_a_model_of_the_hub_that_is_not_listed_needs_the_flag(saved, monkeypatch) -> None:
    asked = []

    def fetch(name, files=None):
        asked.append(name)
        return saved

    monkeypatch.setattr(folders, "fetch", fetch)
    with pytest.raises(ModelError, match="--unlisted"):
        models.load("somebody/other-llava", device="cpu")
    assert asked == []
    model, _ = models.load("somebody/other-llava", device="cpu", unlisted=True)
    assert asked == ["somebody/other-llava"] * 2  # its config, then all of it
    assert models.describe(model)["name"] == "somebody/other-llava"
    for name in ("../../no-such-folder", "a/../b", "https://x/y", "a/b/c", "one"):
        with pytest.raises(ModelError, match="neither a directory"):
            models.load(name, device="cpu", unlisted=True)
    assert len(asked) == 2


def test_the_page_offers_no_model_that_is_not_listed(tiny) -> None:
    from hired.web.engine import Engine

    engine = Engine.holding(*tiny)
    engine.may_switch, engine.options = True, {"unlisted": True}
    with pytest.raises(ModelError, match="model is one of"):
        engine.switch("somebody/other-llava")
