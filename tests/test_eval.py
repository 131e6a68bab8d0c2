"""Accuracy: which lanes there are, what a record holds, and what is made of it."""

import json
from dataclasses import replace

import pytest
import torch
from conftest import PATCH, PINPOINTS, TILE

from hired.bench.accuracy import run_plan
from hired.bench.accuracy_figures import draw_accuracy
from hired.bench.accuracy_plan import EVEN, EvenCrops, Plan, ablations, lane_title, split_title
from hired.bench.accuracy_summary import summarise
from hired.bench.accuracy_tables import make_report
from hired.bench.plan import Entry, expand
from hired.bench.results import read_lines, rounds_in
from hired.cli import main
from hired.clip import read_tower
from hired.comparison.preview import Preview
from hired.encode import Vision
from hired.errors import InputError, SettingError
from hired.selectors import SELECTORS, build, fitting
from hired.shapes.evaluate import answer, answer_all, drawn_for, is_right
from hired.shapes.page_phrases import KNOWS_PAGES
from hired.shapes.phrases import ANSWERS_NOTHING
from hired.shapes.pictures import TESTED, ask_about, render
from hired.shapes.questions import Question
from hired.shapes.scoring import known_answer
from hired.tiles import TileGrid

SMALL = Plan(
    methods=(Entry("hired"), Entry("visionzip")),
    budgets=(0.2, 1.0),
    splits=("sparse",),
    posters=3,
    batch=2,
)


@pytest.fixture(scope="module")
def record(tiny, tmp_path_factory):
    """A real run: 3 posters, 3 lanes."""
    path = tmp_path_factory.mktemp("eval") / "small.jsonl"
    said = []
    run_plan(SMALL, path, "python -m hired eval …", "cpu", lambda *now: said.append(now), tiny)
    assert said[-1] == (9, 9, "done")
    return path


def test_lanes_are_methods_times_budgets_and_everything_is_the_baseline():
    lanes = Plan(
        methods=expand(["hired", "hired:fuse=true", "prumerge-adaptive"]), budgets=(0.2, 1.0, 9)
    )
    assert list(lanes.methods_lanes()) == [
        "full", "hired@0.2", "hired@9", "hired:fuse=true@0.2", "hired:fuse=true@9",
        "prumerge-adaptive",
    ]  # fmt: skip
    release = Plan(methods=(Entry("hired-release"),), budgets=(1.0,)).methods_lanes()
    assert list(release) == ["full", "hired-release@1.0"]  # it does not keep everything at 1.0
    for lane in ("hired@0.2", "hired:alpha=0.3@160", "full", "hired:alpha=1@1.0"):
        assert lane_title(*split_title(lane)) == lane


def test_ablations_keep_the_same_exact_count(tiny):
    tower = read_tower(tiny[0])
    names = ablations(tower)
    assert {"hired", "fastervlm", EVEN, "hired-release:exact=true", "hired:final_layer=0",
            "hired:init_layer=2", "hired:alpha=0", "hired:alpha=1", "hired:heads=max",
            "hired:heads=0", "hired:fuse=true"} <= set(names)  # fmt: skip
    grid = TileGrid.fit((120, 160), PINPOINTS, TILE, PATCH)
    cls = {layer: torch.rand(grid.tiles, 4, grid.patches) for layer in range(4)}
    vision = Vision(grid, torch.rand(grid.tiles, grid.patches, 8), cls, tower.feature_tap)
    lanes = Plan(methods=(), ablations=(0.2,)).lanes(tower)
    assert len(lanes) == 1 + len(names)
    for title, selector in lanes.items():
        if title != "full":
            assert selector.select(vision).kept == int(0.2 * grid.nominal), title


def test_even_crops_share_alike_and_are_in_no_list():
    grid = TileGrid.fit((168, 168), PINPOINTS, TILE, PATCH)
    overview = torch.zeros(4, grid.patches)
    overview[:, :3] = 1.0  # all attention in one corner
    assert EvenCrops(0.2).budgets(grid, overview) == [18, 5, 5, 4, 4]
    assert build("hired", budget=0.2).budgets(grid, overview) == [18, 18, 0, 0, 0]
    assert EvenCrops not in SELECTORS.values()


