"""Recorded rounds as Markdown. Measures nothing and knows no model."""

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from hired.bench.plan import BASELINE
from hired.bench.results import rounds_in
from hired.bench.speed_summary import Group, Row, Spread, summarise_rounds
from hired.bench.tables import describe_sessions, markdown, show_kept
from hired.budget import show_budget
from hired.metrics import seconds, size
from hired.phases import TO_FIRST_TOKEN

# HiRED (arXiv 2408.10945), LLaVA-NeXT-7B on a Tesla P40 (24 GB). (batch, budget) -> tokens/s,
# seconds to the first token, peak GB; None where it ran out of memory. Cited, not measured here.
PUBLISHED_TIMES: dict[tuple[int, float | None], tuple[float, float, float] | None] = {
    (1, None): (0.49, 19.49, 16.04),
    (1, 0.4): (1.40, 6.91, 14.33),
    (1, 0.2): (2.30, 4.21, 13.76),
    (2, None): (0.66, 44.37, 21.84),
    (2, 0.2): (3.68, 7.89, 15.07),
    (4, None): None,
    (4, 0.2): (4.28, 13.60, 16.99),
}
HEAD = (
    f"Method | Kept | Visual tokens | {' | '.join(p.name.capitalize() for p in TO_FIRST_TOKEN)} | "
    "To the first token | The model's part | Speed-up | Estimate | Of the estimate | "
    "Decode tokens/s | KV cache | Peak above rest"
)
BATCH_HEAD = "Method | Kept | Batch | Tokens/s | To the first token | Speed-up | Peak above rest"
PAPER_HEAD = (
    "Method | Kept | Batch | Tokens/s | To the first token | Peak memory | "
    "Published tokens/s | Published first token | Published peak"
)


def make_report(lines: Sequence[dict[str, Any]]) -> str:
    """A record as Markdown: where it was measured, one table per group, how to read it."""
    groups = summarise_rounds(rounds_in(lines))
    parts = [describe_sessions(lines)]
    paper = [group for group in groups if group.protocol == "paper"]
    parts += [f"### {group.title}\n\n{main_table(group)}" for group in groups]
    if paper:
        parts.append(f"### The paper's own protocol\n\n{paper_table(paper)}")
    elif len({group.about["batch"] for group in groups}) > 1:
        parts.append(f"### Batches\n\n{batch_table(groups)}")
    return "\n\n".join([*parts, _notes(lines, groups)]) + "\n"


def main_table(group: Group) -> str:
    """One group: phases apart, speed-up and estimate, memory."""
    return markdown(
        HEAD.split(" | "), ([*_name(row), *_measured(row, _phases, 13)] for row in group.rows)
    )


def batch_table(groups: Sequence[Group]) -> str:
    """The gain of batches: tokens per second over preparing, prefill and decoding together."""
    return markdown(
        BATCH_HEAD.split(" | "),
        (
            [*_name(row), str(group.about["batch"]), *_measured(row, _batched, 4)]
            for group in groups
            for row in group.rows
        ),
    )


def paper_table(groups: Sequence[Group]) -> str:
    """Tokens per second over everything, as the release counts them, beside the published ones."""
    lines = []
    for group in groups:
        batch, resting = group.about["batch"], group.about["model"]["resting_bytes"]
        for row in group.rows:
            cells = _measured(row, partial(_as_published, resting=resting), 3)
            lines.append([*_name(row), str(batch), *cells, *_published(row, batch)])
    return markdown(PAPER_HEAD.split(" | "), lines)


def _measured(row: Row, cells: Callable[[Row], list[str]], width: int) -> list[str]:
    """The measured cells, or in as many the reason why there are none."""
    return cells(row) if row.error is None else [row.error] + [""] * (width - 1)


def _phases(row: Row) -> list[str]:
    metrics = row.metrics
    return [
        _count(metrics["visual_tokens"]),
        *(seconds(metrics[phase.metric].median) for phase in TO_FIRST_TOKEN),
        _range(metrics["ttft_s"], seconds),
        seconds(metrics["model_ttft_s"].median),
        _speedup(row),
        "" if row.estimate is None else _times(row.estimate),
        "" if row.achieved is None else f"{row.achieved:.0%}",
        f"{metrics['tokens_per_s'].median:.1f}" if "tokens_per_s" in metrics else "",
        size(metrics["kv_cache_bytes"].median),
        size(metrics["peak_bytes"].median),
    ]


def _batched(row: Row) -> list[str]:
    return [
        f"{row.metrics['end_to_end_tokens_per_s'].median:.2f}",
        _range(row.metrics["ttft_s"], seconds),
        _speedup(row),
        size(row.metrics["peak_bytes"].median),
    ]


