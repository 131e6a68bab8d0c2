"""The model that ships: stock, small, loads without this project, answers its examples."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open

import hired
from hired.shapes.page_questions import PAGE_KINDS
from hired.shapes.points import POSTERS, READING
from hired.shapes.questions import KINDS
from hired.shapes.scoring import content
from hired.shapes.train.assemble import (
    build_model,
    build_processor,
    hub_name,
    load_weights,
    own_name,
    save,
)

ASSETS = Path(__file__).resolve().parent.parent / "assets"
LISTED = json.loads((ASSETS / "examples" / "examples.json").read_text())
ALONE = """
import sys, torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
folder, image, question = sys.argv[1:]
model = AutoModelForImageTextToText.from_pretrained(folder)
processor = AutoProcessor.from_pretrained(folder)
chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
text = processor.apply_chat_template(chat, add_generation_prompt=True)
inputs = processor(images=Image.open(image).convert("RGB"), text=text, return_tensors="pt")
output = model.generate(**inputs)[0, inputs["input_ids"].shape[1]:]
assert not any(name.split(".")[0] == "hired" for name in sys.modules)
print(processor.decode(output, skip_special_tokens=True))
"""


@pytest.fixture(scope="module")
def shipped():
    return hired.load("shapes")


def test_size_and_names():
    folder = ASSETS / "shapes"
    assert sum(f.stat().st_size for f in folder.iterdir()) <= 40 * 2**20
    with safe_open(folder / "model.safetensors", "pt") as file:
        names = set(file.keys())
    assert all(
        n.startswith(
            (
                "vision_tower.vision_model.",
                "language_model.model.",
                "language_model.lm_head.",
                "multi_modal_projector.",
                "image_newline",
            )
        )
        for n in names
    )
    assert {own_name(n) for n in names} == set(build_model().state_dict())


def test_answers_without_this_project(tmp_path):
    first = LISTED[0]
    arguments = [str(ASSETS / "shapes"), str(ASSETS / "examples" / first["file"])]
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, *arguments, first["question"]],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert content(done.stdout) == content(first["answer"])


@pytest.mark.parametrize("example", LISTED, ids=lambda e: e["file"])
@pytest.mark.parametrize("method", ["full", "hired"])
def test_bundled_examples(shipped, example, method):
    model, processor = shipped
    chat = [
        {
            "role": "user",
            "content": [{"type": "image"}, {"type": "text", "text": example["question"]}],
        }
    ]
    text = processor.apply_chat_template(chat, add_generation_prompt=True)
    picture = Image.open(ASSETS / "examples" / example["file"])
    inputs = processor(images=picture, text=text, return_tensors="pt")
    selector = hired.SELECTORS[method](**({} if method == "full" else {"budget": 0.2}))
    output = hired.HiredModel(model, selector).generate(**inputs, max_new_tokens=110)
    reply = processor.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    right = content(reply) == content(example["answer"])
    survives = {point.file: point.survives for point in POSTERS + READING}[example["file"]]
    wanted = True if method == "full" else survives  # None: not chosen by it
    assert wanted in (None, right), reply


def test_save_and_load_keep_every_weight(tmp_path):
    torch.manual_seed(0)
    model = build_model()
    save(model, tmp_path)
    again = build_model()
    load_weights(again, tmp_path)
    for (name, a), b in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
        assert own_name(hub_name(name)) == name


def test_processor_uses_the_models_grids():
    processor = build_processor()
    model = build_model()
    assert processor.image_processor.image_grid_pinpoints == model.config.image_grid_pinpoints
    assert processor.patch_size == model.config.vision_config.patch_size


def test_evaluate_counts_questions(capsys):
    from hired.cli import main
    from hired.shapes.evaluate import answer, is_right
    from hired.shapes.pictures import ask_about

    asked = ["--method", "hired", "--budget", "20%", "--limit", "11", "--seed", "7", "--json"]
    assert main(["shapes", "evaluate", *asked]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["questions"] == 11 and set(found["by_kind"]) <= set(KINDS)

    model, processor = hired.load("shapes")
    right, tokens, left = 0, 0, 11
    for index in range(11):
        scene, questions = ask_about("sparse", index, seed=7)
        questions = questions[:left]
        if not questions:
            break
        left -= len(questions)
        replies, visual = answer(model, processor, scene, questions, hired.HiRED(budget=0.2))
        right += sum(map(is_right, replies, questions))
        tokens += visual * len(questions)
    assert found["accuracy"] == pytest.approx(right / 11, abs=1e-4)
    assert found["visual_tokens_mean"] == pytest.approx(tokens / 11, abs=0.01)


def test_evaluate_asks_about_documents(capsys):
    from hired.cli import main

    asked = ["--split", "chart", "--limit", "3", "--method", "hired", "--budget", "10%", "--json"]
    assert main(["shapes", "evaluate", *asked]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["split"], found["questions"]) == ("chart", 3)
    assert set(found["by_kind"]) <= set(PAGE_KINDS) and found["visual_tokens_mean"] > 0


@pytest.mark.parametrize("limit", ["0", "-3"])
def test_evaluate_wants_a_question(limit, capsys):
    from hired.cli import main

    assert main(["shapes", "evaluate", "--limit", limit]) == 2
    assert limit in capsys.readouterr().err