@pytest.mark.parametrize(
    "settings",
    [{"posters": 0}, {"batch": 0}, {"seed": -1}, {"splits": ("dense",)}, {"budgets": (2.0,)}],
)
def test_nonsense_is_refused(settings):
    with pytest.raises(SettingError, match="got"):
        Plan(**settings)


def test_the_record_holds_every_answer_and_count(record):
    lines = read_lines(record, "eval")
    assert lines[0]["of"] == "eval" and lines[0]["versions"]["torch"] and lines[0]["weights"]
    rounds = rounds_in(lines)
    assert [(one["split"], one["poster"]) for one in rounds] == [("sparse", n) for n in range(3)]
    for one in rounds:
        scene, asked = ask_about("sparse", one["poster"])
        grid = TileGrid.fit((scene.height, scene.width), PINPOINTS, TILE, PATCH)
        assert one["kinds"] == [question.kind for question in asked]
        assert list(one["lanes"]) == ["full", "hired@0.2", "visionzip@0.2"]
        tokens = [lane["visual_tokens"] for lane in one["lanes"].values()]
        assert tokens == [grid.stock, *[int(0.2 * grid.nominal)] * 2]
        for lane in one["lanes"].values():
            assert len(lane["right"]) == len(asked) and set(lane["right"]) <= {"0", "1"}


def test_what_is_recorded_is_not_asked_again(record, tiny, tmp_path):
    path = tmp_path / "again.jsonl"
    whole = record.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*whole[:-1], whole[-1][:70]]), encoding="utf-8")  # cut off
    more = replace(SMALL, methods=(*SMALL.methods, Entry("random")))
    run_plan(more, path, "again", "cpu", loaded=tiny)
    rounds = rounds_in(read_lines(path, "eval"))
    new = {one["poster"]: list(one["lanes"]) for one in rounds[2:]}
    assert new == {
        0: ["random@0.2"],
        1: ["random@0.2"],
        2: ["full", "hired@0.2", "visionzip@0.2", "random@0.2"],
    }
    size = path.stat().st_size
    run_plan(more, path, "again", "cpu", loaded=tiny)
    assert len(rounds_in(read_lines(path, "eval"))) == len(rounds) and path.stat().st_size > size
    assert {score.posters for score in summarise(rounds)} == {3}


def test_other_weights_and_other_records_do_not_mix(record, tiny_15, tmp_path):
    path = tmp_path / "other.jsonl"
    lines = record.read_text(encoding="utf-8").splitlines()
    path.write_text(json.dumps({**json.loads(lines[0]), "weights": "others"}) + "\n")
    with pytest.raises(SettingError, match="others"):
        run_plan(SMALL, path, "", "cpu", loaded=tiny_15)
    with pytest.raises(InputError, match="record of bench"):
        read_lines(record)


@pytest.mark.parametrize("name", ["full", "hired", "visionzip"])
def test_one_pass_for_all_methods_gives_what_each_methods_own_pass_gives(tiny, name):
    eye, selector = Preview(*tiny), build(name, **fitting(name, {"budget": 0.2}))
    posters = [ask_about(split, 0) for split in ("sparse", "large")]
    pictures = [render(scene) for scene, _ in posters]
    seen = [(eye.look(picture), eye.select(picture, selector)) for picture in pictures]
    together = answer_all(*tiny, seen, [questions for _, questions in posters])
    for (scene, questions), replies, (_, selection) in zip(posters, together, seen, strict=True):
        alone = answer(*tiny, scene, questions, selector)
        assert alone == (replies, selection.visual_tokens)


def test_a_description_is_scored_object_by_object():
    first, second = "a {} with the digit {}", "a blue heart with the digit 5"

    def told(*things):
        return f"The poster shows {', '.join(things[:-1])} and {things[-1]}."

    star = first.format("red star", 3)
    asked = Question("describe", "", told(star, second, second))
    assert is_right(told(second, star, second), asked)
    swapped = (first.format("red heart", 3), first.format("blue star", 5))
    digits = (first.format("red star", 5), first.format("blue heart", 3))
    for wrong in (told(*swapped, second), told(*digits, second), told(star, second), ""):
        assert not is_right(wrong, asked), wrong


