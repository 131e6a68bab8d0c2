"""The READMEs' tables are what the records and the code say; `make tables` writes them."""

import re

import pytest
from readmes import RESULTS, ROOT, fill, make, pages

from hired import SELECTORS
from hired.bench.accuracy_summary import pool, summarise
from hired.bench.accuracy_tables import (
    ablation_table,
    accuracy_table,
    is_ablation,
    placed_table,
    rival_table,
)
from hired.bench.coverage import cases_in, coverage_table, kinds_table
from hired.bench.results import read_lines, rounds_in
from hired.bench.speed_summary import summarise_rounds
from hired.bench.speed_tables import batch_table, main_table, paper_table, published_times
from hired.bench.split_tables import kept_table, published_scores, split_table
from hired.metrics import seconds
from hired.selectors import settings_of
from hired.serving.report import make_report, read_record
from hired.web import benchmarks_tab

FRONT = (ROOT / "README.md").read_text(encoding="utf-8")
TEXT = (RESULTS / "README.md").read_text(encoding="utf-8")
METHODS = (ROOT / "hired" / "selectors" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_page_is_as_filled(path) -> None:
    text = path.read_text(encoding="utf-8")
    assert fill(text) == text, "run `make tables`"


def test_methods_tables_are_the_registry() -> None:
    rows = [
        f"| `{name}` | {method.title} | {method.summary} |" for name, method in SELECTORS.items()
    ]
    section = FRONT.split("\n## Methods\n")[1].split("\n## ")[0]
    found = re.findall(r"^\| `[a-z0-9-]+` \| .*\|$", section, flags=re.MULTILINE)
    assert found == rows, "The table should be:\n" + "\n".join(rows)
    rows = [
        f"| `{name}` | {method.title} | {method.paper} | "
        f"{', '.join(f'`{setting}`' for setting in settings_of(name))} |"
        for name, method in SELECTORS.items()
    ]
    section = METHODS.split("\n## Settings\n")[0]
    found = re.findall(r"^\| `[a-z0-9-]+` \| .*\|$", section, flags=re.MULTILINE)
    assert found == rows, "The table should be:\n" + "\n".join(rows)


def test_settings_table_has_every_setting() -> None:
    section = METHODS.split("\n## Settings\n")[1].split("\n## ")[0]
    declared = {key: one for name in SELECTORS for key, one in settings_of(name).items()}
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*)\|$", section, flags=re.MULTILINE))
    assert set(rows) == set(declared)
    for key, one in declared.items():
        assert one.help in rows[key] and one.allowed in rows[key]


def test_measured_tables_are_the_records() -> None:
    for path in sorted(RESULTS.glob("eval-*.jsonl")):
        rounds = rounds_in(read_lines(path, "eval"))
        scores = summarise(rounds)
        if cases_in(rounds, "sparse"):
            for split in ("sparse", "board"):
                cases = cases_in(rounds, split)
                assert coverage_table(cases) in TEXT and kinds_table(cases) in TEXT
        elif path.stem == "eval-2000":
            assert split_table(scores) in TEXT and kept_table(scores) in TEXT
            assert make(f"{path.name} brief-splits") in FRONT
        else:
            several = len({score.split for score in scores}) > 1
            mine = pool(scores) if several else scores
            assert accuracy_table(mine) in TEXT and rival_table(mine) in TEXT, path.name
            if any(is_ablation(score.what) for score in scores):
                assert ablation_table(mine) in TEXT and placed_table(mine) in TEXT
    records = sorted(RESULTS.glob("bench*.jsonl"))
    assert records
    for path in records:
        timed = summarise_rounds(rounds_in(read_lines(path)))
        tables = [main_table(group) for group in timed]
        if timed[0].protocol == "paper":
            tables = [paper_table(timed)]
        elif len({group.about["batch"] for group in timed}) > 1:
            tables = [batch_table(timed)]
        assert tables and all(table in TEXT for table in tables), path.name


def test_every_record_is_told_with_its_command() -> None:
    mine = {path.name for path in RESULTS.glob("gpu-check-*.json")} | {"eval.jsonl"}
    for path in RESULTS.glob("*.json*"):
        if path.name in mine:
            continue  # what commands of the pages leave there on a reader's machine
        assert f"table: {path.name} " in TEXT, f"{path.name} is on no page"
        if path.suffix == ".jsonl":
            assert f"--out assets/results/{path.name}" in TEXT


def test_the_front_page_shows_four_rows_of_the_record() -> None:
    (group,) = summarise_rounds(rounds_in(read_lines(RESULTS / "bench.jsonl")))
    section = FRONT.split("bench.jsonl brief -->")[1].split("<!-- end")[0]
    rows = [row for row in section.strip().splitlines()[2:]]
    assert len(rows) == 4
    for row, mine in zip(rows, group.rows, strict=False):
        assert f"| {mine.metrics['visual_tokens'].median:.0f} |" in row
        assert f"| {seconds(mine.metrics['ttft_s'].median)} (" in row


def test_the_serving_table_is_the_record() -> None:
    report = make_report(read_record(RESULTS / "serving.jsonl"))
    table = report[report.index("| Kept |") :].strip()
    assert table.count("\n") > 4 and table in TEXT


def test_what_the_paper_reports_stands_on_the_page_as_in_the_tab() -> None:
    for table in (published_scores(), published_times()):
        assert table in TEXT and table in benchmarks_tab.PUBLISHED
    assert [len(t().splitlines()) for t in (published_scores, published_times)] == [8, 9]
