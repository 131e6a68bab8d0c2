"""Loading for real: directories, random shapes, both quantisations; and every way it can fail."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from hired import models, random_models
from hired.errors import HiredError, MemoryShortage, ModelError
from hired.machine import free_bytes, pick_device, pick_dtype, versions
from hired.quantization import SKIP, held_tensors, needed_bytes, resting_bytes, verify
from hired.selectors import SELECTORS
from hired.wrapper import HiredModel

TILE = 56  # 16 patches a tile
PINPOINTS = [[TILE, 2 * TILE], [2 * TILE, TILE], [2 * TILE, 2 * TILE]]


def make_processor():
    processor = random_models.make_processor()
    processor.image_processor.size = {"shortest_edge": TILE}
    processor.image_processor.crop_size = {"height": TILE, "width": TILE}
    processor.image_processor.image_grid_pinpoints = PINPOINTS
    return processor


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A small LLaVA-NeXT on disk, as `save_pretrained` leaves it; 128 wide for bitsandbytes."""
    config = random_models.make_config(random_models.parse("random:7b/1024"))
    config.vision_config.image_size = TILE
    config.vision_config.num_hidden_layers = 3
    config.text_config.num_hidden_layers = 2
    config.image_grid_pinpoints = PINPOINTS
    folder = tmp_path_factory.mktemp("saved")
    random_models.build_model(config, torch.device("cpu"), torch.float16).save_pretrained(folder)
    make_processor().save_pretrained(folder)
    return folder


@pytest.fixture
def damaged(saved, tmp_path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(saved, tmp_path / "damaged"))


def ask(model, processor, budget: float = 0.3) -> tuple[str, torch.Tensor]:
    pixels = np.random.default_rng(3).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}
    prompt = processor.apply_chat_template([message], add_generation_prompt=True)
    inputs = processor(images=Image.fromarray(pixels), text=prompt, return_tensors="pt")
    lane = HiredModel(model, SELECTORS["hired"](budget=budget))
    output = lane.generate(**inputs, max_new_tokens=4, do_sample=False)
    new = output[0, inputs["input_ids"].shape[1] :]
    return processor.decode(new), new


def test_directory_loads_ready_to_answer(saved) -> None:
    model, processor = models.load(saved, device="cpu")
    assert not model.training and model.dtype == torch.float32
    assert type(processor.image_processor).__name__ == "LlavaNextImageProcessorPil"
    assert processor.image_processor.image_grid_pinpoints == PINPOINTS
    assert processor.num_additional_image_tokens == 1 and processor.patch_size == 14
    text, tokens = ask(model, processor)
    assert len(tokens) == 4 and text.strip()


def test_older_checkpoint_leaves_the_processor_to_the_config(damaged) -> None:
    path = damaged / "processor_config.json"
    saved = json.loads(path.read_text())
    saved["image_processor"]["image_grid_pinpoints"] = random_models.PINPOINTS
    for key in ("patch_size", "vision_feature_select_strategy", "num_additional_image_tokens"):
        saved.pop(key)
    path.write_text(json.dumps(saved))
    model, processor = models.load(damaged, device="cpu")
    assert len(ask(model, processor)[1]) == 4


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


def test_wrappers_share_every_parameter(saved) -> None:
    model, _ = models.load(saved, device="cpu")
    lanes = [HiredModel(model, SELECTORS[name]()) for name in ("full", "hired")]
    pointers = [{p.data_ptr() for p in lane.model.parameters()} for lane in lanes]
    assert pointers[0] == pointers[1] == {p.data_ptr() for p in model.parameters()}


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


def test_describe_names_what_panels_show(saved) -> None:
    model, _ = models.load(saved, device="cpu", dtype="bf16")
    shown = models.describe(model)
    assert shown["name"] == str(saved) and shown["origin"] == "local"
    assert (shown["device"], shown["dtype"], shown["quantization"]) == ("cpu", "bfloat16", None)
    assert (shown["vision_layers"], shown["vision_heads"], shown["text_layers"]) == (3, 16, 2)
    json.dumps(shown)


# Random models


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


@pytest.mark.parametrize("scale", [1, 2, 4, 16, 64])
def test_scaled_models_keep_the_proportions(scale) -> None:
    shape = random_models.parse(f"random:7b/{scale}")
    full = random_models.parse("random:7b")
    assert shape.flop_ratio == pytest.approx(19.4, rel=0.1)
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


# Devices and number formats


def test_cpu_computes_in_float32_unless_told() -> None:
    cpu = torch.device("cpu")
    assert pick_dtype("auto", cpu, torch.float16) == torch.float32
    assert pick_dtype("FP16", cpu) == pick_dtype(torch.float16, cpu) == torch.float16
    assert pick_dtype("torch.bfloat16", cpu) == torch.bfloat16


def test_accelerators_compute_in_half_precision(monkeypatch) -> None:
    assert pick_dtype("auto", torch.device("mps"), torch.float32) == torch.float16
    cuda = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert pick_dtype("auto", cuda, torch.bfloat16) == torch.bfloat16
    assert pick_dtype("auto", cuda, torch.float16) == torch.float16
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert pick_dtype("auto", cuda, torch.bfloat16) == torch.float16


@pytest.mark.parametrize("device", ["cuda:99", "tpu", "", "cpu:7"])
def test_missing_device_is_explained(device) -> None:
    with pytest.raises(ModelError, match="Use 'auto' or one of"):
        pick_device(device)


@pytest.mark.parametrize("dtype", ["int8", "float64", "float33", torch.int8, 16])
def test_wrong_dtype_is_explained(dtype) -> None:
    with pytest.raises(ModelError, match="bfloat16"):
        pick_dtype(dtype, torch.device("cpu"))


def test_free_memory_is_a_plausible_number() -> None:
    assert 1e6 < free_bytes(torch.device("cpu")) < 1e14


def test_versions_name_the_engine() -> None:
    assert versions()["torch"] == torch.__version__ and "python" in versions()


# What goes wrong


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


def test_missing_embedded_model_says_how_to_get_it(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(models, "SHAPES", tmp_path)
    with pytest.raises(ModelError, match="shapes train"):
        models.load()


@pytest.mark.skipif(not (models.SHAPES / "config.json").is_file(), reason="no embedded model yet")
@pytest.mark.parametrize("quantization", [None, "8bit", "4bit"])
def test_embedded_model_loads_and_answers(quantization) -> None:
    model, processor = models.load(quantization=quantization, device="cpu")
    assert models.describe(model)["origin"] == "embedded"
    assert ask(model, processor)[0].strip()


def test_every_error_is_of_the_family() -> None:
    assert issubclass(ModelError, HiredError) and issubclass(MemoryShortage, HiredError)
