"""Parts of every report: a Markdown table, where it was measured, what a lane keeps."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from hired.bench.plan import BASELINE
from hired.budget import show_budget


def describe_sessions(lines: Sequence[dict[str, Any]]) -> str:
    """Hardware, versions, dates and commands."""
    sessions = [line for line in lines if line["kind"] == "session"]
    first = sessions[0]
    days = sorted({line["date"][:10] for line in sessions})
    versions = ", ".join(f"{name} {number}" for name, number in first["versions"].items())
    # A folder of the measuring machine means nothing elsewhere: the usual one stands in its place.
    said = (re.sub(r"--out /\S*/", "--out assets/results/", line["command"]) for line in sessions)
    commands = "\n".join(dict.fromkeys(said))
    threads = "1 thread" if first["threads"] == 1 else f"{first['threads']} threads"
    return (
        f"Measured on {first['device_name']} ({first['device']}, {threads}), "
        f"{' and '.join(days)}; {versions}.\n\n```bash\n{commands}\n```"
    )


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """The lines' cells as a Markdown table under the columns that `head` names."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def show_kept(budget: float | int | None, title: str) -> str:
    """The budget of a lane in words; stock has none, as it keeps all."""
    return "all" if budget is None and title == BASELINE else show_budget(budget)
