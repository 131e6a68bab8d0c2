"""The methods and their settings, read from their source: without torch, which takes a second.

Only for a list in words. Code that computes takes them from `hired.selectors`, and a test keeps
both equal.
"""

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parent / "selectors"


@dataclass(frozen=True)
class Entry:
    """One method.

    Attributes:
        summary: what it does, in a line.
        settings: their names, in order.
    """

    summary: str
    settings: tuple[str, ...]


@dataclass
class _Class:
    base: str | None
    settings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)  # class variables that are literals


def read_methods(source: Path = SOURCE) -> dict[str, Entry]:
    """Every method by its name: the baseline and HiRED first, the others by name."""
    classes = {
        node.name: _read_class(node)
        for path in source.glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
    found = {}
    for one in classes.values():
        if "name" not in one.facts:
            continue
        line = _ancestry(one, classes)
        facts = {key: value for part in line for key, value in part.facts.items()}
        settings = dict.fromkeys(name for part in line for name in part.settings)
        left = tuple(name for name in settings if name not in facts["unused"])
        found[facts["name"]] = Entry(facts["summary"], left)
    first = ("full", "hired")
    return {name: found[name] for name in (*first, *sorted(found.keys() - {*first}))}


def _ancestry(one: _Class, classes: dict[str, _Class]) -> list[_Class]:
    """A class and those it inherits from, the most general first."""
    line = [one]
    while line[0].base in classes:
        line.insert(0, classes[line[0].base])
    return line


def _read_class(node: ast.ClassDef) -> _Class:
    """The annotated names of a class body: class variables are facts, all others settings."""
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    read = _Class(bases[0] if bases else None)
    for part in node.body:
        if not isinstance(part, ast.AnnAssign) or not isinstance(part.target, ast.Name):
            continue
        if not ast.unparse(part.annotation).startswith("ClassVar"):
            read.settings.append(part.target.id)
        elif isinstance(part.value, ast.Constant | ast.Tuple):
            read.facts[part.target.id] = ast.literal_eval(part.value)
    return read
