"""Puts the tables of the records into the READMEs: `make tables`, or `python tests/readmes.py`.

A table stands between `<!-- table: WHAT -->` and `<!-- end -->`. WHAT is a name from `OF_CODE`, or
a record in `assets/results` and a name from `OF_RECORD`; `said` is the record in words (`SAID`).
"""

import json
import re
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from model_card import OF_CARD, answers  # noqa: E402

from hired.bench import accuracy_tables as accuracy  # noqa: E402
from hired.bench import split_tables as splits  # noqa: E402
from hired.bench.accuracy_summary import pool, summarise  # noqa: E402
from hired.bench.coverage import cases_in, coverage_table, kinds_table  # noqa: E402
from hired.bench.focus import describe_focus  # noqa: E402
from hired.bench.results import read_lines, rounds_in  # noqa: E402
from hired.bench.select_times import describe_selecting  # noqa: E402
from hired.bench.speed_summary import summarise_rounds  # noqa: E402
from hired.bench.speed_tables import (  # noqa: E402
    batch_table,
    describe_overhead,
    main_table,
    paper_table,
    published_times,
)
from hired.bench.tables import describe_sessions, markdown  # noqa: E402
from hired.selectors import SELECTORS, settings_of  # noqa: E402
from hired.serving.report import make_report, read_record  # noqa: E402
from hired.web import identical  # noqa: E402

RESULTS = ROOT / "assets" / "results"
BLOCK = re.compile(r"^<!-- table: (.+?) -->\n.*?^<!-- end -->$", re.MULTILINE | re.DOTALL)
BRIEF = ("Method", "Kept", "Visual tokens", "To the first token", "Speed-up", "KV cache",
         "Peak above rest")  # fmt: skip
BRIEF_SPLITS = ("Pictures", "Questions", "`full`", "`hired` 40 %", "`hired` 20 %",
                f"`{splits.PLACED}` 20 %", "`spatial` 20 %")  # fmt: skip
Lines = list[dict[str, Any]]


def pages() -> list[Path]:
    """Every README of the project, the front page first."""
    below = [
        path for top in ("assets", "hired", "tests") for path in (ROOT / top).rglob("README.md")
    ]
    return [ROOT / "README.md", *sorted(below)]


def fill(text: str) -> str:
    """A page with every table as its source has it now."""
    return BLOCK.sub(
        lambda found: f"<!-- table: {found[1]} -->\n\n{make(found[1])}\n\n<!-- end -->", text
    )


@cache
def make(what: str) -> str:
    """One table, by what stands in the comment above it."""
    if what in OF_CODE:
        return OF_CODE[what]()
    file, kind = what.split()
    path = RESULTS / file
    if kind == "said":
        words = SAID[path.stem](json.loads(path.read_text(encoding="utf-8"))).partition("\n")[2]
        return re.sub(r" --json \S+", "", words).strip()
    if kind == "serving":
        report = make_report(read_record(path))
        return report[report.index("| Kept |") :].strip()
    of = "eval" if file.startswith("eval") else "serve" if file.startswith("serving") else "bench"
    return OF_RECORD[kind](read_record(path) if of == "serve" else read_lines(path, of), path)


def methods() -> str:
    """Every method with its summary."""
    rows = ([f"`{name}`", one.title, one.summary] for name, one in SELECTORS.items())
    return markdown(["Name", "Method", "What it does"], rows)


def sources() -> str:
    """Every method with the paper it is written after and its settings."""
    rows = (
        [f"`{name}`", one.title, one.paper, ", ".join(f"`{key}`" for key in settings_of(name))]
        for name, one in SELECTORS.items()
    )
    return markdown(["Name", "Method", "Written after", "Settings"], rows)


def settings() -> str:
    """Every setting: what it does, what it may be, and in which methods it plays a part."""
    owners: dict[str, list[str]] = {}
    for name in SELECTORS:
        for key in settings_of(name):
            owners.setdefault(key, []).append(name)
    rows = []
    for key, names in owners.items():
        setting = settings_of(names[0])[key]
        defaults = {setting.write(getattr(SELECTORS[name](), key)) for name in names}
        left = [f"`{name}`" for name in SELECTORS if name not in names]
        used = (
            "all but " + ", ".join(left) if len(names) > 4 else ", ".join(f"`{n}`" for n in names)
        )
        rows.append(
            [f"`{key}`", setting.help, setting.allowed, " or ".join(sorted(defaults)), used]
        )
    return markdown(["Setting", "What it does", "Values", "Default", "Methods"], rows)


