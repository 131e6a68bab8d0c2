"""The READMEs say what is so: file list, commands, flags, tests, links and examples are checked."""

import ast
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
from readmes import BLOCK, ROOT, pages

from hired import cli
from hired.deploy import HARDWARE
from hired.shapes.documents import Document
from hired.shapes.sprites import COLOURS
from hired.shapes.subject import lines_asked
from hired.web.examples import read_examples

TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in pages()}
FRONT = TEXTS["README.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
# Flags of other people's programs: vLLM's, and pip's.
FOREIGN = {"--hf-overrides", "--trust-request-mm-kwargs", "--host", "--no-async-scheduling"}


def shell_of(text: str) -> list[str]:
    """Every line of the page's shell blocks, without its comment."""
    return [
        line.split(" #")[0]
        for language, block in FENCE.findall(text)
        if language == "bash"
        for line in block.replace("\\\n", " ").splitlines()
    ]


def spoken(text: str) -> list[str]:
    """What stands in backticks in the running text, joined where a line ends within it."""
    said = FENCE.sub("", text)
    return [" ".join(part.split()) for part in re.findall(r"(?<!`)`([^`]+)`(?!`)", said)]


SAID = {page: [*shell_of(text), *spoken(text)] for page, text in TEXTS.items()}
LINES = sorted({line for lines in SAID.values() for line in lines})
PYTHON = [line for line in LINES if line.startswith(("python -m hired ", "python app.py"))]
MAKE = sorted({name for line in LINES for name in re.findall(r"\bmake ([a-z][a-z-]+)", line)})
TESTED = sorted({line for line in LINES if line.startswith("tests/test_")})


def front_matter() -> dict[str, object]:
    return yaml.safe_load(FRONT.split("---\n")[1])


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
    assert FRONT.startswith("---\n")
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
    from hired.models.allowed import ALLOWED

    assert set(front_matter()["models"]) == {name for name in ALLOWED if "/" in name}


def test_the_front_page_is_short_and_leads_to_every_other() -> None:
    assert len(FRONT.encode()) < 14_000
    links = re.findall(r"\]\(([^)#\s]+README\.md)", FRONT)
    inner = {f"tests/{part}/README.md" for part in ("data", "goldens", "tokenizers")}
    assert set(links) == set(TEXTS) - {"README.md"} - inner


def listed_files() -> list[str]:
    block = next(block for _, block in FENCE.findall(FRONT) if block.startswith("hired/"))
    return [line.split()[0] for line in block.splitlines() if line.startswith("  ")]


def test_file_list_is_the_tree() -> None:
    tree = {
        path.name + "/" * path.is_dir()
        for path in (ROOT / "hired").iterdir()
        if path.suffix == ".py" or path.is_dir()
    }
    assert set(listed_files()) == {entry for entry in tree if not entry.startswith("__")}


def test_file_list_is_in_the_order_of_the_import_contract() -> None:
    text = (ROOT / ".importlinter").read_text()
    layers = text.split("layers =\n")[1].split("\n\n")[0].splitlines()
    rank = {word: -place for place, line in enumerate(layers) for word in re.findall(r"\w+", line)}
    order = [rank[entry.removesuffix("/").removesuffix(".py")] for entry in listed_files()]
    assert order == sorted(order)


@pytest.mark.parametrize("line", PYTHON)
def test_command_has_the_flags_it_is_shown_with(line: str) -> None:
    command, flags = split_command(line)
    shown = help_of(command)
    for flag in flags:
        assert re.search(rf"{re.escape(flag)}(?![\w-])", shown), f"{flag}: not in {command}'s help"


@pytest.mark.parametrize("target", MAKE)
def test_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_every_flag_that_is_named_exists() -> None:
    """Flags in running text and tables, too, which stand beside no command."""
    commands = {split_command(line)[0] for line in PYTHON} | {("app.py",), ("gpu-check",)}
    helps = "\n".join(help_of(command) for command in commands)
    named = {flag for line in LINES for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", line)
             if line.startswith("--")}  # fmt: skip
    assert len(named) > 20
    known = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", helps)) | FOREIGN
    assert named <= known


@pytest.mark.parametrize("line", TESTED)
def test_tests_that_are_named_exist(line: str) -> None:
    files, _, words = line.partition(" -k ")
    names = [
        node.name
        for file in files.split()
        for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert names
    for word in re.findall(r"\w+", words):
        assert word == "or" or any(word in name for name in names), f"{word} is in no test's name"


@pytest.mark.parametrize("page", TEXTS)
def test_relative_links_lead_somewhere(page: str) -> None:
    text, folder = TEXTS[page], (ROOT / page).parent
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
    links += re.findall(r'src="(?!https?:)([^"]+)"', text)
    assert not [link for link in links if not (folder / link).exists()]
    named = re.findall(r"(?<![\w./-])(?:assets|hired|tests)/[\w./-]*\w", text)
    later = re.compile(r"assets/results/[\w-]+\.jsonl?")  # what a command is to write
    assert not [one for one in named if not (ROOT / one).exists() and not later.fullmatch(one)]


@pytest.mark.parametrize("page", TEXTS)
def test_links_to_a_heading_find_it(page: str) -> None:
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#([\w-]+)\)", TEXTS[page]):
        target = ((ROOT / page).parent / link).resolve() if link else ROOT / page
        heads = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}


def test_every_picture_is_shown_on_a_page() -> None:
    shown = {
        Path(link).name for text in TEXTS.values() for link in re.findall(r"\]\(([^)]+)", text)
    }
    assert {path.name for path in (ROOT / "assets" / "figures").iterdir()} <= shown


def test_questions_about_an_example_are_about_what_it_shows() -> None:
    shown = {Path(one.image).name: one for one in read_examples()}
    asked = re.findall(r'assets/examples/(\w+\.png)"?,? "([^"]+)"', "\n".join(TEXTS.values()))
    assert len(asked) >= 5
    for file, question in asked:
        if question == (one := shown[file]).question:
            continue
        if isinstance(one.picture, Document):
            assert len(lines_asked(one.picture, question)) < len(one.picture.rows), question
        elif named := re.search(rf"\b({'|'.join(COLOURS)}) (\w+)", question):
            assert named[0] in {f"{t.colour} {t.shape}" for t in one.picture.things}, question


def test_python_example_runs() -> None:
    example = next(block for language, block in FENCE.findall(FRONT) if language == "python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 8
    run = subprocess.run([sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()


def test_nothing_is_told_twice() -> None:
    """A script that fills in the tables once left a second, older half of the page behind."""
    parts = []
    for text in TEXTS.values():
        said = re.sub(FENCE, "", re.sub(BLOCK, "", text))
        one = [part for part in said.split("\n\n") if len(part) > 60 or part.startswith("#")]
        assert sorted(set(one)) == sorted(one)
        parts += [part for part in one if not part.startswith("#")]
    assert sorted(set(parts)) == sorted(parts)
