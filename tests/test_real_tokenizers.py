"""Prompts and answers with real sentencepiece and byte-level BPE: stock's ids, every backbone."""

import copy

import pytest
import torch
from conftest import make_image
from real_tokenizers import BACKBONES, make_real
from transformers import GenerationConfig

from hired.clip import read_tower
from hired.comparison.lane import Lane
from hired.comparison.run import compare
from hired.errors import ModelError, SettingError
from hired.inputs import check_image_token, prepare, prompt_ids, render
from hired.lmms.prompts import ask_batch
from hired.selectors import HiRED
from hired.wrapper import HiredModel

SIZES = [(168, 168), (84, 252), (120, 160)]
QUESTIONS = ["What colour is the star?", "Größe? 星 🙂\n\ttabs  and  spaces", "1+1=2"]


def stock(processor, question, image):
    content = [{"type": "image", "image": image}, {"type": "text", "text": question}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_prompt_has_the_ids_of_the_stock_template(backbone, question):
    """One BOS where the template writes it, and one where the tokenizer does."""
    model, processor = make_real(backbone)
    image = make_image(*SIZES[2])
    ours = prepare(processor, read_tower(model).fit, image, question).input_ids
    right = stock(processor, question, image)["input_ids"]
    assert torch.equal(ours, right)
    bos = processor.tokenizer.bos_token_id
    assert bos is None or ours[0].tolist().count(bos) == 1


@pytest.mark.parametrize("backbone", BACKBONES)
def test_control_tokens_typed_in_a_question_are_text_and_leave_the_template_alone(backbone):
    _, processor = make_real(backbone)
    tokenizer = processor.tokenizer
    plain = prompt_ids(processor, "x", 5)
    place = plain.index(tokenizer("\nx", add_special_tokens=False)["input_ids"][-1])
    control = set(tokenizer.convert_tokens_to_ids(tokenizer.all_special_tokens))
    for token in tokenizer.all_special_tokens:
        ids = prompt_ids(processor, f"what is {token}?", 5)
        after = len(plain) - place - 1
        assert ids[:place] == plain[:place] and ids[-after:] == plain[-after:]
        typed = ids[place:-after]
        assert not control & set(typed) - {tokenizer.unk_token_id}
        assert tokenizer.decode(typed).strip() == f"what is {token}?"


@pytest.mark.parametrize("backbone", BACKBONES)
def test_prompts_without_image_have_the_ids_of_the_stock_template(backbone):
    _, processor = make_real(backbone)
    for question in QUESTIONS:
        content = [{"type": "text", "text": question}]
        right = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
        )["input_ids"]
        assert prompt_ids(processor, question, 0, image=False) == right[0]
    typed = prompt_ids(processor, "is <image> a word?", 0, image=False)
    assert processor.tokenizer.convert_tokens_to_ids("<image>") not in typed


OPTIONS = {
    "greedy": {},
    "beams": {"num_beams": 3, "num_return_sequences": 2},
    "sampling": {"do_sample": True, "temperature": 0.8, "top_p": 0.9, "top_k": 20},
    "beam sampling": {"do_sample": True, "num_beams": 2},
    "penalties": {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2},
    "forbidden words": {"bad_words_ids": [[7], [9, 11]], "suppress_tokens": [5, 6]},
    "shortest": {"min_new_tokens": 5},
    "total lengths": {"max_length": 260, "min_length": 250},
    "a configuration": {"generation_config": GenerationConfig(num_beams=2, max_new_tokens=5)},
    "lookup": {"prompt_lookup_num_tokens": 3},
    "no cache": {"use_cache": False},
    "another layer": {"vision_feature_layer": -3},
    "the same layer, named": {
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
    },
    "scores": {"return_dict_in_generate": True, "output_scores": True, "output_logits": True},
    "no criteria": {"stopping_criteria": [], "logits_processor": []},
}


NEW = {"max_new_tokens": 7}
OPTIONS = {
    name: given if {"max_length", "generation_config"} & given.keys() else NEW | given
    for name, given in OPTIONS.items()
}


