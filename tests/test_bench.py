"""Sweeps, their record and what is made of it: counted, worked out by hand, and run for real."""

import json
import re
from dataclasses import replace

import pytest

from hired.bench import speed
from hired.bench.plan import METHODS, Entry, expand, parse_method
from hired.bench.results import Record, read_lines, rounds_in
from hired.bench.speed import run_sweep
from hired.bench.speed_figures import draw_figures
from hired.bench.speed_plan import QUESTION, Sweep, make_question, paper_sweep
from hired.bench.speed_summary import ideal_ttft, summarise_rounds
from hired.bench.speed_tables import make_report
from hired.cli import main
from hired.errors import InputError, SettingError
from hired.inputs import prompt_ids

SMALL = Sweep(models=("tiny",), methods=(Entry("hired"), Entry("visionzip")), budgets=(0.2, 30),
              batches=(1, 2), repeats=2, warm_up=0, new_tokens=3,
              image_size=(168, 168))  # fmt: skip


@pytest.fixture(scope="module")
def record(tiny, tmp_path_factory):
    """A real sweep: 2 batch sizes x 2 repeats of 5 lanes."""
    path = tmp_path_factory.mktemp("bench") / "small.jsonl"
    said = []
    run_sweep(SMALL, path, "python -m hired bench …", "cpu", lambda *now: said.append(now),
              {"tiny": tiny})  # fmt: skip
    assert said[-1] == (20, 20, "done") and [done for done, _, _ in said] == sorted(
        done for done, _, _ in said
    )
    return path


def test_a_sweep_is_methods_times_budgets_beside_one_baseline():
    sweep = Sweep(methods=expand(["hired", "hired:fuse=true", "prumerge-adaptive", "full"]))
    assert [(entry.title, entry.budget) for entry in sweep.entries] == [
        ("full", None),
        *(("hired", rate) for rate in (0.4, 0.2, 0.1, 0.05)),
        *(("hired:fuse=true", rate) for rate in (0.4, 0.2, 0.1, 0.05)),
        ("prumerge-adaptive", None),
    ]
    assert len(list(replace(sweep, models=("a", "b"), batches=(1, 2, 4)).rounds())) == 30
    assert expand(["all"]) == tuple(Entry(name) for name in METHODS)
    assert Entry("hired", 640, {"fuse": True}).selector().budget == 640


def test_the_papers_protocol():
    sweep = paper_sweep(repeats=1, models=("random:7b",))
    assert (sweep.new_tokens, sweep.image_size, sweep.batches) == (15, (600, 600), (1, 2, 4))
    assert [entry.budget for entry in sweep.entries] == [None, 0.4, 0.2]


def test_keys_tell_rounds_apart():
    keys = {one.key for one in SMALL.rounds()}
    assert len(keys) == 4 == len(keys & {one.key for one in SMALL.rounds()})
    other = {one.key for one in replace(SMALL, budgets=(0.2,)).rounds()}
    assert not keys & other


@pytest.mark.parametrize(
    "read, text",
    [
        (parse_method, "nobody"), (parse_method, "hired:seed=3"),
        (parse_method, "hired:fuse"), (parse_method, "hired:budget=3"),
        (lambda text: Sweep(repeats=0), ""), (lambda text: Sweep(batches=(0,)), ""),
        (lambda text: Sweep(budgets=(2.0,)), ""), (lambda text: Sweep(image_size=(0, 5)), ""),
    ],
)  # fmt: skip
def test_nonsense_is_refused(read, text):
    with pytest.raises(SettingError):
        read(text)


def test_methods_as_typed():
    assert parse_method("hired:fuse=yes").title == "hired:fuse=true"
    assert parse_method("hired:fuse=True,newline=rows").settings == {
        "fuse": True,
        "newline": "rows",
    }


def test_a_prompt_has_the_length_that_was_asked_for(tiny):
    _, processor = tiny
    assert make_question(processor, None) == QUESTION
    for tokens in (20, 57, 300):
        assert len(prompt_ids(processor, make_question(processor, tokens), 0)) == tokens
    with pytest.raises(SettingError, match="shortest prompt"):
        make_question(processor, 3)


def test_the_record_holds_every_lane_with_its_exact_count(record):
    lines = read_lines(record)
    assert lines[0]["kind"] == "session" and "torch" in lines[0]["versions"]
    assert lines[0]["device"] == "cpu" and lines[0]["device_name"] and lines[0]["date"]
    rounds = rounds_in(lines)
    assert [(one["batch"], one["repeat"]) for one in rounds] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    for one in rounds:
        tokens = [lane["metrics"]["visual_tokens"] for lane in one["lanes"]]
        assert tokens == [192, 36, 30, 36, 30]
        assert all(lane["metrics"]["new_tokens"] == 3 for lane in one["lanes"])
        width = 2 * 2 * 2 * 16 * 4  # layers, keys and values, kv heads, head width, float32
        for lane in one["lanes"]:
            numbers = lane["metrics"]
            length = numbers["visual_tokens"] + numbers["prompt_tokens"] + 3 - 1
            assert numbers["kv_cache_bytes"] == one["batch"] * length * width


