"""A training that was interrupted ends with the very weights of one that was not."""

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hired.errors import ModelError
from hired.shapes.train import courses, language_stage, seen, vision_stage
from hired.shapes.train.assemble import build_model, build_processor
from hired.shapes.train.checkpoints import save_checkpoint
from hired.shapes.train.one_tile import encode_tiles
from hired.shapes.train.schedule import (
    MIXTURE,
    POSTERS,
    Course,
    LanguageSchedule,
    Schedule,
    VisionSchedule,
)
from hired.shapes.train.token_targets import TokenHead


class Interrupted(Exception):
    pass


@pytest.fixture
def interrupt(monkeypatch):
    """Save at every step; `interrupt(stage, n)` ends the stage's training right after step n."""
    monkeypatch.setattr("hired.shapes.train.checkpoints.Journal.due", lambda self, last: True)
    monkeypatch.setattr(vision_stage, "CHECK_EVERY", 2)

    def wire(stage, at):
        def save(path, step, *args, **parts):
            real(path, step, *args, **parts)
            if step == at:
                raise Interrupted

        real = stage.save_checkpoint
        monkeypatch.setattr(stage, "save_checkpoint", save)
        return lambda: monkeypatch.setattr(stage, "save_checkpoint", real)

    return wire


def same(one, two):
    pairs = zip(one.state_dict().items(), two.state_dict().values(), strict=True)
    return [name for (name, a), b in pairs if not torch.equal(a, b)] == []


@pytest.mark.parametrize("ended", [3, 5])
def test_the_vision_stage_goes_on_to_the_same_bits(tmp_path, interrupt, ended):
    schedule = VisionSchedule(4, size=3, documents=2, apart=2, closing=2)
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = vision_stage.train(tmp_path / "whole", schedule, workers=0)
    mend = interrupt(vision_stage, ended)
    with pytest.raises(Interrupted):
        vision_stage.train(tmp_path / "parts", schedule, workers=0)
    mend()
    assert same(vision_stage.train(tmp_path / "parts", schedule, workers=1), whole)
    log = tmp_path / "parts" / "vision.jsonl"
    told = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in told] == [6]
    assert set(told[0]["held_out"]) == {"words", "digits", "numbers"}
    saved = [torch.load(tmp_path / n / "vision.pt", weights_only=True) for n in ("whole", "parts")]
    for name, value in saved[0]["heads"].items():
        assert torch.equal(value, saved[1]["heads"][name]), name


def test_a_closing_course_without_the_weights_before_it_says_so(tmp_path, interrupt):
    schedule = VisionSchedule(1, size=2, documents=1, apart=1, closing=2)
    interrupt(vision_stage, 2)
    with pytest.raises(Interrupted):
        vision_stage.train(tmp_path, schedule, workers=0)
    (tmp_path / "before-closing.pt").unlink()
    with pytest.raises(ModelError, match=r"before-closing.pt, the weights before"):
        vision_stage.train(tmp_path, schedule, workers=0)


@pytest.mark.parametrize("step", [1, 2])
def test_the_tiles_of_a_lesson_that_is_over_are_not_looked_at_again(tmp_path, monkeypatch, step):
    plan = LanguageSchedule(lesson=Course(2, size=2), held_out=1)
    schedule, args = (
        Schedule(language=plan),
        Namespace(checkpoints=tmp_path, seed=3, resume_from=None, processes=2),
    )
    start, looked = courses.start_of(args, schedule, "lesson"), []
    torch.manual_seed(5)
    taught = {"model": build_model(), "head": TokenHead(), "optimiser": torch.nn.Linear(1, 1)}
    save_checkpoint(tmp_path / "lesson.pt", step, 3, start, **taught)
    monkeypatch.setattr(courses, "encode_tiles", lambda model, *part: looked.append(part) or part)
    monkeypatch.setattr(language_stage, "train", lambda *course: None)
    pupil = courses.Pupil(build_model(), build_processor(), args, schedule, 1, 2, 0, print)
    pupil.learn("lesson")
    assert looked == ([] if step == 2 else [(3, 2, 2, True), (3, 10**6, 1, True)])
    assert same(pupil.model, taught["model"]) == same(pupil.head, taught["head"]) == (step == 2)


def test_a_course_learns_its_own_share_of_the_pictures_and_the_last_new_ones_too(monkeypatch):
    plan = LanguageSchedule(pictures=10, held_out=3)
    args = Namespace(checkpoints=Path("no"), seed=3, resume_from=None, processes=2)
    looked, held_out = [], []
    monkeypatch.setattr(courses, "encode_once", lambda *how: looked.append(how[4]) or [])
    monkeypatch.setattr(courses, "encode", lambda *how: held_out.append(how[5]) or [])
    for number in (0, 1):
        pupil = courses.Pupil(
            build_model(), build_processor(), args, Schedule(language=plan), number, 2, 0, print
        )
        pupil.pictures("whole")
        pupil.pictures("again")
    ranges = [range(0, 5), range(0, 5), range(10, 15)], [range(5, 10), range(5, 10), range(15, 20)]
    assert looked == ranges[0] + ranges[1]
    assert held_out == [range(1, 4)] * 2 + [range(1, 1)] * 2


def test_a_course_may_end_later_but_not_begin_otherwise():
    args, plan = Namespace(resume_from=None, processes=2), LanguageSchedule()

    def start(course, **changes):
        whole = replace(plan.whole, **changes)
        return courses.start_of(args, Schedule(language=replace(plan, whole=whole)), course)

    assert start("whole") == start("whole", steps=3) == start("whole", fall=0.5)
    assert start("whole") != start("whole", peak=1.0)
    assert start("again") != start("again", steps=3)
    assert start("lesson") == start("lesson", peak=1.0)


def test_the_language_stage_goes_on_to_the_same_bits(tmp_path, interrupt):
    tokenizer = build_processor().tokenizer

    def run(folder):
        torch.manual_seed(0)
        model = build_model()
        tiles = list(encode_tiles(model, 0, 0, 5))
        folder.mkdir(exist_ok=True)
        course = Course(5, size=2, many=2)
        path = folder / "language.pt"
        language_stage.train(model, TokenHead(), tokenizer, tiles, tiles[:1], path, course)
        return model

    whole = run(tmp_path / "whole")
    mend = interrupt(language_stage, 4)
    with pytest.raises(Interrupted):
        run(tmp_path / "parts")
    mend()
    assert same(run(tmp_path / "parts"), whole)


def test_what_the_tower_has_looked_at_is_not_looked_at_again(tmp_path, monkeypatch):
    model, processor = build_model(), build_processor()
    monkeypatch.setattr(seen, "SHARD", 2)
    looked = []
    real = seen.encode
    monkeypatch.setattr(seen, "encode", lambda *args: looked.append(args[5]) or real(*args))

    def look(stop, mixture=MIXTURE):
        return seen.encode_once(model, processor, mixture, 0, range(1, stop), tmp_path, workers=0)

    first, again = look(4), look(6)
    assert looked == [range(1, 3), range(3, 4), range(3, 5), range(5, 6)]
    assert [one.picture for one in first] == [one.picture for one in again[:3]]
    for one, other in zip(first, again, strict=False):
        assert torch.equal(one.features, other.features) and torch.equal(one.newline, other.newline)
    look(4, POSTERS)
    with torch.no_grad():
        next(model.model.vision_tower.parameters()).add_(1)
    look(4)
    assert len(looked) == 8
