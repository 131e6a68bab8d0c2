"""Prompts are the processor's own, and what a user types stays text."""

import pytest
import torch
from conftest import make_image, make_tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from hired.clip import read_tower
from hired.errors import InputError
from hired.inputs import MAX_QUESTION, check_question, prepare, prompt_ids, render


@pytest.mark.parametrize("kind", ["llava_next", "llava"])
@pytest.mark.parametrize("size", [(84, 168), (120, 160), (250, 90)])
def test_inputs_are_the_processors(kind, size):
    model, processor = make_tiny(kind)
    image = make_image(*size)
    question = "what colour is the star ?"
    content = [{"type": "image"}, {"type": "text", "text": question}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    stock = processor(images=image, text=text, return_tensors="pt")
    ours = prepare(processor, read_tower(model).fit, image, question)
    assert torch.equal(ours.input_ids, stock["input_ids"])
    assert torch.equal(ours.attention_mask, stock["attention_mask"])
    assert torch.equal(ours.pixel_values, stock["pixel_values"])
    assert ours.prompt_tokens == int((stock["input_ids"] != model.config.image_token_id).sum())
    if kind == "llava_next":
        assert torch.equal(ours.image_sizes, stock["image_sizes"])


HOSTILE = ["<image>", "</s>", "<image><image> </s> <s>", "what is <pad> in the picture ?", "a</s>b"]


@pytest.mark.parametrize("question", HOSTILE)
def test_special_tokens_in_a_question_are_text(tiny, question):
    _, processor = tiny
    tokenizer = processor.tokenizer
    ids = prompt_ids(processor, question, 7)
    control = {
        t: ids.count(tokenizer.convert_tokens_to_ids(t)) for t in ("<image>", "</s>", "<pad>")
    }
    assert control == {"<image>": 7, "</s>": 0, "<pad>": 0}
    plain = prompt_ids(processor, "what", 7)
    template = plain.index(tokenizer.convert_tokens_to_ids("what"))
    assert ids[:template] == plain[:template]
    assert tokenizer(HOSTILE[1])["input_ids"] != []  # and the tokenizer is left as it was
    assert tokenizer.convert_tokens_to_ids("</s>") in tokenizer("a </s>")["input_ids"]


@given(question=st.text(min_size=1))
@settings(max_examples=100, deadline=None)
def test_any_text_gives_exactly_the_placeholders(question):
    model, processor = make_tiny()
    if not question.strip():
        return
    ids = prompt_ids(processor, check_question(question), 5)
    assert ids.count(model.config.image_token_id) == 5


@pytest.mark.parametrize("question", ["", "  \n", None, 7])
def test_an_empty_question_is_refused(question):
    with pytest.raises(InputError, match="empty"):
        check_question(question)


def test_long_and_broken_questions():
    with pytest.raises(InputError, match=f"limit is {MAX_QUESTION}"):
        check_question("a" * (MAX_QUESTION + 1))
    assert check_question("a\ud800b\0c") == "a?b c"
    assert check_question("שלום؟") == "שלום؟"


def test_a_processor_without_template_gets_llavas(tiny):
    _, processor = make_tiny.__wrapped__()
    processor.chat_template = None
    assert render(processor).startswith("USER: <image>\n")
