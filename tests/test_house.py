"""The rules of the house that neither ruff nor import-linter knows: sizes, names, requirements."""

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LIBRARY = sorted((ROOT / "hired").rglob("*.py"))
APP = [path for path in [ROOT / "app.py"] if path.exists()]
SOURCES = LIBRARY + APP + sorted((ROOT / "tests").rglob("*.py"))

DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 50
TOP_LEVEL = {
    "app.py",
    "hired",
    "assets",
    "tests",
    "requirements.txt",
    "Dockerfile",
    "Makefile",
    "README.md",
    "LICENSE",
}
HEAVY = {"torch", "transformers", "gradio", "bitsandbytes", "matplotlib", "pandas"}
# Import names that differ from the distribution's, and extras that the code does without.
DISTRIBUTION = {"PIL": "pillow", "huggingface_hub": "huggingface-hub"}
OPTIONAL = {"spaces", "vllm", "lmms_eval", "pynvml", "mcp", "gradio_client"}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(parsed(path))


def imported(path: Path) -> set[str]:
    """Top-level names of all packages that a file imports, inside functions too."""
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def requirements(path: Path) -> list[Requirement]:
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


APP_NEEDS = requirements(ROOT / "requirements.txt")
TEST_NEEDS = requirements(ROOT / "tests" / "requirements.txt")


def test_files_are_short() -> None:
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert len(lengths) > 250
    assert not {path: lines for path, lines in lengths.items() if lines >= MAX_FILE_LINES}


def test_functions_are_short() -> None:
    lengths = {
        f"{name(path)}: {node.name}": node.end_lineno - node.lineno + 1
        for path in SOURCES
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert len(lengths) > 2000
    assert not {place: lines for place, lines in lengths.items() if lines >= MAX_FUNCTION_LINES}


def test_docstrings_begin_with_a_noun_or_a_verb() -> None:
    """No clause such as "What is kept", and no question, but one that is quoted."""
    riddle = re.compile(
        r"(Who|What|Whether|Per|How|Where|Which|When|Why|Whose|That|Is|Are|Do|Does|Can|Has|Would)\b|.*\?\s*$"
    )
    found = [
        f"{name(path)}: {text.splitlines()[0]}"
        for path in LIBRARY
        for node in nodes(path)
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node))
        if riddle.match(text.splitlines()[0])
    ]
    assert not found


def test_top_level_holds_nothing_else() -> None:
    seen = {path.name for path in ROOT.iterdir() if not path.name.startswith((".", "__"))}
    assert seen <= TOP_LEVEL


def test_clean_removes_every_environment() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = text.split("\nclean:")[1].split("\n\n")[0]
    made = set(re.findall(r"\$\(VENV\)-[a-z]+", text))
    assert made and made == set(re.findall(r"\$\(VENV\)-[a-z]+", recipe))


def test_no_grab_bag_modules() -> None:
    assert not [name(path) for path in LIBRARY if path.name in {"utils.py", "types.py"}]


def test_nothing_hooks() -> None:
    hooks = [
        f"{name(path)}: {node.attr}"
        for path in LIBRARY + APP
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and re.fullmatch(r"register_\w*hook\w*", node.attr)
    ]
    assert not hooks


def test_one_function_runs_the_tower() -> None:
    """`look` and its sibling in wrapper.py: whatever selects goes through them."""
    runs = {
        name(path)
        for path in LIBRARY
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom) and node.module == "hired.encode"
        if any(alias.name == "encode" for alias in node.names)
    }
    assert runs == {"hired/wrapper.py"}


def test_importing_the_package_does_nothing() -> None:
    script = "import sys, hired; print(*{name.split('.')[0] for name in sys.modules})"
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(run.stdout.split())


def test_every_public_name_resolves_and_is_documented() -> None:
    hired = importlib.import_module("hired")
    assert len(hired.__all__) == len(set(hired.__all__)) > 0
    for public in hired.__all__:
        value = getattr(hired, public)
        assert not isinstance(value, ModuleType), f"hired.{public} is a module"
        if callable(value):
            assert value.__doc__, f"hired.{public} has no docstring"
    assert set(hired.__all__) <= set(dir(hired))


@pytest.mark.parametrize("need", APP_NEEDS + TEST_NEEDS, ids=lambda need: need.name)
def test_requirement_has_a_range_that_holds_here(need: Requirement) -> None:
    if need.marker and not need.marker.evaluate():
        pytest.skip(f"not for this machine: {need.marker}")
    assert any(part.operator in {">=", "=="} for part in need.specifier)
    assert need.specifier.contains(version(need.name), prereleases=True)


def test_every_import_is_required() -> None:
    known = {need.name for need in APP_NEEDS} | OPTIONAL | set(sys.stdlib_module_names)
    for path in LIBRARY + APP:
        used = {DISTRIBUTION.get(each, each) for each in imported(path)} - {"hired", "app"}
        assert used <= known, f"{name(path)} imports {used - known}"


def test_scripts_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
