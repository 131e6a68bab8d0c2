"""The README says what is so: its table, file list, commands, links and example are checked."""

import importlib
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from itertools import takewhile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from hired import SELECTORS, cli
from hired.bench.records import read_lines, rounds_in
from hired.bench.summary import summarise_rounds
from hired.bench.tables import batch_table, main_table, paper_table
from hired.deploy import HARDWARE
from hired.evaluation.summary import summarise
from hired.evaluation.tables import (
    ablation_table,
    accuracy_table,
    is_ablation,
    partition_table,
    rival_table,
)
from hired.selectors import settings_of
from hired.serving.report import make_report, read_record

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
FENCES = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
SHELL = [
    line.split(" #")[0]
    for language, block in FENCES
    if language == "bash"
    for line in block.replace("\\\n", " ").splitlines()
]
PYTHON = [line for line in SHELL if line.startswith(("python -m hired", "python app.py"))]
MAKE = sorted(
    set(re.findall(r"\bmake ([a-z][a-z-]+)", " ".join([*SHELL, *re.findall("`(.+?)`", TEXT)])))
)


def front_matter() -> dict[str, object]:
    return yaml.safe_load(TEXT.split("---\n")[1])


@cache
def help_of(command: tuple[str, ...]) -> str:
    """What `--help` prints; run in this process, since importing Gradio anew takes seconds."""
    shown = StringIO()
    with redirect_stdout(shown), pytest.raises(SystemExit) as ended:
        if command == ("app.py",):
            importlib.import_module("app").parse(["--help"])
        else:
            cli.main([*command, "--help"])
    assert ended.value.code == 0
    return shown.getvalue()


def split_command(line: str) -> tuple[tuple[str, ...], list[str]]:
    """`python -m hired ask a.png --json` -> what to ask for help, and the flags it is given."""
    words = shlex.split(line)[1:]
    flags = [word.split("=")[0] for word in words if word.startswith("--")]
    if words[:2] != ["-m", "hired"]:
        return (words[0],), flags
    return tuple(takewhile(re.compile(r"[a-z][a-z-]*").fullmatch, words[2:])), flags


def test_front_matter_is_what_a_space_needs() -> None:
    space = front_matter()
    assert TEXT.startswith("---\n")
    assert (space["sdk"], space["app_file"], space["license"]) == ("gradio", "app.py", "mit")
    assert space["python_version"] == "3.12"
    assert space["suggested_hardware"] in HARDWARE
    assert "preload_from_hub" not in space  # the README's head says why
    assert len(str(space["short_description"])) <= 60
    gradio = next(
        Requirement(line)
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line.startswith("gradio")
    )
    assert gradio.specifier.contains(str(space["sdk_version"]))


def test_models_named_to_the_hub_are_the_allowed_ones() -> None:
    from hired.models import ALLOWED

    assert set(front_matter()["models"]) == {name for name in ALLOWED if "/" in name}


def test_methods_table_is_the_registry() -> None:
    rows = [
        f"| `{name}` | {method.title} | {method.summary} | "
        f"{', '.join(f'`{setting}`' for setting in settings_of(name))} |"
        for name, method in SELECTORS.items()
    ]
    section = TEXT.split("\n## Methods\n")[1].split("\n## ")[0]
    found = re.findall(r"^\| `[a-z0-9-]+` \| .*\|$", section, flags=re.MULTILINE)
    assert found == rows, "The table should be:\n" + "\n".join(rows)


def listed_files() -> list[str]:
    block = next(block for _, block in FENCES if block.startswith("hired/"))
    return [line.split()[0] for line in block.splitlines() if line.startswith("  ")]


def test_measured_tables_are_the_records() -> None:
    results = ROOT / "assets" / "results"
    for path in sorted(results.glob("eval-*.jsonl")):
        scores = summarise(rounds_in(read_lines(path, "eval")))
        assert accuracy_table(scores) in TEXT and rival_table(scores) in TEXT, path.name
        if path.stem == "eval-2000":
            assert partition_table(scores) in TEXT
        if any(is_ablation(score.what) for score in scores):
            assert ablation_table(scores) in TEXT
    records = sorted(results.glob("bench*.jsonl"))
    assert records
    for path in records:
        timed = summarise_rounds(rounds_in(read_lines(path)))
        tables = [main_table(group) for group in timed]
        if timed[0].protocol == "paper":
            tables = [paper_table(timed)]
        elif len({group.about["batch"] for group in timed}) > 1:
            tables = [batch_table(timed)]
        assert tables and all(table in TEXT for table in tables), path.name


def test_the_serving_table_is_the_record() -> None:
    report = make_report(read_record(ROOT / "assets" / "results" / "serving.jsonl"))
    table = report[report.index("| Kept |") :].strip()
    assert table.count("\n") > 4 and table in TEXT


def test_file_list_is_the_tree() -> None:
    tree = {
        path.name + "/" * path.is_dir()
        for path in (ROOT / "hired").iterdir()
        if path.suffix == ".py" or path.is_dir()
    }
    assert set(listed_files()) == {entry for entry in tree if not entry.startswith("__")}


def test_file_list_is_in_the_order_of_the_import_contract() -> None:
    layers = (ROOT / ".importlinter").read_text().split("layers =\n")[1].splitlines()
    rank = {word: -place for place, line in enumerate(layers) for word in re.findall(r"\w+", line)}
    order = [rank[entry.removesuffix("/").removesuffix(".py")] for entry in listed_files()]
    assert order == sorted(order)


@pytest.mark.parametrize("line", PYTHON)
def test_command_has_the_flags_it_is_shown_with(line: str) -> None:
    command, flags = split_command(line)
    shown = help_of(command)
    for flag in flags:
        assert re.search(rf"{re.escape(flag)}\b", shown), f"{flag} is not in the help of {command}"


@pytest.mark.parametrize("target", MAKE)
def test_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_relative_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", TEXT)
    links += re.findall(r'src="(?!https?:)([^"]+)"', TEXT)
    links += re.findall(r"\bassets/[\w./-]+\w", TEXT)
    assert not [link for link in links if not (ROOT / link).exists()]


def test_python_example_runs() -> None:
    example = next(block for language, block in FENCES if language == "python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 8
    run = subprocess.run([sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()


def test_nothing_is_told_twice() -> None:
    """A script that fills in the tables once left a second, older half of the page behind."""
    said = re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    parts = [part for part in said.split("\n\n") if len(part) > 60 or part.startswith("#")]
    assert sorted(set(parts)) == sorted(parts)
