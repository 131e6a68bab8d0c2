"""A setting is named where it is declared and in no second list; all other places have reasons."""

import ast
import re
from pathlib import Path

import pytest
from readmes import ROOT
from toy import registered

from hired.selectors import every_setting

# Words that mean other things too: what is kept, a random seed, patches of a picture and so on.
ORDINARY = {"budget", "seed", "heads", "patches", "positions", "newline"}
HELD = "reads what a method holds, as any of its users may"
ALLOWED = {  # file -> the settings that it names, and why
    "hired/settings.py": ({"alpha"}, "the example of a lane in help and errors"),
    "hired/budget.py": ({"alpha"}, "the paper's α, in the function that splits a budget by it"),
    "hired/comparison/run.py": ({"alpha"}, "a lane that warms up, with every part of HiRED"),
    "hired/serving/report.py": ({"alpha"}, "matplotlib's, of a line"),
    "hired/bench/accuracy_plan.py": (
        {"init_layer", "final_layer", "alpha", "fuse", "exact"},
        "the paper's ablations: an experiment over HiRED's parts",
    ),
    "hired/bench/accuracy_tables.py": (
        {"init_layer", "final_layer", "alpha", "fuse", "exact"},
        "the words of those ablations",
    ),
    "hired/web/sweep_results.py": ({"alpha"}, "matplotlib's, of a grid"),
    "hired/bench/accuracy_commands.py": ({"init_layer"}, HELD),
    "hired/web/explain_tab.py": ({"init_layer", "final_layer", "alpha"}, HELD),
    "hired/web/api.py": (
        {"alpha", "init_layer", "final_layer"},
        "the order in which programs of before send them",
    ),
}


def names_in(text: str, watched: set[str]) -> set[str]:
    """The settings that code names: as a text, as `name=` in one, as keyword, parameter or part."""
    said = re.compile(rf"(?<![\w.-])({'|'.join(sorted(watched))})=")
    found: set[str] = set()
    tree = ast.parse(text)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(value)) if id(node) not in docs:
                found |= {value, *said.findall(value)}
            case ast.keyword(arg=str(name)) | ast.arg(arg=name) | ast.Attribute(attr=name):
                found.add(name)
    return found & watched


def sources() -> list[Path]:
    """All code but the methods' own."""
    every = [ROOT / "app.py", *sorted((ROOT / "hired").rglob("*.py"))]
    return [path for path in every if path.parent.name != "selectors"]


def test_no_second_list_of_settings() -> None:
    watched = set(every_setting()) - ORDINARY
    assert {"alpha", "init_layer", "contextual", "fuse", "exact", "important"} <= watched
    found = {
        path.relative_to(ROOT).as_posix(): names
        for path in sources()
        if (names := names_in(path.read_text(encoding="utf-8"), watched))
    }
    assert found == {file: names for file, (names, _) in ALLOWED.items()}


def test_neither_scripts_nor_templates_know_a_setting() -> None:
    names = set(every_setting()) - ORDINARY - {"important"}  # a word of style sheets
    named = re.compile(rf"\b({'|'.join(names | {one.replace('_', '-') for one in names})})\b")
    files = [
        path
        for kind in ("js", "css", "html", "jinja", "toml", "yaml")
        for path in (ROOT / "hired").rglob(f"*.{kind}")
    ]
    assert len(files) > 5
    found = {path.name: named.findall(path.read_text(encoding="utf-8")) for path in files}
    told = {name: set(words) for name, words in found.items() if words}
    assert told == {"walk.html": {"alpha"}}, "the walk through HiRED tells its α"


@pytest.mark.parametrize(
    "code",
    ['NAMES = ("weight",)', 'TEXT = "toy:weight=2"', "build('toy', weight=2)",
     "def f(weight): ...", "lane.weight"],
)  # fmt: skip
def test_a_second_list_would_be_found(code) -> None:
    with registered():
        assert names_in(code, set(every_setting()) - ORDINARY) == {"weight"}
    assert not names_in('"""The weight=2 of a docstring."""', {"weight"})
