"""Models as people bring them: with an adapter, compiled, or with parts that rest elsewhere."""

import copy
from functools import partial

import pytest
import torch
from accelerate import cpu_offload, disk_offload
from conftest import make_image, make_tiny, prompt
from peft import LoraConfig, PromptTuningConfig, TaskType, get_peft_model
from transformers import LlavaNextForConditionalGeneration

import hired
from hired import HiredModel
from hired.comparison.lane import Lane
from hired.comparison.preview import Preview
from hired.errors import ModelError
from hired.selectors import build
from hired.stock import unwrap

LANGUAGE = r".*language_model.*\.(q_proj|v_proj|gate_proj)"
EVERYWHERE = r".*\.(q_proj|k_proj|v_proj|fc1|linear_1)"
GREEDY = {"max_new_tokens": 6, "do_sample": False}


def inputs(processor):
    pictures = [make_image(84, 168), make_image(168, 97, seed=1)]
    texts = [prompt("what ?"), prompt("how many of it ?")]
    return processor(images=pictures, text=texts, return_tensors="pt", padding=True)


def dropped(model, processor, **settings):
    return HiredModel(model, build("hired", **settings)).generate(**inputs(processor), **GREEDY)


def with_adapter(text: str, where: str, **more):
    """(PeftModel, processor); the adapter changes what the model says."""
    model, processor = make_tiny(text=text)
    config = LoraConfig(r=4, target_modules=where, init_lora_weights=False, **more)
    torch.manual_seed(1)
    return get_peft_model(copy.deepcopy(model), config).eval(), processor


@pytest.mark.parametrize("where", [LANGUAGE, EVERYWHERE], ids=["language", "everywhere"])
@pytest.mark.parametrize("text", ["llama", "mistral", "qwen2"])
@torch.inference_mode()
def test_an_adapted_model_answers_with_its_adapter(text, where) -> None:
    model, processor = with_adapter(text, where)
    stock = model.generate(**inputs(processor), **GREEDY)
    assert torch.equal(dropped(model, processor, budget=1.0), stock)
    few = dropped(model, processor, budget=0.3)
    with model.disable_adapter():
        bare = dropped(model, processor, budget=0.3)
    assert torch.equal(bare, dropped(make_tiny(text=text)[0], processor, budget=0.3))
    merged = copy.deepcopy(model).merge_and_unload()
    assert torch.equal(few, dropped(merged, processor, budget=0.3)) and not torch.equal(few, bare)


def test_an_adapter_with_a_task_and_modules_of_its_own(tiny) -> None:
    more = {"task_type": TaskType.CAUSAL_LM, "modules_to_save": ["multi_modal_projector"]}
    model, processor = with_adapter("llama", LANGUAGE, **more)
    stock = model.generate(**inputs(processor), **GREEDY)
    assert torch.equal(dropped(model, processor, budget=1.0), stock)
    lanes = [Lane("all", build("full")), Lane("few", build("hired", budget=0.2))]
    steps = list(
        hired.compare(model, processor, make_image(84, 168), "what ?", lanes, max_new_tokens=3)
    )
    assert [step.phase for step in steps if step.phase in ("done", "failed")] == ["done"] * 2
    eye = Preview(model, processor)
    assert eye.select(make_image(84, 168), build("hired", budget=9)).kept == 9


def test_an_adapter_that_prepends_tokens_is_refused(tiny) -> None:
    config = PromptTuningConfig(
        task_type=TaskType.CAUSAL_LM, num_virtual_tokens=4,
        num_attention_heads=4, num_layers=2, token_dim=64,
    )  # fmt: skip
    model = get_peft_model(copy.deepcopy(tiny[0]), config)
    with pytest.raises(ModelError, match=r"stand before the prompt \(PROMPT_TUNING\)"):
        HiredModel(model, build("hired", budget=0.3))


compiled = partial(torch.compile, backend="eager")


def wrappings():
    yield "compiled", compiled
    yield "parallel", torch.nn.DataParallel
    yield (
        "adapted and compiled",
        lambda model: compiled(get_peft_model(model, LoraConfig(target_modules=LANGUAGE))),
    )


