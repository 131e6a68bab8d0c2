"""The plug-in inside vLLM itself: the library's selection, the library's answers, its caches.

Needs vLLM, in an environment of its own: `make serve-test` makes it and runs these. In this
process there is one engine; tests/test_vllm_server.py drives a real server.
"""

import copy
import os
from functools import cache

import pytest
import torch
from conftest import make_image, make_tiny, prompt

from hired import HiRED, HiredModel, load
from hired.clip import read_tower
from hired.inputs import MARK, render
from hired.lmms.prompts import ask_batch
from hired.selectors import build, fitting
from hired.serving.launch import overrides
from hired.serving.models import find_folder, save_for_vllm
from hired.serving.register import register
from hired.shapes.pictures import ask_about
from hired.shapes.pictures import render as draw
from hired.wrapper import select

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # the tests look into the engine
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
vllm = pytest.importorskip("vllm", reason="vLLM has an environment of its own: make serve-test")
pytestmark = [
    pytest.mark.serve,
    pytest.mark.timeout(3600),
    pytest.mark.filterwarnings("default"),  # of vLLM and the torch it pins
]

BUDGETS = (0.4, 0.2, 0.1)
POSTERS = 50
NEW = 24
CPU = {"dtype": "float32", "enforce_eager": True, "limit_mm_per_prompt": {"image": 3}}


def open_engine(folder, **options):
    register()
    asked = overrides(str(folder), {"budget": 0.2})
    return vllm.LLM(str(folder), hf_overrides=asked, **CPU, **options)


@cache
def shapes():
    return load("shapes")


@pytest.fixture(scope="module")
def engine():
    return open_engine(find_folder("shapes"), max_model_len=2048, max_num_batched_tokens=512)


