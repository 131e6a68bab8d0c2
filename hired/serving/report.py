"""Records of `serve bench` as Markdown and as a figure. Measures nothing."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hired.bench.results import read_lines, rounds_in
from hired.bench.tables import describe_sessions, markdown
from hired.errors import InputError
from hired.serving.benchmark import OF

Rows = list[dict[str, Any]]


def read_record(path: Path) -> Rows:
    """Every line of a record.

    Raises:
        InputError: it is none, or holds no finished round.
    """
    lines = read_lines(path, OF)
    if not rounds_in(lines):
        raise InputError(f"{path} holds no finished round yet. Run serve bench again to go on.")
    return lines


def make_report(lines: Rows) -> str:
    """Hardware and command, and one table per set-up."""
    parts = [describe_sessions(lines)]
    for setup, found in _setups(lines).items():
        model, height, width, new, kv, *extra = setup
        words = f" and `{extra[0]}`" if extra else ""
        parts.append(
            f"**{model}**, {height}×{width} images, {new} new tokens, a KV cache of {kv:,} tokens"
            f"{words}:\n\n{_table(found)}"
        )
    return "\n\n".join(parts)


def _setups(lines: Rows) -> dict[tuple[Any, ...], Rows]:
    """Rounds by set-up, with the words for vLLM where they differ among rounds to be compared."""
    setups: dict[tuple[Any, ...], Rows] = {}
    for line in rounds_in(lines):
        setup = (line["model"], *line["image_size"], line["new_tokens"], line["kv_tokens"])
        setups.setdefault(setup, []).append(line)
    apart: dict[tuple[Any, ...], Rows] = {}
    for setup, found in setups.items():
        words = [shlex.join(line.get("extra", ())) for line in found]
        counts = [line["concurrency"] for line in found]
        differ = len(set(zip(counts, words, strict=True))) > len(set(counts))
        for line, extra in zip(found, words, strict=True):
            apart.setdefault((*setup, extra) if differ else setup, []).append(line)
    return apart


def _table(found: Rows) -> str:
    head = ["Kept", "At once", "Requests/s", "against stock", "First token, median",
            "against stock", "First token, slowest", "Most in flight"]  # fmt: skip
    stock = {line["concurrency"]: line["lanes"] for line in found if line["budget"] is None}
    lines = []
    for line in sorted(found, key=lambda one: (-(one["budget"] or 2), one["concurrency"])):
        lane, base = line["lanes"], stock.get(line["concurrency"])
        rate, first = lane["requests_per_s"], _first(lane)
        lines.append(
            [
                _kept(line),
                str(line["concurrency"]),
                f"{rate:.2f}",
                f"{rate / base['requests_per_s']:.2f}×" if base else "–",
                f"{first:.2f} s",
                f"{_first(base) / first:.2f}× sooner" if base else "–",
                f"{_slowest(lane):.2f} s",
                str(lane["most_running"]),
            ]
        )
    return markdown(head, lines)


def _first(lane: dict[str, Any]) -> float:
    """Median time to the first token; older records have the lower of the two in the middle."""
    return lane["ttft_s"].get("median", lane["ttft_s"].get("p50"))


def _slowest(lane: dict[str, Any]) -> float:
    """The slowest first token, which the 99th percentile is of 100 requests and fewer."""
    return lane["ttft_s"].get("slowest", lane["ttft_s"].get("p99"))


def _kept(line: dict[str, Any]) -> str:
    return "all (stock vLLM)" if line["budget"] is None else f"{line['budget']:.0%}"


def draw(lines: Rows, path: Path) -> None:
    """Throughput and time to first token over concurrency, of the last set-up, as SVG."""
    from matplotlib.figure import Figure

    from hired.bench.figures import MARKERS, clear_frame, save

    setup, found = list(_setups(lines).items())[-1]
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    places = figure.subplots(1, 2)
    budgets = list(dict.fromkeys(line["budget"] for line in found))
    for marker, budget in zip(MARKERS, budgets, strict=False):
        mine = sorted(
            (line for line in found if line["budget"] == budget),
            key=lambda line: line["concurrency"],
        )
        counts = [line["concurrency"] for line in mine]
        for place, values in zip(places, _series(mine), strict=True):
            place.plot(counts, values, marker=marker, label=_kept(mine[0]))
    for place, title in zip(
        places, ("Requests per second", "First token, s (median)"), strict=True
    ):
        place.set_title(title, fontsize=10, loc="left")
        place.set_xscale("log", base=4)
        place.set_xlabel("requests at once", fontsize=8)
        place.set_xticks(counts, [str(count) for count in counts])
        place.set_ylim(bottom=0)
        place.grid(alpha=0.25)
        clear_frame(place)
    places[0].legend(fontsize=8, frameon=False)
    figure.suptitle(f"{setup[0]}, KV cache of {setup[4]:,} tokens", fontsize=9)
    save(figure, path)


def _series(mine: Sequence[dict[str, Any]]) -> tuple[list[float], list[float]]:
    return (
        [line["lanes"]["requests_per_s"] for line in mine],
        [_first(line["lanes"]) for line in mine],
    )
