"""The Benchmarks tab: recorded accuracy, then recorded speed as plots and as a table to sort."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from hired.bench.results import SHIPPED, read_lines, records_in, rounds_in
from hired.bench.speed_summary import Group, Row, summarise_rounds
from hired.bench.speed_tables import describe_overhead, published_times
from hired.bench.split_tables import published_scores
from hired.bench.tables import describe_sessions, show_kept
from hired.errors import HiredError
from hired.phases import TO_FIRST_TOKEN
from hired.web.accuracy import add_accuracy
from hired.web.queues import LOOK, QUIET
from hired.web.speed import add_speed_plots, show_speed

PUBLISHED = f"""
### What the paper reports
Cited from [arXiv 2408.10945](https://arxiv.org/abs/2408.10945), LLaVA-NeXT-7B; not measured here.

{published_scores()}

On a Tesla P40 (24 GB):

{published_times()}

Its tokens per second count 15 new tokens over preparing, prefill and decoding together, so the
4.7× is mostly prefill. Here the phases are always timed apart. A small model on a fast machine
spends little time in prefill and gains little; a 7B model spends most of it there.
"""
# Head of a column -> metric and what its median is multiplied by.
MEASURED = {
    **{f"{phase.name}, ms": (phase.metric, 1e3) for phase in TO_FIRST_TOKEN},
    "first token, ms": ("ttft_s", 1e3),
    "decode, tokens/s": ("tokens_per_s", 1.0),
    "KV cache, MB": ("kv_cache_bytes", 1e-6),
    "peak above rest, MB": ("peak_bytes", 1e-6),
}
HEADS = ["method", "kept", "visual tokens", "speed-up", "estimate", *MEASURED]
KINDS_OF: list[Literal["str", "number"]] = [
    "str" if place < 2 else "number" for place in range(len(HEADS))
]
EMPTY = (
    "### Recorded speed\nNothing is recorded yet. `python -m hired bench` measures this machine; "
    "its record appears here. Until then there are the published numbers below."
)


@dataclass(frozen=True)
class Result:
    """One group of a record, and where and how it was measured, as Markdown."""

    title: str
    about: str
    group: Group


def add_benchmarks_tab(tab: gr.Tab, folder: Path = SHIPPED) -> None:
    """Results recorded in `folder`, read anew whenever the tab is opened, and the published."""
    add_accuracy(tab, folder)
    about = gr.Markdown(EMPTY, elem_id="recorded")
    choice = gr.Dropdown([], label="Recorded", visible=False, elem_id="recorded-choice")
    plots = add_speed_plots()
    table = gr.Dataframe(
        headers=HEADS, datatype=KINDS_OF, label="Medians; click a head to sort", visible=False,
        interactive=False, elem_id="recorded-table", buttons=["copy", "fullscreen"],
    )  # fmt: skip
    streaming = gr.Markdown("", elem_id="recorded-overhead")
    gr.Markdown(PUBLISHED, elem_id="published")
    shown = [about, table, *plots]
    tab.select(partial(open_tab, folder), None, [choice, streaming, *shown], **LOOK, **QUIET)
    choice.input(partial(choose, folder), choice, shown, **LOOK, **QUIET)


def read_results(folder: Path = SHIPPED) -> list[Result]:
    """Every group of every record in a folder, the one with most lanes first.

    What is no record is left out.
    """
    found = []
    for path in records_in(folder):
        try:
            lines = read_lines(path)
        except HiredError:
            continue
        for group in summarise_rounds(rounds_in(lines)):
            where, day = lines[0]["device_name"], lines[0]["date"][:10]
            title = f"{group.title} · {where}, {day}"
            found.append(Result(title, f"### Recorded speed\n{describe_sessions(lines)}", group))
    return sorted(found, key=lambda one: -len(one.group.rows))


def read_overhead(folder: Path) -> str:
    """The recorded cost of the page's stream of events, as Markdown; empty if there is none."""
    try:
        return describe_overhead(json.loads((folder / "overhead.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def open_tab(folder: Path) -> list[Any]:
    """Choices, the cost of streaming, and the first result."""
    results = read_results(folder)
    choices = [(result.title, index) for index, result in enumerate(results)]
    choice = gr.update(choices=choices, value=0 if results else None, visible=bool(results))
    return [choice, read_overhead(folder), *choose(folder, 0)]


def choose(folder: Path, index: int | None) -> list[Any]:
    """Facts, table and plots of one result."""
    result = _at(folder, index)
    if result is None:
        return [EMPTY, gr.update(visible=False), *show_speed(None)]
    table = gr.update(value=[cells(row) for row in result.group.rows], visible=True)
    return [_facts(result), table, *show_speed(result.group)]


def _at(folder: Path, index: int | None) -> Result | None:
    results = read_results(folder)
    return results[index] if index is not None and 0 <= index < len(results) else None


def cells(row: Row) -> list[Any]:
    """A row of the table, numbers as numbers."""
    medians = [
        _rounded(row.metrics[name].median * scale) if name in row.metrics else None
        for name, scale in MEASURED.values()
    ]
    tokens = row.metrics.get("visual_tokens")
    speedup = row.speedup.median if row.speedup else None
    kept = show_kept(row.budget, row.title)
    return [
        row.title, kept, tokens and int(tokens.median), _rounded(speedup), _rounded(row.estimate),
        *medians,
    ]  # fmt: skip


def _facts(result: Result) -> str:
    failed = [f"`{row.title}` {row.error}" for row in result.group.rows if row.error]
    return "\n\n".join([result.about, *failed])


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
