"""The plug-in for lmms-eval: without lmms-eval as far as it goes, and with it where it is there."""

import importlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import yaml
from conftest import make_image
from PIL import ExifTags, Image

import hired
from hired import lmms
from hired.cli import main
from hired.comparison.preview import Preview
from hired.errors import SettingError
from hired.lmms.prompts import ask_batch, cut_at, generate_settings, read_batch_size
from hired.selectors import build
from hired.shapes.evaluate import answer_all, is_right
from hired.shapes.pictures import ask_about, render
from hired.wrapper import HiredModel

ROOT = Path(__file__).parents[1]
FOLDER = Path(lmms.__file__).parent
POSTERS = 2


def test_images_and_plain_questions_in_a_batch_are_answered_as_alone(tiny):
    wrapped = HiredModel(tiny[0], build("hired", budget=0.3))
    pairs = [
        ("what is in the picture ?", make_image(120, 160)),
        ("how many ?", None),
        ("red ?", make_image(84, 250, seed=1)),
    ]
    settings = {"max_new_tokens": 6, "do_sample": False}
    together = ask_batch(wrapped, tiny[1], pairs, **settings)
    assert together == [ask_batch(wrapped, tiny[1], [pair], **settings)[0] for pair in pairs]
    assert len(set(together)) == 3 and ask_batch(wrapped, tiny[1], pairs[1:2], **settings)


def test_a_picture_that_exif_turns_is_asked_about_upright(tiny):
    wrapped = HiredModel(tiny[0], build("hired", budget=0.3))
    turned, upright = make_image(84, 250), make_image(84, 250).transpose(Image.Transpose.ROTATE_270)
    turned.getexif()[ExifTags.Base.Orientation] = 6
    asked = [
        ask_batch(wrapped, tiny[1], [("what ?", p)], max_new_tokens=4) for p in (turned, upright)
    ]
    assert asked[0] == asked[1] and turned.size == (250, 84)


def test_one_partition_models_too(tiny_15):
    wrapped = HiredModel(tiny_15[0], build("hired", budget=0.3))
    assert len(ask_batch(wrapped, tiny_15[1], [("what ?", make_image(50, 90))], max_new_tokens=3))


def test_what_a_task_asks_of_a_generation():
    assert generate_settings({"temperature": 0, "top_p": 1.0, "do_sample": False}) == {
        "max_new_tokens": 128, "num_beams": 1, "do_sample": False,
    }  # fmt: skip
    sampled = generate_settings({"temperature": 0.7, "top_p": 0.9, "max_new_tokens": 8})
    assert sampled["do_sample"] and (sampled["temperature"], sampled["top_p"]) == (0.7, 0.9)
    assert cut_at("yes\n\nno", ["\n\n"]) == "yes" == cut_at("yes", "") == cut_at("yes.", ".")


def test_the_entry_point_is_there():
    data = tomllib.loads((FOLDER / "plugin" / "pyproject.toml").read_text())
    module, _, name = data["project"]["entry-points"]["lmms_eval.models"]["hired"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize("split", ["large", "board"])
def test_the_task_asks_what_eval_asks(split, tmp_path, monkeypatch):
    assert main(["lmms-task", "--split", split, "--posters", "2", "--out", str(tmp_path)]) == 0
    docs = [json.loads(line) for line in (tmp_path / "questions.jsonl").read_text().splitlines()]
    asked = [question for index in range(2) for question in ask_about(split, index)[1]]
    assert [(d["question"], d["answer"]) for d in docs] == [(q.text, q.answer) for q in asked]
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "scoring", raising=False)
    scoring = importlib.import_module("scoring")
    assert scoring.doc_to_visual(docs[0])[0].tobytes() == render(ask_about(split, 0)[0]).tobytes()
    assert scoring.process_results(docs[0], [docs[0]["answer"]]) == {"content_match": 1.0}
    assert scoring.process_results(docs[0], ["who knows"]) == {"content_match": 0.0}

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: node.value)
    task = yaml.load((tmp_path / "shapes_world.yaml").read_text(), Loader)
    assert task["dataset_kwargs"]["data_files"]["test"] == str(tmp_path / "questions.jsonl")
    for key in ("doc_to_visual", "doc_to_text", "process_results"):
        assert callable(getattr(scoring, task[key].removeprefix("scoring.")))


@pytest.mark.lmms
@pytest.mark.parametrize("method", ["hired", "full"])
def test_lmms_eval_measures_what_eval_measures(method, tmp_path):
    """Run for real by `make lmms-test`: same questions, same accuracy."""
    pytest.importorskip("lmms_eval")
    assert main(["lmms-task", "--posters", str(POSTERS), "--out", str(tmp_path)]) == 0
    budget = "" if method == "full" else ",budget=0.2"
    run = subprocess.run(
        [sys.executable, "-m", "lmms_eval", "--model", "hired", "--tasks", "shapes_world",
         "--include_path", str(tmp_path), "--batch_size", "8", "--device", "cpu",
         "--model_args", f"pretrained=shapes,method={method}{budget}",
         "--output_path", str(tmp_path / "out")],
        cwd=ROOT, env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")},
        capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    (found,) = (tmp_path / "out").rglob("*_results.json")
    theirs = json.loads(found.read_text())["results"]["shapes_world"]["content_match,none"]

    model, processor = hired.load("shapes")
    eye, selector = Preview(model, processor), build(method, **({"budget": 0.2} if budget else {}))
    posters = [ask_about("sparse", index) for index in range(POSTERS)]
    pictures = [render(scene) for scene, _ in posters]
    with torch.inference_mode():
        seen = [(eye.look(picture), eye.select(picture, selector)) for picture in pictures]
        replies = answer_all(model, processor, seen, [asked for _, asked in posters])
    right = [
        is_right(reply, question)
        for answers, (_, asked) in zip(replies, posters, strict=True)
        for reply, question in zip(answers, asked, strict=True)
    ]
    assert theirs == pytest.approx(sum(right) / len(right), abs=1e-6) and len(right) > 10


@pytest.mark.lmms
def test_lmms_evals_own_adapter_takes_the_wrapped_model():
    """The adapter of the stock model, with nothing changed but the model it holds."""
    pytest.importorskip("lmms_eval")
    pytest.importorskip("decord")  # the adapter imports it, for videos
    from lmms_eval.api.instance import Instance
    from lmms_eval.models.simple.llava_hf import LlavaHf

    template = "<s><user> {{ messages[0]['content'] }} <assistant>"
    folder = str(ROOT / "assets" / "shapes")
    adapter = LlavaHf(folder, device="cpu", device_map="cpu", chat_template=template)
    adapter.task_dict = {"posters": {"test": [Image.open(ROOT / "assets/examples/sparse.png")]}}
    stock = adapter.model

    def ask(model):
        adapter._model = model
        question = "Can you read the number on the red heart?"
        arguments = (question, {"max_new_tokens": 16}, lambda one: [one], 0, "posters", "test")
        about = {"task": "posters", "doc_id": 0, "repeats": 1}
        (answer,) = adapter.generate_until([Instance("generate_until", arguments, 0, about)])
        return answer

    full = ask(stock)
    assert full and ask(HiredModel(stock, "full")) == full
    assert ask(HiredModel(stock, build("hired", budget=1))) not in ("", full)


@pytest.mark.parametrize("value", ["auto", "0", "-1", "2.5", "", 0])
def test_a_batch_size_that_is_none_is_refused(value):
    assert [read_batch_size(size) for size in (3, "8")] == [3, 8]
    with pytest.raises(SettingError, match="batch_size is a whole number from 1"):
        read_batch_size(value)
