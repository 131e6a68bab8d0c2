"""A setting that no method declares is refused with the nearest right name, or told of, at every
door.
"""

import json
from dataclasses import replace

import pytest
from toy import lmms_model, registered

from hired.bench.plan import parse_method
from hired.cli import main
from hired.errors import HiredError, SettingError
from hired.selectors import build, parse
from hired.serving.settings import resolve
from hired.web import export, form
from hired.web.api import read_panes
from hired.web.permalink import from_query
from hired.web.settings import Settings, from_mapping
from hired.web.sweep import plan

QUESTION = "what ?"
WRONG, RIGHT = "wieght", "weight"


@pytest.fixture(scope="module", autouse=True)
def toy():
    with registered() as method:
        yield method


def _link(**query) -> str:
    return "; ".join(from_query(query)[1])


def _cli(*argv: str) -> str:
    raise SystemExit(main(list(argv)))


def _lmms() -> None:
    with lmms_model() as made:
        made(method="toy", **{WRONG: "1"})


BAD = f"toy:{WRONG}=1"
DOORS = {
    "a line": lambda: parse(BAD),
    "Python": lambda: build("toy", **{WRONG: 1}),
    "the form": lambda: form.read(
        **form.write(Settings()) | {"panes": json.dumps({"lanes": [BAD]})}
    ),
    "a link": lambda: _link(lane=BAD),
    "an old link": lambda: _link(right="toy", **{WRONG: "1"}),
    "a file": lambda: export.from_json({"settings": {"lanes": ["full", BAD]}, "lanes": [{}]}),
    "an old file": lambda: from_mapping({"right": "toy", WRONG: 1}),
    "an endpoint's method": lambda: read_panes(BAD, {}),
    "an endpoint's lanes": lambda: read_panes("hired", {}, f"full {BAD}"),
    "the sweep's methods": lambda: plan(Settings(), "30", "none", "", [BAD]),
    "the sweep's axis": lambda: plan(Settings(), "30", WRONG, "1", ["toy"]),
    "bench and eval": lambda: parse_method(BAD),
    "vLLM's server": lambda: resolve({"method": "toy", WRONG: 1}, None),
    "vLLM's request": lambda: resolve({"method": "toy"}, {WRONG: 1}),
    "lmms-eval": _lmms,
    "ask --lane": lambda: _cli("ask", "p.png", QUESTION, "--lane", BAD),
    "ask --set": lambda: _cli("ask", "p.png", QUESTION, "--method", "toy", "--set", f"{WRONG}=1"),
    "ask --flag": lambda: _cli("ask", "p.png", QUESTION, "--method", "toy", f"--{WRONG}", "1"),
    "explain": lambda: _cli("explain", "p.png", QUESTION, "--lane", BAD),
    "bench": lambda: _cli("bench", "--methods", BAD),
    "eval": lambda: _cli("eval", "--methods", BAD),
    "serve": lambda: _cli("serve", "--dry-run", "--lane", BAD),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_misspelt_setting_is_refused_with_the_nearest_name(door, capsys) -> None:
    try:
        told = DOORS[door]()
    except HiredError as error:
        told = str(error)
    except SystemExit as error:
        assert error.code == 2
        told = capsys.readouterr().err
    assert WRONG in told and RIGHT in told.replace(WRONG, "") and "Did you mean" in told


def test_what_no_pane_has_is_told_of_a_link() -> None:
    assert _link(weight="2") == "weight=2.0 (no pane has it)" and not _link(right="toy", weight="2")
    assert "Did you mean 'lane'?" in _link(lanes="full toy")


def test_what_a_method_lacks_is_not_dropped_by_the_endpoints() -> None:
    with pytest.raises(SettingError, match="The method 'hired' has no setting 'weight'; it has"):
        read_panes("hired", {"weight": 2})
    usual = replace(Settings().lanes[1], budget=0.3)
    assert read_panes("hired", {"weight": 0.25, "budget": "30%"})[1] == usual, "as left out"
