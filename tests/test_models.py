"""Loading for real from directories and a hub; and every way it can fail."""

import json
import shutil
from pathlib import Path

import conftest
import pytest
import torch
from conftest import ask

from hired.errors import HiredError, MemoryShortage, ModelError
from hired.models import load as models
from hired.models import random_weights as random_models
from hired.selectors import SELECTORS
from hired.wrapper import HiredModel


@pytest.fixture
def damaged(saved, tmp_path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(saved, tmp_path / "damaged"))


def test_directory_loads_ready_to_answer(saved) -> None:
    model, processor = models.load(saved, device="cpu")
    assert not model.training and model.dtype == torch.float32
    assert type(processor.image_processor).__name__ == "LlavaNextImageProcessorPil"
    assert processor.image_processor.image_grid_pinpoints == conftest.PINPOINTS
    assert processor.num_additional_image_tokens == 1 and processor.patch_size == 14
    text, tokens = ask(model, processor)
    assert len(tokens) == 4 and text.strip()


def test_directory_with_llava_1_5_loads_too(tiny_15, tmp_path) -> None:
    for part in tiny_15:
        part.save_pretrained(tmp_path)
    model, processor = models.load(tmp_path, device="cpu")
    assert models.describe(model)["family"] == "LLaVA-1.5"
    assert len(ask(model, processor)[1]) == 4


def test_older_checkpoint_leaves_the_processor_to_the_config(damaged) -> None:
    path = damaged / "processor_config.json"
    saved = json.loads(path.read_text())
    saved["image_processor"]["image_grid_pinpoints"] = random_models.PINPOINTS
    for key in ("patch_size", "vision_feature_select_strategy", "num_additional_image_tokens"):
        saved.pop(key)
    path.write_text(json.dumps(saved))
    model, processor = models.load(damaged, device="cpu")
    assert len(ask(model, processor)[1]) == 4


def test_an_image_token_that_tokenizer_and_config_read_otherwise_is_refused(damaged) -> None:
    path = damaged / "config.json"
    config = json.loads(path.read_text())
    key = next(key for key in ("image_token_id", "image_token_index") if key in config)
    read, config[key] = config[key], 7
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"config is 7, but its tokenizer reads .* as {read}"):
        models.load(damaged, device="cpu")


def test_wrappers_share_every_parameter(saved) -> None:
    model, _ = models.load(saved, device="cpu")
    lanes = [HiredModel(model, SELECTORS[name]()) for name in ("full", "hired")]
    pointers = [{p.data_ptr() for p in lane.model.parameters()} for lane in lanes]
    assert pointers[0] == pointers[1] == {p.data_ptr() for p in model.parameters()}


def test_describe_names_what_panels_show(saved) -> None:
    model, _ = models.load(saved, device="cpu", dtype="bf16")
    shown = models.describe(model)
    assert shown["name"] == str(saved) and shown["origin"] == "local"
    assert (shown["device"], shown["dtype"], shown["quantization"]) == ("cpu", "bfloat16", None)
    assert (shown["vision_layers"], shown["vision_heads"], shown["text_layers"]) == (3, 16, 2)
    json.dumps(shown)


@pytest.mark.parametrize("quantization", ["4", "int4", True, "8-bit"])
def test_wrong_quantization_is_explained(saved, quantization) -> None:
    with pytest.raises(ModelError, match="None, '8bit' or '4bit'"):
        models.load(saved, quantization=quantization)


def test_missing_bitsandbytes_is_explained(saved, monkeypatch) -> None:
    monkeypatch.setattr(models.bits, "_installed", lambda name: name != "bitsandbytes")
    with pytest.raises(ModelError, match="pip install bitsandbytes"):
        models.load(saved, quantization="4bit")


@pytest.mark.parametrize("name", ["gpt2", "llava-hf/vip-llava-7b-hf", "/no/such/place", ""])
def test_unknown_name_lists_what_is_allowed(name, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"llava-hf/llava-v1\.6-vicuna-7b-hf"):
        models.load(name or "missing")


def test_too_little_memory_is_said_before_loading(saved, monkeypatch) -> None:
    monkeypatch.setattr(models, "free_bytes", lambda device: 34_500_000)
    with pytest.raises(MemoryShortage, match=r"take 0\.0 GB and 0\.0 GB are free on cpu"):
        models.load(saved, device="cpu")
    monkeypatch.setattr(models, "free_bytes", lambda device: 20_000_000_000)
    with pytest.raises(MemoryShortage, match=r"take 28\.3 GB and 20\.0 GB .* quantization='8bit'"):
        models.load("random:7b", device="cpu")


