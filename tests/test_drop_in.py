"""`HiredModel.generate` with what people bring: the stock model's answer, or one sentence."""

import copy

import accelerate
import pytest
import torch
import transformers
from asking import TEXTS, answers, process
from conftest import make_image, make_tiny
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from hired.errors import HiredError, InputError, ModelError, SettingError
from hired.selectors import HiRED, build
from hired.wrapper import HiredModel, select


@pytest.fixture
def own():
    """A tiny model whose generation config may be written."""
    return copy.deepcopy(make_tiny())


# Padding


def pad_right(inputs, pad=0):
    ids, mask = inputs["input_ids"].clone(), inputs["attention_mask"].clone()
    for row in range(len(ids)):
        real = ids[row][mask[row].bool()]
        ids[row], mask[row] = pad, 0
        ids[row, : len(real)], mask[row, : len(real)] = real, 1
    return {**inputs, "input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("budget", [0.3, 1.0])
def test_padding_on_either_side_with_or_without_mask(tiny, side, masked, budget):
    model, processor = tiny
    inputs = process(processor)
    assert (inputs["attention_mask"] == 0).any()
    wrapped = HiredModel(model, HiRED(budget))
    right = answers(wrapped, inputs)
    given = dict(inputs) if side == "left" else pad_right(inputs)
    if not masked:
        given["attention_mask"] = None
    assert torch.equal(answers(wrapped, given), right)
    if budget == 1.0:
        assert torch.equal(right, answers(model, inputs))


def test_padding_of_prompts_without_image(tiny):
    model, processor = tiny
    texts = ["USER: what ASSISTANT:", "USER: what is in the picture ? ASSISTANT:"]
    inputs = processor(text=texts, return_tensors="pt", padding=True)
    right = answers(model, inputs)
    given = pad_right(inputs)
    for masks in (given["attention_mask"], None):
        assert torch.equal(
            answers(HiredModel(model, "hired"), given | {"attention_mask": masks}), right
        )


@pytest.mark.parametrize("pad", [None, 2])
def test_padding_that_may_be_text_is_refused_without_mask(own, pad):
    """No pad token, or one that is the end token too, as Llama 3 and Mistral have it."""
    model, processor = own
    model.generation_config.pad_token_id = pad
    model.generation_config.eos_token_id = [2, 5]
    wrapped, inputs = HiredModel(model, "hired"), pad_right(process(processor), 2)
    answers(wrapped, inputs)  # with a mask there is nothing to guess
    with pytest.raises(InputError, match="attention_mask is missing, and what is padding cannot"):
        answers(wrapped, inputs | {"attention_mask": None})
    one = process(processor, TEXTS[:1])
    told = answers(wrapped, one)
    assert torch.equal(told, answers(wrapped, one | {"attention_mask": None}))


# Lengths and callbacks count the caller's prompt


@pytest.mark.parametrize("budget", [0.2, 1.0])
@pytest.mark.parametrize("where", ["model", "given config", "keyword"])
def test_lengths_count_the_callers_prompt_wherever_they_stand(own, where, budget):
    model, processor = own
    inputs = process(processor)
    length = inputs["input_ids"].shape[1]
    lengths = {"max_length": length + 9, "min_length": length + 4}
    model.generation_config.eos_token_id = list(range(2, 40))  # ends at once, where it may
    options = {}
    if where == "model":
        model.generation_config.update(**lengths)
    elif where == "keyword":
        options = lengths
    else:
        options = {"generation_config": GenerationConfig(**lengths)}
    stock = model.generate(**inputs, **options)
    ours = HiredModel(model, HiRED(budget)).generate(**inputs, **options)
    assert ours.shape[1] >= length + 5 and ours.shape[1] <= length + 9
    if budget == 1.0:
        assert torch.equal(ours, stock)


def test_a_length_that_leaves_no_room_is_refused(own):
    model, processor = own
    inputs = process(processor)
    for options in ({"max_length": 30}, {"generation_config": GenerationConfig(max_length=30)}):
        with pytest.raises(SettingError, match="max_length is 30, and the prompt alone has"):
            HiredModel(model, "hired").generate(**inputs, **options)


class LongerThan(StoppingCriteria):
    """As LLaVA's KeywordsStoppingCriteria: counts from the prompt it was made with."""

    def __init__(self, prompt, new):
        self.prompt, self.new, self.seen = prompt, new, []

    def __call__(self, input_ids, scores, **kwargs):
        assert torch.equal(input_ids[:, : self.prompt.shape[1]], self.prompt)
        done = input_ids.shape[1] >= self.prompt.shape[1] + self.new
        return torch.full((len(input_ids),), done, dtype=torch.bool)


class Collect(BaseStreamer):
    def __init__(self):
        self.values = []

    def put(self, value):
        self.values.append(value)

    def end(self):
        self.values.append("end")


def test_callbacks_see_the_callers_prompt(tiny):
    model, processor = tiny
    inputs = process(processor, TEXTS[:1])
    ids, streamer = inputs["input_ids"], Collect()

    def count(seen, scores):
        assert torch.equal(seen[:, : ids.shape[1]], ids)
        return scores

    def allow(batch, seen):
        assert torch.equal(seen[: ids.shape[1]], ids[batch])
        return [7 + len(seen) - ids.shape[1]]

    output = HiredModel(model, HiRED(0.2)).generate(
        **inputs,
        max_new_tokens=9,
        stopping_criteria=StoppingCriteriaList([LongerThan(ids, 3)]),
        logits_processor=[count],
        prefix_allowed_tokens_fn=allow,
        streamer=streamer,
    )
    assert output[0, ids.shape[1] :].tolist() == [7, 8, 9]
    assert torch.equal(streamer.values[0], ids) and streamer.values[-1] == "end"


# Models and methods


def test_a_methods_name_is_a_selector(tiny):
    model, processor = tiny
    inputs = process(processor)
    for line, built in (("hired", HiRED()), ("hired:budget=40%,alpha=0.3", HiRED(0.4, 0.3))):
        named = HiredModel(model, line)
        assert named.selector == built
        assert torch.equal(answers(named, inputs), answers(HiredModel(model, built), inputs))
    pixels = inputs["pixel_values"], inputs["image_sizes"]
    masks = [select(model, *pixels, one)[0].mask for one in ("hired", HiRED())]
    assert torch.equal(*masks)


@pytest.mark.parametrize("selector", [None, HiRED, 0.2, "magic", {}])
def test_what_is_no_selector_is_a_setting_error(tiny, selector):
    with pytest.raises(SettingError):
        HiredModel(tiny[0], selector)
    with pytest.raises(SettingError):
        select(tiny[0], torch.zeros(1), None, selector)


def test_what_is_no_model_is_a_model_error(tiny):
    model, processor = tiny
    inner = (model.model, model.model.vision_tower, model.model.language_model)
    wrong = (None, "llava-hf/llava-1.5-7b-hf", 5, processor, type(model), *inner, tiny)
    for one in (*wrong, HiredModel(model, "hired")):
        with pytest.raises(ModelError, match=r"HiRED (reads|needs)"):
            HiredModel(one, build("hired"))


# A good citizen


def test_the_pipeline_of_transformers_takes_it(tiny):
    model, processor = tiny
    image = make_image(120, 160)
    content = [{"type": "image", "image": image}, {"type": "text", "text": "what is it ?"}]
    chat = [{"role": "user", "content": content}]
    said = {}
    for name, one in (
        ("stock", model),
        ("everything", HiredModel(model, "full")),
        ("little", HiredModel(model, HiRED(0.1))),
    ):
        pipe = transformers.pipeline("image-text-to-text", model=one, processor=processor)
        assert pipe.device == model.device
        asked = pipe(text=chat, max_new_tokens=8, return_full_text=False)
        plain = pipe(text=TEXTS[0], images=image, max_new_tokens=8, return_full_text=False)
        said[name] = [asked[0]["generated_text"], plain[0]["generated_text"]]
    assert said["stock"] == said["everything"] and all(said["little"])


def test_it_has_what_evaluation_loops_ask(tiny):
    model, _ = tiny
    wrapped = HiredModel(model, "hired")
    for name in ("config", "device", "dtype", "generation_config", "name_or_path", "training"):
        assert getattr(wrapped, name) is getattr(model, name) or getattr(wrapped, name) == getattr(
            model, name
        )
    assert accelerate.Accelerator(cpu=True).unwrap_model(wrapped) is wrapped
    assert wrapped.can_generate() and wrapped.eval() is wrapped and wrapped.to("cpu") is wrapped
    assert next(wrapped.parameters()) is next(model.parameters())
    with pytest.raises(ModelError, match="only generates"):
        wrapped(input_ids=None)
    for name in ("forward", "save_pretrained", "_private"):
        assert not hasattr(wrapped, name)
    with pytest.raises(ModelError, match=r"shared: set it on \.model, or pass it to generate"):
        wrapped.generation_config = transformers.GenerationConfig(max_new_tokens=2)
    assert isinstance(copy.copy(wrapped), HiredModel) and issubclass(InputError, HiredError)