def test_what_is_recorded_is_not_measured_again(record, tiny, tmp_path, monkeypatch):
    path = tmp_path / "again.jsonl"
    whole = record.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*whole[:-1], whole[-1][:70]]), encoding="utf-8")  # cut off
    measured = []
    real = speed._measure
    monkeypatch.setattr(speed, "_measure", lambda *args: (measured.append(args[1]), real(*args))[1])
    run_sweep(SMALL, path, "again", "cpu", models={"tiny": tiny})
    assert measured == list(SMALL.entries)[::-1]  # the last round and no other
    lines = read_lines(path)
    assert [line["kind"] for line in lines] == ["session", *["round"] * 3, "session", "round"]
    assert lines[-1]["session"] == 1 and len(rounds_in(lines)) == 4
    run_sweep(SMALL, path, "again", "cpu", models={"tiny": tiny})
    assert len(measured) == 5


def test_results_of_two_machines_do_not_mix(record, tmp_path):
    path = tmp_path / "other.jsonl"
    path.write_bytes(record.read_bytes())
    session = {**read_lines(path)[0], "device_name": "another chip"}
    with pytest.raises(SettingError, match="another chip"):
        Record(path, session)
    path.write_text("a diary\n")
    with pytest.raises(InputError, match="not a record"):
        read_lines(path)


def lane(method, budget, **metrics):
    numbers = {
        "visual_tokens": 1000, "prompt_tokens": 0, "preprocess_s": 1.0, "vision_s": 1.0,
        "select_s": 0.0, "prefill_s": 8.0, "ttft_s": 10.0, "tokens_per_s": 5.0,
        "end_to_end_tokens_per_s": 1.5, "kv_cache_bytes": 4_000_000, "peak_bytes": 5_000_000,
        "contended": False, **metrics,
    }  # fmt: skip
    return {"method": method, "budget": budget, "settings": {}, "metrics": numbers}


def a_round(repeat, *lanes, batch=1, protocol="ours"):
    model = {
        "name": "tiny", "dtype": "float32", "quantization": None, "device": "cpu",
        "device_name": "a chip", "origin": "local", "resting_bytes": 10_000_000_000,
    }  # fmt: skip
    return {
        "kind": "round", "key": f"{batch}-{repeat}", "session": 0, "repeat": repeat,
        "protocol": protocol, "model": model, "quantization": None, "dtype": "auto",
        "batch": batch, "prompt_tokens": None, "image_size": [600, 600], "new_tokens": 15,
        "load": 1.2, "lanes": list(lanes),
    }  # fmt: skip


SESSION = {
    "kind": "session", "session": 0, "date": "2026-11-22T10:00:00+00:00", "command": "bench",
    "device": "cpu", "device_name": "a chip", "threads": 1, "versions": {"torch": "2"},
}  # fmt: skip


def test_the_bound_is_amdahls():
    """A fifth of the tokens: 2 s stay, 8 s become 1.6 s, so 10 / 3.6."""
    assert ideal_ttft({"preprocess_s": 1, "vision_s": 1, "prefill_s": 8}, 200, 1000) == 3.6
    fast = {"visual_tokens": 200, "prefill_s": 2.0}
    rounds = [
        a_round(0, lane("full", None), lane("hired", 0.2, **fast, ttft_s=5.0)),
        a_round(1, lane("full", None, ttft_s=12.0, prefill_s=10.0),
                lane("hired", 0.2, **fast, ttft_s=4.0)),
        a_round(2, lane("full", None), lane("hired", 0.2, **fast, ttft_s=4.0)),
    ]  # fmt: skip
    (group,) = summarise_rounds(rounds)
    full, hired = group.rows
    assert (hired.speedup.low, hired.speedup.median, hired.speedup.high) == (2.0, 2.5, 3.0)
    assert hired.estimate == pytest.approx(10 / 3.6)  # of 10/3.6, 12/4 and 10/3.6
    assert hired.achieved == pytest.approx(2.5 * 3.6 / 10)
    assert full.speedup.median == full.estimate == full.achieved == 1.0
    assert (hired.metrics["ttft_s"].median, hired.metrics["ttft_s"].high) == (4.0, 5.0)


def test_text_of_the_prompt_counts_in_the_estimate_and_failures_are_told():
    gone = {"method": "hired", "budget": 0.4, "settings": {}, "error": "The device ran out."}
    short = {"visual_tokens": 200, "prompt_tokens": 600}
    full = lane("full", None, prompt_tokens=600)
    (group,) = summarise_rounds([a_round(0, full, lane("hired", 0.2, **short), gone)])
    assert group.rows[1].estimate == pytest.approx(10 / (2 + 8 * 800 / 1600))
    assert group.rows[2].error == "The device ran out." and group.rows[2].speedup is None
    lost = {"method": "full", "budget": None, "settings": {}, "error": "The device ran out."}
    (group,) = summarise_rounds([a_round(0, lost, lane("hired", 0.2, **short))])
    assert group.rows[1].estimate is None and group.rows[1].metrics["ttft_s"].median == 10.0
    assert "The device ran out." in make_report([SESSION, a_round(0, lost, gone)])
    some = [a_round(0, full, gone), a_round(1, full, {**lane("hired", 0.4), "settings": {}})]
    assert "| `hired`, 1 of 2 runs | 40 % |" in make_report([SESSION, *some])