@pytest.fixture(scope="module")
def posters():
    """50 posters with a question each; every grid is among them."""
    model, _ = shapes()
    made = []
    for index in range(POSTERS // 2):
        for split in ("sparse", "large"):
            scene, questions = ask_about(split, index)
            made.append((draw(scene), questions[0].text))
    fit = read_tower(model).fit
    grids = {(grid.rows, grid.cols) for grid in (fit(image.size[::-1]) for image, _ in made)}
    assert grids == {(1, 2), (2, 1), (2, 2), (3, 1), (1, 3)}
    return made


def model_of(engine):
    core = engine.llm_engine.engine_core.engine_core
    return core.model_executor.driver_worker.worker.model_runner.model


def request(image, question, **settings):
    before, after = render(shapes()[1]).split(MARK)
    images = image if isinstance(image, list) else [image]
    before = before.replace("<image>", "<image>" * len(images))
    kwargs = {"hired": settings} if settings else None
    data = {"image": images if len(images) > 1 else images[0]}
    return {"prompt": before + question + after, "multi_modal_data": data,
            "mm_processor_kwargs": kwargs}  # fmt: skip


def ask(engine, requests):
    greedy = vllm.SamplingParams(temperature=0, max_tokens=NEW)
    return engine.generate(requests, greedy, use_tqdm=False)


def text_of(output):
    return output.outputs[0].text.strip()


def visual(output):
    token = shapes()[0].config.image_token_id
    return sum(each == token for each in output.prompt_token_ids)


def answer(image, question, selector):
    """What the library itself answers."""
    model, processor = shapes()
    wrapped, pairs = HiredModel(model, selector), [(question, image)]
    [text] = ask_batch(wrapped, processor, pairs, max_new_tokens=NEW, do_sample=False)
    return text


def both_selections(engine, image, selector):
    model, processor = shapes()
    pixels = processor.image_processor(images=image, return_tensors="pt")
    pixels = pixels["pixel_values"], pixels["image_sizes"]
    with torch.inference_mode():
        theirs = model_of(engine).look(selector, *pixels)[0][1]
    return select(model, *pixels, selector)[0], theirs


@pytest.mark.parametrize("budget", BUDGETS)
def test_keeps_what_the_library_keeps(engine, posters, budget) -> None:
    for image, _ in posters:
        mine, theirs = both_selections(engine, image, HiRED(budget=budget))
        assert torch.equal(mine.mask, theirs.mask)


@pytest.mark.parametrize("name", ["divprune", "globalcom2", "prumerge-plus", "visionzip"])
def test_other_methods_too(engine, posters, name) -> None:
    for image, _ in posters[:6]:
        mine, theirs = both_selections(engine, image, build(name, **fitting(name, {"budget": 0.2})))
        assert torch.equal(mine.mask, theirs.mask)


@pytest.mark.parametrize("budget", BUDGETS)
def test_answers_what_the_library_answers(engine, posters, budget) -> None:
    found = ask(engine, [request(*poster, budget=budget) for poster in posters])
    for output, (image, question) in zip(found, posters, strict=True):
        assert text_of(output) == answer(image, question, HiRED(budget=budget))


def test_reserves_exactly_what_is_kept(engine, posters) -> None:
    for settings in ({"budget": 0.1}, {"budget": 100}, {"budget": 0.2, "newline": "rows"},
                     {"budget": 1.0}, {"method": "full"}, {"method": "visionzip"}):  # fmt: skip
        own = {key: value for key, value in settings.items() if key != "method"}
        selector = build(settings.get("method", "hired"), **own)
        for image, question in posters[:6]:
            mine, _ = both_selections(engine, image, selector)
            output = ask(engine, [request(image, question, **settings)])[0]
            assert visual(output) == mine.visual_tokens


def test_without_settings_the_server_s_own_hold(engine, posters) -> None:
    image, question = posters[0]
    plain, said = ask(engine, [request(image, question), request(image, question, budget=0.2)])
    assert plain.prompt_token_ids == said.prompt_token_ids
    assert text_of(plain) == text_of(said)


def test_a_mixed_batch_answers_as_one_by_one(engine, posters) -> None:
    settings = [{"budget": 0.1}, {"method": "full"}, {"budget": 0.4, "alpha": 0.3}, {},
                {"method": "visionzip"}, {"budget": 0.2, "newline": "rows"}]  # fmt: skip
    mixed = [request(*poster, **settings[i % 6]) for i, poster in enumerate(posters[:18])]
    mixed.append({"prompt": "<s><user> Hello there. <assistant>"})
    together = ask(engine, mixed)
    engine.reset_prefix_cache()
    engine.reset_mm_cache()
    for one, output in zip(mixed, together, strict=True):
        alone = ask(engine, [one])[0]
        assert (alone.prompt_token_ids, text_of(alone)) == (
            output.prompt_token_ids,
            text_of(output),
        )


def test_another_budget_never_finds_this_one_s_entries(engine, posters) -> None:
    """The same count, even, but other patches: only the settings tell them apart."""
    image, question = posters[2]
    wanted = {alpha: answer(image, question, HiRED(100, alpha=alpha)) for alpha in (0.1, 0.9)}
    engine.reset_prefix_cache()
    for alpha in (0.1, 0.9, 0.1, 0.9):
        output = ask(engine, [request(image, question, budget=100, alpha=alpha)])[0]
        assert text_of(output) == wanted[alpha]
    hashes = set()
    processor = engine.llm_engine.input_processor.renderer.get_mm_processor()
    for settings in ({"budget": 100, "alpha": 0.1}, {"budget": 100, "alpha": 0.9}, {"budget": 1},
                     {"budget": 1.0}, None):  # fmt: skip
        items = processor.info.parse_mm_data({"image": image})
        kwargs = {"hired": settings} if settings else {}
        made = processor(render(shapes()[1]), items, hf_processor_mm_kwargs=kwargs)
        hashes.add(made["mm_hashes"]["image"][0])
    assert len(hashes) == 5


def test_the_same_request_again_is_found_in_the_prefix_cache(engine, posters) -> None:
    image, question = posters[4]
    engine.reset_prefix_cache()
    first, again = (ask(engine, [request(image, question, budget=0.4)])[0] for _ in range(2))
    assert again.num_cached_tokens > 0 == first.num_cached_tokens
    assert text_of(first) == text_of(again)


def test_several_images_in_one_prompt(engine, posters) -> None:
    """Different grids in one prompt: each keeps its own share, padding tiles are not looked at."""
    images = [image for image, _ in posters[:3]]
    output = ask(engine, [request(images, "How many red hearts are there?", budget=0.2)])[0]
    alone = [ask(engine, [request(image, "?", budget=0.2)])[0] for image in images]
    assert visual(output) == sum(map(visual, alone))
    model, processor = shapes()
    text = render(processor).replace("<image>", "<image>" * 3)
    text = text.replace(MARK, "How many red hearts are there?")
    inputs = processor(images=images, text=text, return_tensors="pt", add_special_tokens=False)
    new = HiredModel(model, HiRED(0.2)).generate(**inputs, max_new_tokens=NEW, do_sample=False)
    new = processor.tokenizer.decode(
        new[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )
    assert text_of(output) == new.strip()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "prumerge-adaptive"}, "before it sees the image"),
        ({"method": "hired-release"}, "before it sees the image"),
        ({"budget": 3.0}, "A budget is a rate"),
        ({"final_layer": 5}, "final_layer must be a layer of this vision tower that runs, 0 to 4"),
        ({"heads": 6}, "heads must be a head"),
    ],
)
def test_what_cannot_be_is_refused_and_the_engine_lives_on(
    engine, posters, settings, words
) -> None:
    with pytest.raises(ValueError, match=words):
        ask(engine, [request(*posters[0], **settings)])
    other = {**request(*posters[0]), "mm_processor_kwargs": {"do_resize": False}}
    with pytest.raises(ValueError, match="takes only 'hired'"):
        ask(engine, [other])
    assert text_of(ask(engine, [request(*posters[0])])[0])


def test_llava_15(tmp_path) -> None:
    tiny, processor = make_tiny("llava")
    config = copy.deepcopy(tiny.config)
    config.text_config.head_dim = 32  # the narrowest that vLLM's attention takes on a CPU
    torch.manual_seed(0)
    model = type(tiny)(config).eval()
    save_for_vllm(model, processor, tmp_path)
    engine = open_engine(tmp_path, max_model_len=512)
    image = make_image(84, 84)  # as large as the tower's input: no resizing on the way
    for budget in (0.5, 10, 1.0):
        data = {"prompt": prompt(), "multi_modal_data": {"image": image},
                "mm_processor_kwargs": {"hired": {"budget": budget}}}  # fmt: skip
        output = engine.generate([data], vllm.SamplingParams(temperature=0, max_tokens=8))[0]
        inputs = processor(images=image, text=prompt(), return_tensors="pt")
        wanted = HiredModel(model, HiRED(budget)).generate(
            **inputs, max_new_tokens=8, do_sample=False
        )
        new = wanted[0, inputs["input_ids"].shape[1] :].tolist()
        assert list(output.outputs[0].token_ids) == new[: len(output.outputs[0].token_ids)]
