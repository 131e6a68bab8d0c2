"""One vocabulary of phases: every list of them is the declared one."""

import ast
from dataclasses import fields
from pathlib import Path

from hired.metrics import Metrics
from hired.phases import BY_NAME, FINAL, OF_MODEL, PHASES, TO_FIRST_TOKEN, WAITING
from hired.web import render

ROOT = Path(__file__).parents[1] / "hired"


def test_steps_metrics_and_panes_speak_alike() -> None:
    assert [*BY_NAME] == ["preprocess", "vision", "select", "prefill", "decode"]
    assert {phase.metric for phase in PHASES} <= {field.name for field in fields(Metrics)}
    assert (*TO_FIRST_TOKEN, BY_NAME["decode"]) == PHASES and OF_MODEL == TO_FIRST_TOKEN[1:]
    assert {WAITING, *BY_NAME, *FINAL} <= render.STATES.keys()
    assert set(BY_NAME) <= render.HINTS.keys()


def test_no_second_list_stands_anywhere() -> None:
    """No tuple, list, set or dict in the library writes three phases out again."""
    words = {word for phase in PHASES for word in (phase.name, phase.metric, phase.state)}
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Tuple | ast.List | ast.Set):
                parts = node.elts
            elif isinstance(node, ast.Dict):
                parts = [key for key in node.keys if key is not None]
            else:
                continue
            said = {part.value for part in parts if isinstance(part, ast.Constant)} & words
            found += [f"{path.name}:{node.lineno}"] * (len(said) > 2)
    assert not found