def test_memory_that_runs_out_while_loading_is_explained(saved, monkeypatch) -> None:
    def overflow(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(models, "_read_model", overflow)
    with pytest.raises(MemoryShortage, match="ran out while loading"):
        models.load(saved, device="cpu")


@pytest.mark.parametrize(
    "said",
    [
        "CUDA error: no kernel image is available for execution on the device",
        "The NVIDIA driver on your system is too old (found version 11040).",
    ],
)
def test_a_device_this_torch_cannot_use_is_explained(saved, monkeypatch, said) -> None:
    def refuse(*_):
        raise RuntimeError(said)

    monkeypatch.setattr(models, "_read_model", refuse)
    with pytest.raises(ModelError, match=r"does not support this device.*device='cpu'"):
        models.load(saved, device="cpu")


def breakages():
    yield "no config", lambda folder: (folder / "config.json").unlink(), "no config.json"
    yield "torn config", lambda folder: (folder / "config.json").write_text('{"a'), "no config.json"
    yield (
        "no weights",
        lambda folder: (folder / "model.safetensors").unlink(),
        "could not be loaded",
    )
    yield "torn weights", tear, "could not be loaded"
    yield "other kind", lambda folder: edit(folder, model_type="gpt2"), "'gpt2' model"
    yield "more layers", deepen, "lacks .* of the model's weights"
    yield "no processor", remove_processor, "could not be loaded"


def tear(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def edit(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def deepen(folder: Path) -> None:
    text = json.loads((folder / "config.json").read_text())["text_config"]
    edit(folder, text_config=text | {"num_hidden_layers": 3})


def remove_processor(folder: Path) -> None:
    for name in ("processor_config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


@pytest.mark.parametrize(
    ("harm", "says"), [pytest.param(harm, says, id=id_) for id_, harm, says in breakages()]
)
def test_damaged_directory_is_one_clear_sentence(damaged, harm, says) -> None:
    harm(damaged)
    with pytest.raises(ModelError, match=says) as caught:
        models.load(damaged, device="cpu")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


ORIGINAL = {
    "architectures": ["LlavaLlamaForCausalLM"],
    "hidden_size": 4096,
    "image_aspect_ratio": "anyres",
    "mm_projector_type": "mlp2x_gelu",
    "mm_vision_tower": "openai/clip-vit-large-patch14-336",
    "model_type": "llava",
    "vocab_size": 32000,
}  # the fields that tell: config.json of liuhaotian/llava-v1.6-vicuna-7b


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "llava-hf/llava-v1.6-vicuna-7b-hf"),
        ({"hidden_size": 5120}, "llava-hf/llava-v1.6-vicuna-13b-hf"),
        ({"image_aspect_ratio": "pad"}, "llava-hf/llava-1.5-7b-hf"),
        (
            {"architectures": ["LlavaMistralForCausalLM"], "model_type": "llava_mistral"},
            "llava-hf/llava-v1.6-mistral-7b-hf",
        ),
        ({"model_type": "llava_llama", "vocab_size": 128256}, "llava-hf/llama3-llava-next-8b-hf"),
        ({"architectures": ["LlavaQwenForCausalLM"], "model_type": "llava_qwen"}, None),
    ],
)
def test_an_original_checkpoint_is_told_where_its_converted_one_is(changes, name, tmp_path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(ORIGINAL | changes))
    (tmp_path / "pytorch_model-00001-of-00002.bin").touch()
    with pytest.raises(
        ModelError, match=r"original LLaVA repository.*huggingface.co/llava-hf"
    ) as e:
        models.load(tmp_path, device="cpu")
    assert (f"probably as {name}." in str(e.value)) if name else "probably" not in str(e.value)
    assert name is None or name in models.ALLOWED


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth", "model.Q4.gguf"])
def test_weights_in_another_format_are_named(damaged, name) -> None:
    (damaged / "model.safetensors").rename(damaged / name)
    with pytest.raises(ModelError, match=rf"as {name} and not as safetensors.*save_pretrained"):
        models.load(damaged, device="cpu")


def test_an_adapter_is_told_from_a_model(tmp_path) -> None:
    about = {"base_model_name_or_path": "llava-hf/llava-1.5-7b-hf", "peft_type": "LORA"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(about))
    (tmp_path / "adapter_model.safetensors").touch()
    with pytest.raises(ModelError, match=r"adapter.*Merge it into llava-hf/llava-1\.5-7b-hf"):
        models.load(tmp_path, device="cpu")


def test_missing_embedded_model_says_how_to_get_it(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("hired.models.folders.SHAPES", tmp_path)
    with pytest.raises(ModelError, match="shapes train --out"):
        models.load()


@pytest.mark.skipif(not (models.SHAPES / "config.json").is_file(), reason="no embedded model yet")
@pytest.mark.parametrize("quantization", [None, "8bit", "4bit"])
def test_embedded_model_loads_and_answers(quantization) -> None:
    model, processor = models.load(quantization=quantization, device="cpu")
    assert models.describe(model)["origin"] == "embedded"
    assert ask(model, processor)[0].strip()


def test_every_error_is_of_the_family() -> None:
    assert issubclass(ModelError, HiredError) and issubclass(MemoryShortage, HiredError)
