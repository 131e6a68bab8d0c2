"""`hired bench page` against a page that is really served."""

import json

import pytest

from hired.bench.page import Wait, describe_waits, measure_page
from hired.cli import main
from hired.errors import ModelError


def test_the_page_is_waited_for_as_a_person_does(tmp_path, capsys) -> None:
    out = tmp_path / "page.json"
    assert main(["bench", "page", "--repeats", "1", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    waits = {wait["what"]: wait for wait in found["waits"]}
    assert list(waits) == [
        "start-up, until /healthz answers",
        "example click, to the first word",
        "example click, to the end of both answers",
        "slider move, an example",
        "slider move, 12 megapixels",
        "API request, both answers",
    ]
    assert all(second > 0 for wait in found["waits"] for second in wait["seconds"])
    word, end = (waits[f"example click, to the {part}"]["seconds"][0]
                 for part in ("first word", "end of both answers"))  # fmt: skip
    assert word < end and found["resting_bytes"] > 2**27
    # A move draws a picture; a run answers twice.
    moved, answered = (waits[name]["cpu_s"] for name in list(waits)[3::2])
    assert 0 < moved < answered
    assert capsys.readouterr().out.count("\n| ") == 2 + len(waits)  # head and rule


def test_the_table_has_the_least_the_middle_and_the_servers_seconds() -> None:
    waits = [vars(Wait("slow", (3.0, 1.0, 2.5), 0.25)), vars(Wait("a word", (0.1,), None))]
    facts = {"model": "shapes", "resting_bytes": 2**29, "load": 0.1, "cores": 2, "waits": waits}
    assert describe_waits(facts).splitlines()[-2:] == [
        "| slow | 1.000 | 2.500 | 0.250 |",
        "| a word | 0.100 | 0.100 | – |",
    ]


def test_a_page_that_does_not_start_says_why() -> None:
    with pytest.raises(ModelError, match=r"(?s)did not start.*nowhere"):
        measure_page("nowhere/at-all", 1)


def test_less_than_one_repeat_is_refused(capsys) -> None:
    assert main(["bench", "page", "--repeats", "0"]) == 2
    assert "at least 1" in capsys.readouterr().err
