"""The stages' own rules: schedules, gradients averaged or left alone, the start's shape."""

import itertools
import json
from contextlib import nullcontext

import pytest
import torch

from hired.errors import ModelError
from hired.shapes.train import language_stage, llama_init
from hired.shapes.train.assemble import build_model, build_processor
from hired.shapes.train.checkpoints import Journal
from hired.shapes.train.clip_init import SIDE, position_code, shift
from hired.shapes.train.courses import check_length
from hired.shapes.train.one_tile import encode_tiles
from hired.shapes.train.schedule import VisionSchedule, rate
from hired.shapes.train.seen import shuffled_batches
from hired.shapes.train.training import draw_curves


def test_rate_rises_stays_and_falls():
    rates = [rate(step, 4000, 1.0) for step in range(4000)]
    assert rates[0] < 0.01 and max(rates) == 1.0 and rates[2000] == 1.0
    assert rates[-1] == 0.02 and all(a >= b for a, b in itertools.pairwise(rates[2000:]))
    early = [rate(step, 4000, 1.0, fall=0.75) for step in range(4000)]
    assert early[:1001] == rates[:1001] and early[2500] == pytest.approx(0.5)


def test_the_closing_course_falls_from_its_own_rate_to_nothing():
    plan = VisionSchedule(steps=400, peak=1.0, closing=200, closing_peak=0.5)
    rates = [plan.rate(step) for step in range(plan.length)]
    assert rates[:400] == [rate(step, 400, 1.0) for step in range(400)]
    assert max(rates[400:]) == rates[449] == pytest.approx(0.5 * 151 / 200)
    assert rates[-1] == pytest.approx(0.5 / 200)
    noise = [plan.noise_at(step) for step in range(400, 600)]
    assert noise[0] == pytest.approx(plan.noise * 3 / 200)
    assert noise[66:] == [plan.noise] * 134 and noise[:67] == sorted(noise[:67])


def test_shift_moves_a_code_to_its_neighbour():
    code = position_code().view(SIDE, SIDE, -1)
    torch.testing.assert_close(code[3, 4] @ shift(1, -1).T, code[4, 3])


def test_every_poster_once_per_round():
    model = build_model()
    posters = list(encode_tiles(model, 0, 0, 10))
    batches = shuffled_batches(posters, 4, [0])
    rounds = [[[id(p) for p in next(batches)] for _ in range(3)] for _ in range(3)]
    for one in rounds:
        assert sorted(itertools.chain(*one)) == sorted(map(id, posters))
    assert rounds[0] != rounds[1]
    told = list(itertools.chain(*rounds))
    for first in (1, 3, 7):
        later = shuffled_batches(posters, 4, [0], first)
        assert [id(p) for p in next(later)] == told[first]


def test_start_copies_words_to_the_output_and_pairs_twins():
    torch.manual_seed(0)
    model, tokenizer = build_model(), build_processor().tokenizer
    llama_init.start(model, tokenizer)
    table = model.model.language_model.embed_tokens.weight
    star, stars, circle = (table[tokenizer.get_vocab()[w]] for w in ("star", "stars", "circle"))
    assert torch.cosine_similarity(star, stars, 0) > 0.9
    assert torch.cosine_similarity(star, circle, 0) < 0.5
    head = model.lm_head.weight
    torch.testing.assert_close(head[:, 1:], table[:, 1:] * 0.06)
    assert not head[:, llama_init.MARK].any()


def test_gradients_are_left_alone_in_one_process():
    parameter = torch.nn.Parameter(torch.ones(3))
    parameter.grad = torch.arange(3.0)
    language_stage.average([parameter])
    assert parameter.grad.tolist() == [0, 1, 2] and language_stage.rank() == 0


def test_tower_is_not_among_the_learnable():
    model = build_model()
    learned = {id(p) for _, p in language_stage.learnable(model)}
    assert not learned & {id(p) for p in model.model.vision_tower.parameters()}


def test_lines_of_steps_that_are_taken_again_go(tmp_path):
    told = Journal(tmp_path / "a.jsonl", 10, lambda line: None)
    for step in range(1, 41):
        told.add(step, {"loss": 1.0})
    with (tmp_path / "a.jsonl").open("a") as torn:  # the disk was full
        torn.write('{"step": 50, "lo')
    again = Journal(tmp_path / "a.jsonl", 10, lambda line: None, first=25)
    for step in range(26, 41):
        again.add(step, {"loss": 3.0})
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [(10, 1), (20, 1), (30, 3), (40, 3)]


def test_a_training_that_went_astray_ends_before_it_is_saved(tmp_path):
    journal = Journal(tmp_path / "a.jsonl", 10, lambda line: None)
    with pytest.raises(ModelError, match="loss is nan at step 3"):
        journal.add(3, {"loss": float("nan")})


def test_curves_of_a_world_without_words_are_drawn(tmp_path):
    line = {"step": 1, "shape": 1.0, "colour": 1.0, "digit": 1.0, "centre": 1.0, "bag": 1.0}
    (tmp_path / "vision.jsonl").write_text(json.dumps(line | {"pull": 1.0}))
    read = {"step": 1, "loss": 1.0, "held_out": {"all": 0.5}}
    (tmp_path / "language.jsonl").write_text(json.dumps(read))
    draw_curves(tmp_path, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000


@pytest.mark.parametrize(("steps", "whole", "says"), [
    (5, True, None), (5, False, None), (9, True, None),
    (4, True, "step 5, more than the 4"), (9, False, "without its optimiser"),
])  # fmt: skip
def test_a_course_that_cannot_end_where_it_is_asked_to_says_so(tmp_path, steps, whole, says):
    saved = {"step": 5} | ({"optimiser": {}} if whole else {})
    with nullcontext() if says is None else pytest.raises(ModelError, match=says):
        check_length(tmp_path / "again.pt", saved, steps)