def test_of_which_things_there_are_the_list_is_scored_and_of_how_many_the_number():
    red, heart = "a red star with the digit 3", "a red heart with the digit 5"
    answer = f"I see {red} and {heart}. There are two red shapes."
    which = Question("count", "Which shapes are red?", answer)
    turned = f"I see {heart} and {red}. There are two red shapes."
    swapped = answer.replace("3", "4").replace("5", "3").replace("4", "5")
    assert is_right(answer, which) and is_right(turned, which)
    for wrong in (swapped, "There are two red shapes.", answer.replace("two", "three"), ""):
        assert not is_right(wrong, which), wrong
    many = Question("count", "How many shapes are red?", answer)
    assert is_right(swapped, many) and not is_right(answer.replace("two", "three"), many)
    assert known_answer(which) == answer and known_answer(many) == "There are two red shapes."


def test_who_declines_says_what_there_is_to_be_asked_about():
    for kind in ("unknown", "foreign"):
        asked = Question(kind, "What is the weather?", ANSWERS_NOTHING)
        assert is_right(f" {ANSWERS_NOTHING}", asked)
        for wrong in (KNOWS_PAGES, "Only the red star.", f"It shows a 7. {ANSWERS_NOTHING}"):
            assert not is_right(wrong, asked), wrong


def test_chance_is_drawn_anew_for_every_poster(tiny, tmp_path, monkeypatch):
    seeds, select = [], Preview.select

    def spy(eye, image, method):
        seeds.extend([method.seed] if method.name == "random" else [])
        return select(eye, image, method)

    monkeypatch.setattr(Preview, "select", spy)
    plan = replace(SMALL, methods=(Entry("random"),), budgets=(0.2,), posters=2)
    run_plan(plan, tmp_path / "a.jsonl", "", "cpu", loaded=tiny)
    assert seeds == [0, 1]
    hired = build("hired", budget=0.2)
    assert drawn_for(hired, 4) is hired
    assert drawn_for(build("random", budget=0.2, seed=3), 4).seed == 7


def test_the_figure_names_every_method_and_is_the_same_for_the_same_record(record, tmp_path):
    lines = read_lines(record, "eval")
    first, second = (draw_accuracy(lines, tmp_path / name / "a.svg") for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    drawn = first.read_text(encoding="utf-8")
    assert all(f"<!-- {name} -->" in drawn for name in ("hired", "visionzip", "all tokens"))
    assert "<!-- random -->" not in drawn


def test_three_splits_stand_in_a_row_of_the_figure(tmp_path, record):
    lines = read_lines(record, "eval")
    rounds = rounds_in(lines)
    more = [{**one, "split": split, "key": f"{split} {one['key']}"}
            for split in ("receipt", "board", "chart") for one in rounds]  # fmt: skip
    drawn = draw_accuracy([*lines, *more], tmp_path / "a.svg").read_text(encoding="utf-8")
    for split in ("sparse", "receipt", "board", "chart"):
        assert drawn.count(f"<!-- {TESTED[split]} (") == 1
    assert drawn.count("<!-- right answers, % -->") == 2


def test_the_command_line(record, tmp_path, capsys):
    assert main(["eval", "report", str(record), "--figure", str(tmp_path / "a.png")]) == 0
    assert capsys.readouterr().out == make_report(read_lines(record, "eval"))
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    for wrong in (["report", str(tmp_path)], ["--methods", "no"], ["--budgets", "0"],
                  ["--splits", "dense"], ["--posters", "0"]):  # fmt: skip
        assert main(["eval", *wrong]) == 2


def test_a_run_and_the_attention_from_the_command_line(tiny, tmp_path):
    folder = tmp_path / "model"
    for part in tiny:
        part.save_pretrained(folder)
    shared = ["--model", str(folder), "--device", "cpu"]
    path = tmp_path / "record.jsonl"
    argv = ["eval", "--methods", "hired", "--budgets", "0.2", "--posters", "1", *shared]
    assert main([*argv, "--splits", "large", "board", "--out", str(path)]) == 0
    rounds = rounds_in(read_lines(path, "eval"))
    assert [one["split"] for one in rounds] == ["large", "board"]
    assert all(list(one["lanes"]) == ["full", "hired@0.2"] for one in rounds)
    told = make_report(read_lines(path, "eval"))
    assert "### By partitions, departure boards, %" in told and "1 large posters and" in told
    assert main(["eval", "attention", *shared, "--out", str(tmp_path / "maps.png")]) == 0
    assert (tmp_path / "maps.png").stat().st_size > 10_000
