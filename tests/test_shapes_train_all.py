"""The one command that trains: from nothing to a saved model, on from a checkpoint, refusals."""

import json

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from hired.cli import main
from hired.shapes.train import training

STEPS = {"vision": 2, "closing": 1, "align": 1, "lesson": 1, "language": 2, "again": 1}


def train(folder, *more, **steps):
    """Exit code of a training of a few steps."""
    counts = [f"--{name}-steps={number}" for name, number in (STEPS | steps).items()]
    few = ["--pictures=8", "--device=cpu", "--held-out=2", "--threads=1", f"--checkpoints={folder}"]
    return main(["shapes", "train", *counts, *few, f"--out={folder / 'model'}", *more])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    assert train(folder, "--threads=2") == 0
    return folder


def test_one_command_makes_a_model_that_loads(trained):
    model = AutoModelForImageTextToText.from_pretrained(trained / "model")
    AutoProcessor.from_pretrained(trained / "model")
    saved = torch.load(trained / "again.pt", weights_only=True)
    assert saved["step"] == 1 and (trained / "curves.png").stat().st_size > 10_000
    tower = torch.load(trained / "vision.pt", weights_only=True)["tower"]
    for name, value in model.model.vision_tower.state_dict().items():
        assert torch.equal(value, tower[name]), name
        assert torch.equal(value, saved["model"][f"model.vision_tower.{name}"]), name


def test_it_goes_on_from_its_checkpoint(trained, capsys):
    earlier = [trained / name for name in ("vision.pt", "language.pt")]
    before = [path.stat().st_mtime for path in earlier]
    (trained / "lesson.pt").unlink()  # the last one has all that is needed
    assert train(trained, "--threads=2", again=2) == 0
    assert not (trained / "lesson.pt").exists()
    lines = [json.loads(line) for line in (trained / "again.jsonl").read_text().splitlines()]
    assert torch.load(trained / "again.pt", weights_only=True)["step"] == 2
    assert [path.stat().st_mtime for path in earlier] == before
    assert [line["step"] for line in lines] == [1, 2]
    assert all(line["loss"] > 0 and "all" in line["held_out"] for line in lines)
    assert [line["step"] for line in training.course_lines(trained)] == [2, 3, 4]
    capsys.readouterr()
    assert train(trained, "--threads=2", again=1) == 1
    assert "again.pt is at step 2, more than the 1 that" in capsys.readouterr().err


def test_checkpoints_of_another_run_are_refused(trained, capsys):
    for said, given in (
        ("run with seed 0", ["--seed=1"]),
        ("had another schedule: VisionSchedule(steps=2", ["--vision-steps=3"]),
        ("had another schedule: VisionSchedule(steps=2", ["--documents=1"]),
        ("again.pt is of a run that", ["--language-steps=3"]),
        ("processes: 2, this one", ["--threads=1"]),
        ("no model.safetensors", [f"--resume-from={trained}"]),
    ):
        assert train(trained, "--threads=2", *given) == 1
        assert said in capsys.readouterr().err
    (trained / "vision.pt").rename(trained / "kept.pt")
    assert train(trained, "--threads=2", "--vision-steps=3") == 1
    assert "another vision tower" in capsys.readouterr().err
    (trained / "kept.pt").replace(trained / "vision.pt")
    assert train(trained, "--threads=2", f"--resume-from={trained / 'model'}") == 1
    assert "began with other weights" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [
    "--threads=3", "--threads=0", "--threads=16", "--pictures=1", "--held-out=0", "--seed=-1",
    "--vision-steps=0", "--closing-steps=0", "--language-steps=0", "--again-steps=0",
    "--documents=16", "--documents=-1",
])  # fmt: skip
def test_numbers_out_of_range_are_refused_at_once(tmp_path, capsys, wrong):
    assert train(tmp_path / "none", wrong) == 2
    flag, _, value = wrong.partition("=")
    said = capsys.readouterr().err
    assert flag in said and f"got {value}" in said and not (tmp_path / "none").exists()


def test_a_tower_that_is_brought_is_not_trained_alone(tmp_path, capsys):
    assert train(tmp_path / "none", "--only-vision", f"--resume-from={tmp_path}") == 2
    assert "train nothing" in capsys.readouterr().err


def test_an_old_torch_is_told_before_hours_of_training(tmp_path, capsys, monkeypatch):
    monkeypatch.delattr(torch.optim, "Muon")
    assert train(tmp_path) == 2
    assert "torch 2.9 or newer" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