def cells(text, start):
    line = next(line for line in text.splitlines() if line.startswith(start))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_papers_table_stands_beside_ours():
    rounds = [
        a_round(0, lane("full", None), lane("hired", 0.2), protocol="paper"),
        a_round(0, lane("full", None), lane("hired", 0.2), batch=4, protocol="paper"),
    ]
    text = make_report([SESSION, *rounds])
    paper = text[text.index("paper's own protocol") :]
    assert cells(paper, "| `full` | all | 1 ")[3:] == [
        "1.50", "10.0 s", "10.0 GB", "0.49", "19.49 s", "16.04 GB",
    ]  # fmt: skip
    assert cells(paper, "| `hired` | 20 % | 4 ")[3:5] == ["6.00", "10.0 s"]  # whole batch
    assert "out of memory" in cells(paper, "| `full` | all | 4 ")
    assert "Tesla P40" in text
    assert "paper's own" not in make_report([SESSION, a_round(0, lane("full", None))])


def test_batches_stand_beside_each_other():
    rounds = [a_round(0, lane("full", None), lane("hired", 0.2), batch=size) for size in (1, 4)]
    text = make_report([SESSION, *rounds])
    batches = text[text.index("### Batches") :]
    assert cells(batches, "| `full` | all | 1 ")[3:6] == ["1.50", "10.0 s", "1.00×"]
    assert cells(batches, "| `hired` | 20 % | 4 ")[3] == "6.00"  # of the whole batch
    assert "### Batches" not in make_report([SESSION, rounds[1]])


def test_the_report_is_a_table_of_what_was_recorded(record):
    text = make_report(read_lines(record))
    *tables, (last, _) = re.findall(r"### (.+)\n\n((?:\|.+\|\n)+)", text)
    assert last == "Batches"
    assert [title.split(" · ")[2] for title, _ in tables] == ["batch 1", "batch 2"]
    for _, table in tables:
        rows = [line.strip("|").split("|") for line in table.strip().splitlines()]
        assert len({len(row) for row in rows}) == 1
        kept = [(row[0].strip(), row[1].strip(), row[2].strip()) for row in rows[2:]]
        assert kept == [
            ("`full`", "all", "192"),
            ("`hired`", "20 %", "36"), ("`hired`", "30", "30"),
            ("`visionzip`", "20 %", "36"), ("`visionzip`", "30", "30"),
        ]  # fmt: skip
    assert read_lines(record)[0]["device_name"] in text and "approximate" in text


def test_a_busy_machine_is_confessed():
    quiet, busy = a_round(0, lane("full", None)), {**a_round(1, lane("full", None)), "load": 2.5}
    assert "not to be relied on" not in make_report([SESSION, quiet])
    assert "load 2.5" in make_report([SESSION, quiet, busy])


def test_figures_are_the_same_for_the_same_record(record, tmp_path):
    lines = read_lines(record)
    first, second = (draw_figures(lines, tmp_path / name, "small") for name in "ab")
    assert [path.name for path in first] == [
        f"small-{group}-{kind}.svg" for group in (1, 2) for kind in ("phases", "speedup", "memory")
    ]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes() and b"<svg" in one.read_bytes()


def test_the_command_line(record, tmp_path, capsys):
    assert main(["bench", "report", str(record), "--figures", str(tmp_path)]) == 0
    assert capsys.readouterr().out == make_report(read_lines(record))
    assert len(list(tmp_path.glob("*.svg"))) == 6
    for wrong in (
        ["report", str(tmp_path / "missing")],
        ["--methods", "nobody"],
        ["--budgets", "0"],
    ):
        assert main(["bench", *wrong]) == 2
    assert "576 keeps 576 per image" in capsys.readouterr().err


def test_a_model_by_name_from_the_command_line(tiny, tmp_path, capsys):
    folder = tmp_path / "model"
    for part in tiny:
        part.save_pretrained(folder)
    path = tmp_path / "record.jsonl"
    argv = ["bench", "--models", str(folder), "--methods", "hired:fuse=true", "--budgets", "20%"]
    argv += ["--repeats", "1", "--warm-up", "1", "--new-tokens", "2", "--image-size", "84", "168"]
    assert main([*argv, "--prompt-tokens", "40", "--device", "cpu", "--out", str(path)]) == 0
    (one,) = rounds_in(read_lines(path))
    assert one["model"]["name"] == str(folder) and one["protocol"] == "ours"
    full, hired = (row["metrics"] for row in one["lanes"])
    assert full["prompt_tokens"] == hired["prompt_tokens"] == 40
    assert hired["visual_tokens"] == int(0.2 * 108) and one["lanes"][1]["settings"]["fuse"] is True
    assert json.loads(path.read_text().splitlines()[0])["warm_up"] == 1
