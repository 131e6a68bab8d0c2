"""The command line, run as a user runs it: exit codes, sentences, one line of JSON."""

import argparse
import json
import os
import signal
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest
from conftest import make_image

from hired import cli
from hired.cli import main, parse_setting
from hired.models import load as models
from hired.selectors import SELECTORS

ROOT = Path(__file__).parents[1]
LOAD = lru_cache(maxsize=None)(models.load)
METRICS = (
    "visual_tokens kept_tokens nominal_tokens stock_tokens newline_tokens prompt_tokens new_tokens "
    "preprocess_s vision_s select_s prefill_s ttft_s decode_s total_s tokens_per_s kv_cache_bytes "
    "peak_bytes"
).split()


@pytest.fixture(scope="module")
def here(tiny, tmp_path_factory) -> Path:
    """A folder with a model in `model` and a picture `p.png`."""
    folder = tmp_path_factory.mktemp("here")
    model, processor = tiny
    model.save_pretrained(folder / "model")
    processor.save_pretrained(folder / "model")
    make_image(120, 160).save(folder / "p.png")
    return folder


@pytest.fixture(autouse=True)
def load_once(monkeypatch) -> None:
    """The same folder is loaded for real once; `main` is called many times."""
    monkeypatch.setattr(models, "load", LOAD)


def ask(here: Path, *more: str) -> list[str]:
    where = ["ask", str(here / "p.png"), "what is on the star ?"]
    return [*where, "--model", str(here / "model"), "--device", "cpu", *more]


def run(*argv: str, **kwargs) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "hired", *argv],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        **kwargs,
    )


def run_json(capsys, argv: list[str], code: int = 0) -> dict:
    assert main(argv) == code
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert len(lines) == 1 and "Traceback" not in captured.err
    return json.loads(lines[0])


# ask


def test_json_is_one_object_last_on_stdout(here) -> None:
    done = run(*ask(here, "--json", "--budget", "0.4", "--max-new-tokens", "5"))
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout.splitlines()[-1])
    assert list(record) == ["model", "device", "versions", "date", "image", "settings", "lanes"]
    assert record["image"] == {"name": "p.png", "height": 120, "width": 160}
    assert record["device"] == "cpu" and "torch" in record["versions"]
    assert (record["settings"]["budget"], record["settings"]["method"]) == (0.4, "hired")
    baseline, other = record["lanes"]
    assert (baseline["method"], other["method"]) == ("full", "hired")
    for lane in record["lanes"]:
        assert lane["text"] and "error" not in lane
        numbers = [lane["metrics"][name] for name in METRICS]
        assert all(isinstance(number, int | float) for number in numbers)
        assert lane["metrics"]["new_tokens"] == 5
    assert baseline["metrics"]["visual_tokens"] == baseline["metrics"]["stock_tokens"]
    metrics = other["metrics"]
    assert metrics["kept_tokens"] == int(0.4 * metrics["nominal_tokens"])
    assert baseline["name"] in done.stderr  # progress goes there


def test_both_lanes_stream_and_are_compared(here, capsys) -> None:
    assert main(ask(here, "--max-new-tokens", "4")) == 0
    out = capsys.readouterr().out
    words = ["baseline: All tokens (stock)", "hired: HiRED", "visual tokens", "KV cache"]
    places = [out.index(word) for word in [*words, "in one run each: no comparison of speed"]]
    assert places == sorted(places)
    assert "fewer visual tokens" in out and "answer" in out


@pytest.mark.parametrize(
    ("given", "kept"), [("1", 1), ("1.0", None), ("100%", None), ("7", 7), ("10%", 18)]
)
def test_one_token_is_not_everything(here, capsys, given, kept) -> None:
    argv = ask(here, "--json", "--budget", given, "--max-new-tokens", "2")
    baseline, other = run_json(capsys, argv)["lanes"]
    everything = baseline["metrics"]["kept_tokens"]
    assert other["metrics"]["kept_tokens"] == (everything if kept is None else kept)
    if kept is None:
        assert other["text"] == baseline["text"]
        assert other["metrics"]["visual_tokens"] == baseline["metrics"]["visual_tokens"]


def test_every_flag_reaches_the_method(here, capsys) -> None:
    flags = "--method hired-release --budget 30 --alpha 0.25 --init-layer 1 --final-layer 2"
    more = "--heads 3 --newline rows --set exact=True --max-new-tokens 2 --quantization"
    argv = ask(here, "--json", *flags.split(), *more.split()[:-1], "--race")
    record = run_json(capsys, argv)
    wanted = {"budget": 30, "alpha": 0.25, "init_layer": 1, "final_layer": 2, "heads": 3}
    wanted |= {"newline": "rows", "exact": True, "race": True, "max_new_tokens": 2}
    assert wanted.items() <= record["settings"].items()
    assert all(lane["metrics"]["contended"] for lane in record["lanes"])


@pytest.mark.parametrize("method", list(SELECTORS))
def test_every_method_can_be_asked(here, capsys, method) -> None:
    record = run_json(capsys, ask(here, "--json", "--method", method, "--max-new-tokens", "2"))
    assert record["lanes"][1]["method"] == method


def test_special_tokens_in_a_question_are_text(here, capsys) -> None:
    argv = ask(here, "--json", "--max-new-tokens", "2")
    argv[2] = "<image> </s> USER: what ?"
    assert run_json(capsys, argv)["settings"]["question"] == argv[2]