def _as_published(row: Row, resting: int) -> list[str]:
    return [
        f"{row.metrics['end_to_end_tokens_per_s'].median:.2f}",
        seconds(row.metrics["ttft_s"].median),
        size(resting + row.metrics["peak_bytes"].median),
    ]


def _speedup(row: Row) -> str:
    return "" if row.speedup is None else _range(row.speedup, _times)


def _times(value: float) -> str:
    return f"{value:.2f}×"


def _published(row: Row, batch: int) -> list[str]:
    key = (batch, None if row.title == BASELINE else row.budget)
    if key not in PUBLISHED_TIMES or row.title not in (BASELINE, "hired"):
        return ["–", "–", "–"]
    numbers = PUBLISHED_TIMES[key]
    if numbers is None:
        return ["out of memory", "", ""]
    return [f"{numbers[0]:.2f}", f"{numbers[1]:.2f} s", f"{numbers[2]:.2f} GB"]


def published_times() -> str:
    """The paper's times, with the speed-up worked out as it is for what was measured here."""
    rows = []
    for (batch, rate), numbers in PUBLISHED_TIMES.items():
        kept = "all" if rate is None else f"HiRED {show_budget(rate)}"
        stock = PUBLISHED_TIMES[batch, None]
        if numbers is None:
            rows.append([str(batch), kept, "out of memory", "", "", ""])
            continue
        times = f"{stock[1] / numbers[1]:.2f}×" if stock else ""
        cells = [f"{numbers[0]:.2f}", f"{numbers[2]:.2f} GB", f"{numbers[1]:.2f} s", times]
        rows.append([str(batch), kept, *cells])
    head = ["Batch", "Tokens kept", "Tokens/s", "Peak memory", "To the first token", "Speed-up"]
    return markdown(head, rows)


def _notes(lines: Sequence[dict[str, Any]], groups: Sequence[Group]) -> str:
    notes = [
        "Medians over the repeats, lowest to highest in brackets. Speed-up: time to the first "
        "token of `full` over the method's, in the same round. Estimate: Amdahl's law if "
        "preprocessing and vision stay and prefill shrinks in proportion to its tokens.",
    ]
    threads = lines[0]["threads"]
    busiest = max(one["load"] for one in rounds_in(lines))
    if busiest > threads + 1:
        notes.append(
            f"**Other programs ran meanwhile** (load {busiest:.1f}, {threads} of ours): the "
            f"times are not to be relied on."
        )
    if any(not group.about["model"]["device"].startswith("cuda") for group in groups):
        notes.append("Off a GPU, peaks are of the whole process and approximate.")
    if any(group.about["model"]["origin"] == "random" for group in groups):
        notes.append(
            "Models named random have true shapes and random weights: they show speed, not answers."
        )
    if any(group.protocol == "paper" for group in groups):
        notes.append(
            "Published: LLaVA-NeXT-7B on a Tesla P40 (24 GB), arXiv 2408.10945; its full "
            "run drops the newline tokens, ours is stock."
        )
    return "\n\n".join(notes)


def _name(row: Row) -> list[str]:
    some = f", {row.runs} of {row.of} runs" if 0 < row.runs < row.of else ""
    return [f"`{row.title}`{some}", show_kept(row.budget, row.title)]


def _count(spread: Spread) -> str:
    return f"{spread.median:.0f}"


def _range(spread: Spread, show: Callable[[float], str]) -> str:
    if spread.low == spread.high:
        return show(spread.median)
    return f"{show(spread.median)} ({show(spread.low)}–{show(spread.high)})"


def describe_overhead(record: dict[str, Any]) -> str:
    """A record of `python -m hired overhead` as Markdown.

    Raises:
        KeyError, TypeError: it is no such record.
    """
    pairs = zip(record["page_s"], record["plain_s"], strict=True)
    costs = [page / plain - 1 for page, plain in pairs]
    cost = statistics.median(costs)
    spread = f"{min(costs):.1%} to {max(costs):.1%}"
    busy = ""
    if record["load"] > record["cores"] + 1:
        busy = (
            f"\n\n**Other programs ran meanwhile** (load {record['load']:.1f} on {record['cores']} "
            "cores): not to be relied on."
        )
    return (
        f"### What streaming costs\nBoth answers through the page took "
        f"**{abs(cost):.1%}** {'longer' if cost >= 0 else 'less'} than the same generation alone: "
        f"median of "
        f"{len(costs)} pairs, {spread}; {statistics.median(record['plain_s']):.2f} s alone. "
        f"{record['name']} in {record['dtype']}, {record['new_tokens']} new tokens per lane, "
        f"{record['events']} events of {record['bytes'] / 1000:.0f} kB in all. Measured on "
        f"{record['device_name']}, {record['date'][:10]}, torch {record['versions']['torch']}."
        f"{busy}\n\n```bash\n{record.get('command', 'python -m hired overhead')}\n```"
    )
