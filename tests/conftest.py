"""Tiny stock models, made from config in a moment; nothing here is mocked."""

import gc
import logging
import os
import tempfile
from functools import cache

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
# Before a page is served: `import app` would move the uploads away from under it. Each process of
# the suite has its own, whatever the one that started it has said.
os.environ["GRADIO_TEMP_DIR"] = os.path.join(
    tempfile.gettempdir(), "hired-tests" + os.environ.get("PYTEST_XDIST_WORKER", "")
)
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    LlavaProcessor,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

TILE, PATCH = 84, 14
PINPOINTS = [
    [TILE, 2 * TILE],
    [2 * TILE, TILE],
    [2 * TILE, 2 * TILE],
    [3 * TILE, TILE],
    [TILE, 3 * TILE],
]
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
WORDS = (
    "USER ASSISTANT : what which colour digit shape is on the a red blue green star circle square "
    "there how many of in picture describe it one two three four five six seven eight nine zero "
    "? ! . , < > / s image pad unk"
).split()
TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() }}: "
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %} {% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
TEXTS = {"llama": LlamaConfig, "mistral": MistralConfig, "qwen2": Qwen2Config}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A word-level tokenizer with the special tokens of LLaVA."""
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys([*SPECIAL, *WORDS]))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
        padding_side="left",
    )


def make_configs(text: str, layers: int, vocabulary: int):
    """(vision, language) of a model small enough to run thousands of times."""
    vision = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=layers,
        num_attention_heads=4,
        image_size=TILE,
        patch_size=PATCH,
        projection_dim=32,
        initializer_factor=3.0,  # CLIP's own start gives almost flat attention
    )
    language = TEXTS[text](
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.2,
    )
    return vision, language


@cache
def make_tiny(kind: str = "llava_next", text: str = "llama", layers: int = 4, layer: int = -2):
    """A random LLaVA-NeXT or LLaVA-1.5 and its processor, in eval mode and float32."""
    tokenizer = make_tokenizer()
    vision, language = make_configs(text, layers, len(tokenizer))
    shared = {
        "vision_config": vision,
        "text_config": language,
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "vision_feature_layer": layer if isinstance(layer, int) else list(layer),
    }
    torch.manual_seed(0)
    size = {"shortest_edge": TILE}
    crop = {"height": TILE, "width": TILE}
    if kind == "llava":
        model = LlavaForConditionalGeneration(LlavaConfig(**shared))
        images = CLIPImageProcessorPil(size=size, crop_size=crop)
        cls = LlavaProcessor
    else:
        model = LlavaNextForConditionalGeneration(
            LlavaNextConfig(**shared, image_grid_pinpoints=PINPOINTS)
        )
        images = LlavaNextImageProcessorPil(
            size=size, crop_size=crop, image_grid_pinpoints=PINPOINTS
        )
        cls = LlavaNextProcessor
    processor = cls(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
    model.generation_config.eos_token_id = None  # random weights should not end early
    model.generation_config.pad_token_id = 0
    return model.eval(), processor


def make_image(height: int, width: int, seed: int = 0) -> Image.Image:
    """Noise with a bright block, so that attention has something to differ on."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    pixels[: height // 3, : width // 3] = (250, 30, 30)
    return Image.fromarray(pixels)


def prompt(question: str = "what is in the picture ?", images: int = 1) -> str:
    """The rendered chat prompt, as a user's own code would write it."""
    return f"USER: {'<image>' * images}\n{question} ASSISTANT:"


class Deprecations(logging.Handler):
    """Keeps what transformers says of names that it will drop: it logs it instead of warning."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "deprecat" in record.getMessage().lower():
            self.said.append(record.getMessage())


deprecations = Deprecations()
logging.getLogger("transformers").addHandler(deprecations)


@pytest.fixture(autouse=True)
def nothing_deprecated():
    """A deprecation in transformers' log fails the test that first met it, as a warning does."""
    yield
    said = deprecations.said.copy()
    deprecations.said.clear()
    assert not said


def pytest_collection_finish() -> None:
    """What the imports made stays: every lane measured collects garbage first."""
    gc.freeze()


@pytest.fixture(scope="session")
def tiny():
    """(model, processor) of a tiny random LLaVA-NeXT: 84-px tiles, 36 patches, 4 ViT layers."""
    return make_tiny()


@pytest.fixture(scope="session")
def tiny_15():
    """(model, processor) of a tiny random LLaVA-1.5: one partition."""
    return make_tiny("llava")


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """A small LLaVA-NeXT saved in a directory; 128 wide, so that bitsandbytes can take it."""
    from hired.models import random_weights as random_models

    config = random_models.make_config(random_models.parse("random:7b/1024"))
    config.vision_config.image_size = TILE
    config.vision_config.num_hidden_layers = 3
    config.text_config.num_hidden_layers = 2
    config.image_grid_pinpoints = PINPOINTS
    folder = tmp_path_factory.mktemp("saved")
    random_models.build_model(config, torch.device("cpu"), torch.float16).save_pretrained(folder)
    processor = random_models.make_processor()
    processor.image_processor.size = {"shortest_edge": TILE}
    processor.image_processor.crop_size = {"height": TILE, "width": TILE}
    processor.image_processor.image_grid_pinpoints = PINPOINTS
    processor.save_pretrained(folder)
    return folder


def ask(model, processor, budget: float | int = 0.3) -> tuple[str, torch.Tensor]:
    """Four greedy tokens of HiRED about a picture, as text and as ids."""
    from hired import HiRED, HiredModel

    message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}
    text = processor.apply_chat_template([message], add_generation_prompt=True)
    inputs = processor(images=make_image(90, 120), text=text, return_tensors="pt")
    lane = HiredModel(model, HiRED(budget=budget))
    output = lane.generate(**inputs, max_new_tokens=4, do_sample=False)
    new = output[0, inputs["input_ids"].shape[1] :]
    return processor.decode(new), new


@pytest.fixture(scope="session")
def served(tiny):
    """The page around the tiny model, served once for every test that asks it over HTTP."""
    from serving import serve

    from hired.web.engine import Engine

    with serve(Engine.holding(*tiny)) as demo:
        yield demo


@pytest.fixture(scope="session")
def caller(served):
    """A program that talks to `served` over HTTP."""
    from serving import Caller

    return Caller(served.local_url)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give a test that drives a browser a second and third try: it races a busy machine's clock."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=1))