def batch_of(processor, count):
    images = [make_image(*size, seed=index) for index, size in enumerate(SIZES[:count])]
    texts = [
        render(processor).replace("QUESTIONGOESHERE", question) for question in QUESTIONS[:count]
    ]
    bos = processor.tokenizer.bos_token
    plain = bos is None or not texts[0].startswith(bos)
    return processor(
        images=images, text=texts, return_tensors="pt", padding=True, add_special_tokens=plain
    )


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_at_budget_1_every_option_gives_the_stock_ids(backbone, name):
    model, processor = make_real(backbone)
    inputs = batch_of(processor, 1 if name == "lookup" else 3)
    if name == "lookup" and BACKBONES[backbone][1] == "sentencepiece":
        # Stock code looks up image placeholders and stops; what stops it is said in a sentence.
        with pytest.raises(ValueError, match="image tokens do not match"):
            model.generate(**inputs, **OPTIONS[name])
        with pytest.raises(SettingError, match="copied image placeholders"):
            HiredModel(model, "full").generate(**inputs, **OPTIONS[name])
        return
    results = []
    for one in (model, HiredModel(model, HiRED(budget=1.0))):
        torch.manual_seed(11)
        results.append(one.generate(**inputs, **OPTIONS[name]))
    if name == "scores":
        for part in ("scores", "logits"):
            assert all(map(torch.equal, *(result[part] for result in results)))
        results = [result.sequences for result in results]
    assert torch.equal(*results)
    assert results[0].shape[1] > inputs["input_ids"].shape[1]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_at_budget_1_what_reaches_it_otherwise_gives_the_stock_ids(backbone):
    """Pixels and sizes in lists, no mask, and a length that the model's own configuration sets."""
    model, processor = make_real(backbone)
    ours = HiredModel(model, HiRED(budget=1.0))
    inputs = batch_of(processor, 1)
    stock = model.generate(**inputs, max_new_tokens=7)
    others = {"pixel_values": list(inputs["pixel_values"])}
    if "image_sizes" in inputs:
        others["image_sizes"] = inputs["image_sizes"].tolist()
    given = {key: value for key, value in {**inputs, **others}.items() if key != "attention_mask"}
    assert torch.equal(ours.generate(**given, max_new_tokens=7), stock)
    before = model.generation_config.max_length
    model.generation_config.max_length = inputs["input_ids"].shape[1] + 4
    try:
        assert torch.equal(ours.generate(**inputs), model.generate(**inputs))
    finally:
        model.generation_config.max_length = before


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_lane_and_the_benchmarks_answer_as_stock_does(backbone):
    model, processor = make_real(backbone)
    image, question = make_image(*SIZES[2]), QUESTIONS[0]
    inputs = stock(processor, question, image)
    output = model.generate(**inputs, max_new_tokens=6, do_sample=False)
    new = output[0, inputs["input_ids"].shape[1] :]
    right = processor.tokenizer.decode(new, skip_special_tokens=True).strip()
    lane = [Lane("everything", "hired:budget=100%")]
    *_, last = compare(model, processor, image, question, lane, max_new_tokens=6, warm_up=False)
    assert (last.phase, last.text) == ("done", right)
    wrapped = HiredModel(model, HiRED(budget=1.0))
    pairs = [(question, image), (QUESTIONS[1], None)]
    said = ask_batch(wrapped, processor, pairs, max_new_tokens=6, do_sample=False)
    assert said[0] == right


# Templates and tokenizers that do not belong to the model

TEMPLATES = {
    "strings only": (
        "{% for m in messages %}[INST] {{ m['content'] }} [/INST]{% endfor %}",
        "writes the image token '<image>' 0 times",
    ),
    "adding strings": (
        "{% for m in messages %}{{ '[INST] ' + m['content'] + ' [/INST]' }}{% endfor %}",
        "it stops with:",
    ),
    "raising": ("{{ raise_exception('Only text, please!') }}", "stops with: Only text, please!"),
    "broken": ("{% for m in messages %}", "it stops with:"),
    "deaf": ("<image> ASSISTANT:", "the question 0 times"),
    "twice": (
        "{% for m in messages %}{% for p in m['content'] %}<image>{{ p.text }}{% endfor %}"
        "{% endfor %}",
        "writes the image token '<image>' 2 times",
    ),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_that_is_not_llavas_is_blamed(tiny, name):
    template, words = TEMPLATES[name]
    processor = copy.copy(tiny[1])
    processor.chat_template = template
    for run in (
        lambda: prompt_ids(processor, "what ?", 3),
        lambda: prompt_ids(processor, "what ?", 0, image=False),
        lambda: compare(tiny[0], processor, make_image(9, 9), "what ?", [Lane("a", "hired")]),
    ):
        with pytest.raises(ModelError, match="The chat template of this processor") as caught:
            run()
        assert words in str(caught.value)


def test_an_image_token_that_tokenizer_and_model_read_otherwise_is_refused(tiny):
    model, processor = copy.deepcopy(tiny)
    check_image_token(processor, model.config)
    model.config.image_token_id = 44
    with pytest.raises(ModelError, match=r"config is 44, but its tokenizer reads '<image>' as 4\."):
        compare(model, processor, make_image(9, 9), "what ?", [Lane("a", "hired")])
    processor.image_token = "<picture>"
    with pytest.raises(ModelError, match=r"does not know '<picture>', reading it as 3\."):
        check_image_token(processor, model.config)