@pytest.mark.parametrize("wrap", [pytest.param(wrap, id=id_) for id_, wrap in wrappings()])
def test_a_wrapped_model_is_the_stock_one(tiny, wrap) -> None:
    model, processor = tiny
    wrapped = wrap(copy.deepcopy(model))
    assert isinstance(unwrap(wrapped), LlavaNextForConditionalGeneration)
    for budget in (1.0, 0.3):
        settings = {"budget": budget}
        assert torch.equal(
            dropped(wrapped, processor, **settings), dropped(model, processor, **settings)
        )
    assert unwrap(model) is model


def test_compiled_parts_are_used_as_they_are(tiny) -> None:
    model, processor = copy.deepcopy(tiny[0]), tiny[1]
    for name in ("vision_tower", "multi_modal_projector"):
        part = compiled(getattr(model.model, name))
        setattr(model.model, name, part)
    for budget in (1.0, 0.3):
        assert torch.equal(dropped(model, processor, budget=budget), dropped(*tiny, budget=budget))


@pytest.fixture(scope="module")
def stored(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    tiny[0].save_pretrained(folder)
    return folder


PARTS = {
    "tower and projector": {
        "model.vision_tower": "disk", "model.multi_modal_projector": "disk",
        "model.language_model": "cpu", "lm_head": "cpu", "model.image_newline": "cpu",
    },
    "language model": {
        "model.vision_tower": "cpu", "model.multi_modal_projector": "cpu",
        "model.language_model": "disk", "lm_head": "disk", "model.image_newline": "cpu",
    },
}  # fmt: skip


# accelerate maps the newline, which is a weight, and warns that no module has its name.
MAPPED = pytest.mark.filterwarnings("ignore:The following device_map keys:UserWarning")


@MAPPED
@pytest.mark.parametrize("part", PARTS)
def test_parts_on_disk_are_fetched_when_they_are_used(tiny, stored, part, tmp_path) -> None:
    model = LlavaNextForConditionalGeneration.from_pretrained(
        stored, device_map=PARTS[part], offload_folder=tmp_path
    )
    same_answers(model, tiny)


@MAPPED
def test_parts_placed_by_size_are_fetched_when_they_are_used(tiny, stored, tmp_path) -> None:
    model = LlavaNextForConditionalGeneration.from_pretrained(
        stored, device_map="auto", max_memory={"cpu": 400_000}, offload_folder=tmp_path
    )
    assert "disk" in model.hf_device_map.values()
    same_answers(model, tiny)


def test_a_model_that_rests_on_disk_altogether(tiny, tmp_path) -> None:
    model = copy.deepcopy(tiny[0])
    disk_offload(model, tmp_path, torch.device("cpu"))
    same_answers(model, tiny)


def test_a_model_kept_in_memory_and_fetched_layer_by_layer(tiny) -> None:
    same_answers(cpu_offload(copy.deepcopy(tiny[0]), torch.device("cpu")), tiny)


def same_answers(model, tiny) -> None:
    stock, processor = tiny
    model.generation_config = stock.generation_config
    assert any(weight.is_meta for weight in model.parameters())
    for settings in ({"budget": 1.0}, {"budget": 0.3}, {"budget": 0.3, "newline": "rows"}):
        mine = dropped(model.eval(), processor, **settings)
        assert torch.equal(mine, dropped(stock, processor, **settings)), settings
    image = make_image(84, 168)
    steps = hired.compare(
        model, processor, image, "what ?", [Lane("few", build("hired", budget=0.2))],
        max_new_tokens=3, warm_up=True,
    )  # fmt: skip
    assert [step.phase for step in steps][-1] == "done"


def test_a_newline_that_cannot_be_fetched_is_told(tiny) -> None:
    model = copy.deepcopy(tiny[0])
    cpu_offload(model.model.language_model, torch.device("cpu"))
    model.model.image_newline = torch.nn.Parameter(torch.empty(64, device="meta"))
    assert dropped(model, tiny[1], budget=0.3).shape[0] == 2
    with pytest.raises(ModelError, match="image_newline of LlavaNextModel is offloaded"):
        dropped(model, tiny[1], budget=0.3, newline="rows")
