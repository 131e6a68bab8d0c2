"""`python -m hired identical`: how often lanes that are the same are said to differ.

The same method in both panes, through the runs of the page, with one repeat and with five. What a
verdict may claim of times and memory rests on the spread alone here: what counts the claims is not
told that the lanes are the same.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from hired.bench.commands import command_line
from hired.bench.results import OWN
from hired.comparison.evidence import ENOUGH, SPEED_TOKENS, contrast
from hired.errors import ModelError, at_least
from hired.models.allowed import EMBEDDED
from hired.models.hardware import versions
from hired.models.load import load
from hired.settings import NEW_TOKENS
from hired.web.engine import Engine
from hired.web.examples import Greeting
from hired.web.pane_state import MEASURED, PaneState
from hired.web.runs import run
from hired.web.settings import Settings
from hired.web.uploads import read_image
from hired.web.visitors import Stops

RECORD = OWN / "identical.json"
CLAIMS = ("ttft_s", "tokens_per_s", "peak_bytes")  # what a verdict compares of these
MOST = 1 / 20  # of the comparisons may claim a difference that is none


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command `identical`."""
    parser = subparsers.add_parser("identical", help="how often equal lanes are said to differ")
    add = parser.add_argument
    add("--model", default=EMBEDDED, help=f"default: {EMBEDDED}")
    add("--method", default="hired", help="of both lanes (default: hired)")
    add("--comparisons", type=int, default=30, help="of each kind (default: 30)")
    add("--repeats", type=int, nargs="+", default=[1, ENOUGH], help=f"default: 1 {ENOUGH}")
    add("--new-tokens", type=int, default=NEW_TOKENS, help="per lane (default: %(default)s)")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("--dtype", default="auto", help="auto, float32, float16, bfloat16")
    add("--json", type=Path, default=RECORD, metavar="PATH", help=f"default: {RECORD}")
    parser.set_defaults(run=run_identical)


def run_identical(args: argparse.Namespace) -> int:
    """Measure, record and print; 1 if more than one comparison in twenty claims a difference."""
    at_least(1, comparisons=args.comparisons)
    asked = [
        Settings((args.method,) * 2, max_new_tokens=args.new_tokens, repeats=each)
        for each in args.repeats
    ]
    model, processor = load(args.model, None, args.device, args.dtype)

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    record = measure(Engine.holding(model, processor, args.model), asked, args.comparisons, tell)
    record["command"] = command_line()
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(to_json(record), encoding="utf-8")
    print(describe(record))
    tell(f"Recorded in {args.json}")
    return int(any(count / of > MOST for count, of in claims(record).values()))


def measure(
    engine: Engine,
    asked: Iterable[Settings],
    comparisons: int,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Comparisons of equal lanes; the record with every sample.

    Raises:
        ModelError: a run did not end well.
    """
    example = max(Greeting(engine).fitting, key=lambda one: len(one.answer))
    image, found = read_image(example.image), []
    for settings in asked:
        for index in range(comparisons):
            views = list(run(engine.get(), image, example.question, settings, Stops()))[-1]
            if any(view.phase != "done" for view in views):
                raise ModelError(f"A run ended as {views[0].phase}: {views[0].error}")
            found.append({"repeats": settings.repeats, "lanes": [_samples(view) for view in views]})
            tell(f"{index + 1} of {comparisons} comparisons with {settings.repeats} repeats")
    info, last = engine.get().info, views[0].metrics or {}
    return {
        "kind": "identical",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **{key: info[key] for key in ("name", "device", "device_name", "dtype")},
        "cores": os.cpu_count(),
        "load": psutil.getloadavg()[0],
        "versions": versions(),
        "method": views[0].method,
        "new_tokens": last["new_tokens"],
        "visual_tokens": last["visual_tokens"],
        "peak_is_approximate": last["peak_is_approximate"],
        "comparisons": found,
    }


def claims(record: dict[str, Any]) -> dict[int, tuple[int, int]]:
    """Count, by the number of repeats, the comparisons that claim a difference, and all of them."""
    found: dict[int, tuple[int, int]] = {}
    for one in record["comparisons"]:
        told = any(
            seen.shown
            for name in CLAIMS
            if name != "tokens_per_s" or record["new_tokens"] >= SPEED_TOKENS
            if (seen := contrast(*(lane[name] for lane in one["lanes"])))
        )
        count, of = found.get(one["repeats"], (0, 0))
        found[one["repeats"]] = (count + told, of + 1)
    return found


def widest(record: dict[str, Any], repeats: int, name: str) -> float:
    """The largest ratio between the medians of equal lanes, as a factor of at least one."""
    seen = [
        contrast(*(lane[name] for lane in one["lanes"]))
        for one in record["comparisons"]
        if one["repeats"] == repeats
    ]
    return max((max(each.ratio, 1 / each.ratio) for each in seen if each), default=1.0)


def describe(record: dict[str, Any]) -> str:
    """A record as Markdown.

    Raises:
        KeyError, TypeError: it is no such record.
    """
    lines = [
        f"- {repeats} {'run' if repeats == 1 else 'alternating runs'} a lane: "
        f"**{count} of {of}** claim a difference. The medians of the time to the first token were "
        f"up to {widest(record, repeats, 'ttft_s'):.2f}× apart, tokens per second "
        f"{widest(record, repeats, 'tokens_per_s'):.2f}×, peak memory "
        f"{widest(record, repeats, 'peak_bytes'):.2f}×."
        for repeats, (count, of) in claims(record).items()
    ]
    told = "\n".join(lines)
    return (
        f"### What equal lanes are said to differ in\n{told}\n\n"
        f"Both lanes are {record['method']}: {record['visual_tokens']} visual and "
        f"{record['new_tokens']} new tokens. {record['name']} in {record['dtype']} on "
        f"{record['device_name']}, load {record['load']:.1f} on {record['cores']} cores, "
        f"{record['date'][:10]}.\n\n```bash\n{record.get('command', 'python -m hired identical')}"
        "\n```"
    )


def to_json(record: dict[str, Any]) -> str:
    """The record with a comparison on each line."""
    rows = ",\n  ".join(json.dumps(one) for one in record["comparisons"])
    head = json.dumps({**record, "comparisons": []}, indent=1)
    return head.replace('"comparisons": []', f'"comparisons": [\n  {rows}\n ]') + "\n"


def _samples(view: PaneState) -> dict[str, list[float]]:
    return {name: [float(f"{value:.5g}") for value in view.measured(name)] for name in MEASURED}
