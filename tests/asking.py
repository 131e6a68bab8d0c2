"""Two prompts of unequal length about two pictures of unequal shape, and what comes of them."""

from conftest import make_image, prompt

from hired.web.settings import from_mapping

SIZES = [(168, 168), (84, 252)]
TEXTS = [prompt("what ?"), prompt("how many of it are there ?")]
KINDS = ["llava_next", "llava"]


def process(processor, texts=TEXTS, **options):
    """What the processor returns for the first prompts, padded."""
    images = [make_image(*size, seed=index) for index, size in enumerate(SIZES[: len(texts)])]
    return processor(images=images, text=texts, return_tensors="pt", padding=True, **options)


def answers(model, inputs, new=6, **options):
    """The new tokens, greedy; `model` may be a stock one or a `HiredModel`."""
    output = model.generate(**inputs, max_new_tokens=new, do_sample=False, **options)
    return output[:, inputs["input_ids"].shape[1] :]


def shared(**values):
    """Settings as links and files of before say them: all panes share one set."""
    return from_mapping(values)