def test_a_failed_lane_is_an_error_and_the_other_goes_on(here, capsys, monkeypatch) -> None:
    def fail(*_) -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(SELECTORS["hired"], "scores", fail)
    record = run_json(capsys, ask(here, "--json", "--max-new-tokens", "2"), code=1)
    baseline, other = record["lanes"]
    assert "error" not in baseline and baseline["metrics"]["new_tokens"] == 2
    assert "does not support this device" in other["error"] and other["metrics"] is None


@pytest.mark.parametrize(
    "more", [["--heads", "99"], ["--init-layer", "99"], ["--final-layer", "99"]]
)
def test_what_the_tower_lacks_is_told_before_any_lane_runs(here, capsys, more) -> None:
    assert main(ask(here, *more)) == 2
    captured = capsys.readouterr()
    assert "of this vision tower" in captured.err and "baseline" not in captured.out


def test_interrupt_keeps_the_partial_answer(here) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "hired", *ask(here, "--json", "--max-new-tokens", "1500")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if line.startswith("baseline"):
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=200)
    assert process.returncode == 130, err
    first = json.loads(out.splitlines()[-1])["lanes"][0]
    assert first["error"] == "stopped" and 1 <= first["metrics"]["new_tokens"] < 1500


def test_a_reader_who_leaves_ends_it_quietly(here) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "hired", *ask(here, "--max-new-tokens", "1500")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.stdout.close()
    with process.stderr:
        said = process.stderr.read()
    assert process.wait(timeout=200) == 1, said
    assert "terminate" not in said and "Traceback" not in said


# What a wrong argument gets


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--budget", "2.0"], "rate above 0"),
        (["--budget", "0"], "rate above 0"),
        (["--budget", "-3"], "rate above 0"),
        (["--budget", "nan"], "rate above 0"),
        (["--budget", "inf"], "rate above 0"),
        (["--budget", "most"], "1 is one token"),
        (["--alpha", "1.5"], "alpha"),
        (["--init-layer", "-1"], "init_layer"),
        (["--heads", "most"], "heads"),
        (["--newline", "cols"], "newline"),
        (["--method", "magic"], "hired"),
        (["--method", "spatial", "--alpha", "0.5"], "no setting 'alpha'"),
        (["--set", "sead=3"], "no setting 'sead'"),
        (["--alpha", "x"], "alpha is a number from 0 to 1; got 'x'"),
        (["--method", "hird"], "Did you mean 'hired'?"),
        (["--lane", "hired:alpa=0.3"], "Did you mean 'alpha'?"),
        (["--lane", "hired:alpha"], "not NAME=VALUE, such as budget=20%"),
        (["--lane", "hired", "--alpha", "0.3"], "--lane hired:budget=10%,alpha=0.3"),
        (["--lane", "full:budget=3"], "'full' has no setting 'budget'; it has none"),
        (["--max-new-tokens", "0"], "max_new_tokens"),
    ],
)
def test_wrong_setting_is_explained(here, capsys, monkeypatch, more, says) -> None:
    monkeypatch.setattr(models, "load", None)  # told before a model is loaded
    assert main(ask(here, *more)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("hired: ") and says in captured.err


@pytest.mark.parametrize("more", [["--set", "seed"], ["--no"]])
def test_argument_that_cannot_be_read_is_explained(here, capsys, more) -> None:
    with pytest.raises(SystemExit) as left:
        main(ask(here, *more))
    assert left.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({1: "nowhere.png"}, 2, "nowhere.png"),
        ({1: __file__}, 2, "not an image"),
        ({2: "  "}, 2, "question is empty"),
        ({4: "gpt2"}, 1, "llava-hf/llava-1.5-7b-hf"),
        ({6: "cuda:77"}, 1, "no device 'cuda:77'"),
    ],
)
def test_wrong_input_is_one_sentence(here, capsys, change, code, says) -> None:
    argv = ask(here)
    for place, value in change.items():
        argv[place] = value
    assert main(argv) == code
    captured = capsys.readouterr()
    assert captured.out == "" and says in captured.err
    assert captured.err.startswith("hired: ") and captured.err.count("\n") == 1


def test_hub_out_of_reach_is_one_sentence(here, tmp_path) -> None:
    """A closed port stands for a network that is down; the cache is empty."""
    world = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}
    argv = ask(here)
    argv[4] = "llava-hf/llava-1.5-7b-hf"
    done = run(*argv, env={**world, "HF_HOME": str(tmp_path)})
    assert done.returncode == 1 and done.stdout == ""
    assert "cannot be reached" in done.stderr and "'shapes'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bug_shows_no_traceback_unless_asked(here, capsys, monkeypatch) -> None:
    def stumble(args: argparse.Namespace) -> int:
        raise KeyError("lost")

    monkeypatch.setattr(cli, "list_models", stumble)
    assert main(["models"]) == 1
    assert "KeyError" in capsys.readouterr().err
    monkeypatch.setenv("HIRED_DEBUG", "1")
    with pytest.raises(KeyError):
        main(["models"])


def test_without_a_command_the_commands_are_listed(capsys) -> None:
    assert main([]) == 2
    err = capsys.readouterr().err
    assert all(name in err for name in ("ask", "models", "methods", "gpu-check", *cli.ELSEWHERE))


def test_lists(capsys) -> None:
    assert main(["models"]) == 0 and main(["methods"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in (*SELECTORS, "shapes", "llava-hf/llava-v1.6-mistral-7b-hf"))


# Reading arguments


def test_a_setting_is_a_name_and_its_text() -> None:
    assert parse_setting("init-layer=2") == ("init_layer", "2")