def measured(lines: Lines, path: Path) -> str:
    """Hardware, date, versions and commands, which are to write the record where it lies."""
    here = path.relative_to(ROOT).as_posix()
    return re.sub(r"--out \S+", f"--out {here}", describe_sessions(lines))


def where(lines: Lines, path: Path) -> str:
    """As `measured`, without the versions."""
    return re.sub(r"(\d{4}-\d\d-\d\d); .+?\.$", r"\1.", measured(lines, path), flags=re.MULTILINE)


def speed(lines: Lines, _: Path) -> str:
    """Phases, speed-up and memory of a record of one set-up."""
    (group,) = summarise_rounds(rounds_in(lines))
    return main_table(group)


def brief(lines: Lines, path: Path) -> str:
    """The columns of `speed` that a newcomer needs, of the first four rows."""
    return "\n".join(_pick(speed(lines, path), BRIEF).splitlines()[:6])


def brief_splits(lines: Lines, _: Path) -> str:
    """The columns of the split table that a newcomer needs."""
    return _pick(splits.split_table(summarise(rounds_in(lines))), BRIEF_SPLITS)


def _pick(table: str, names: Sequence[str]) -> str:
    """These columns of a table in Markdown."""
    head, _, *rows = [
        [cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()
    ]
    places = [head.index(name) for name in names]
    return markdown(names, ([row[place] for place in places] for row in rows))


def _scored(table: Callable[[Any], str]) -> Callable[[Lines, Path], str]:
    return lambda lines, _: table(summarise(rounds_in(lines)))


def _pooled(table: Callable[[Any], str]) -> Callable[[Lines, Path], str]:
    return lambda lines, _: table(pool(summarise(rounds_in(lines))))


def _covered(split: str, table: Callable[[Any], str]) -> Callable[[Lines, Path], str]:
    return lambda lines, _: table(cases_in(rounds_in(lines), split))


def _timed(table: Callable[[Any], str]) -> Callable[[Lines, Path], str]:
    return lambda lines, _: table(summarise_rounds(rounds_in(lines)))


OF_CODE: dict[str, Callable[[], str]] = {
    "methods": methods,
    "sources": sources,
    "settings": settings,
    "published": published_times,
    "published scores": splits.published_scores,
    **OF_CARD,
}
SAID: dict[str, Callable[[dict[str, Any]], str]] = {
    "attention": describe_focus,
    "identical": identical.describe,
    "overhead": describe_overhead,
    "select": describe_selecting,
}
OF_RECORD: dict[str, Callable[[Lines, Path], str]] = {
    "measured": measured,
    "where": where,
    "accuracy": _scored(accuracy.accuracy_table),
    "rivals": _scored(accuracy.rival_table),
    "partitions": _scored(accuracy.partition_table),
    "placed": _scored(accuracy.placed_table),
    "splits": _scored(splits.split_table),
    "brief-splits": brief_splits,
    "kept": _scored(splits.kept_table),
    "ablations": _scored(accuracy.ablation_table),
    "answers": _scored(answers),
    "pooled": _pooled(accuracy.accuracy_table),
    "pooled-rivals": _pooled(accuracy.rival_table),
    "pooled-placed": _pooled(accuracy.placed_table),
    "pooled-ablations": _pooled(accuracy.ablation_table),
    "coverage": _covered("sparse", coverage_table),
    "covered-kinds": _covered("sparse", kinds_table),
    "covered-board": _covered("board", coverage_table),
    "covered-board-kinds": _covered("board", kinds_table),
    "speed": speed,
    "brief": brief,
    "batches": _timed(batch_table),
    "paper": _timed(paper_table),
}


def main() -> None:
    """Fill every page and name those that changed."""
    for path in pages():
        text = path.read_text(encoding="utf-8")
        if (filled := fill(text)) != text:
            path.write_text(filled, encoding="utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
