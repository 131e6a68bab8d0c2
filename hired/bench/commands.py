"""`python -m hired bench`, and `bench report FILE`: measure, and show what was measured."""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hired.bench.results import OWN

if TYPE_CHECKING:
    from hired.bench.session import Tell
    from hired.bench.speed_plan import Sweep


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command `bench` with its subcommands."""
    words = "time methods at the same exact budgets, and show what was measured"
    parser = add_measuring(subparsers, "bench", words, "40%% 20%% 10%% 5%%")
    add = parser.add_argument
    add("--models", nargs="+", metavar="NAME", help="default: shapes")
    add("--batches", nargs="+", type=int, metavar="B", help="prompts at once (default: 1)")
    add("--prompt-tokens", nargs="+", type=int, metavar="N", help="lengths of the prompt's text")
    add("--repeats", type=int, help="rounds to take the median of (default: 5)")
    add("--warm-up", type=int, help="runs before each kind of round (default: 1)")
    add("--new-tokens", type=int, help="generated per prompt (default: 16)")
    add("--image-size", nargs=2, type=int, metavar=("HEIGHT", "WIDTH"), help="default: 672 672")
    add("--quantization", help="8bit or 4bit, through bitsandbytes")
    add("--dtype", help="auto, float32, float16, bfloat16")
    add("--paper", action="store_true", help="the release's protocol: 15 new tokens on 600x600")
    add("--out", type=Path, help=f"the record (default: {OWN}/bench.jsonl)")
    parser.set_defaults(run=run_bench)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_vision(commands)
    _add_page(commands)
    _add_inside(commands)
    _add_select(commands)
    report = add_report(commands)
    report.add_argument("--figures", type=Path, metavar="DIR", help="write SVG files there")
    report.set_defaults(run=run_report)


def _add_vision(commands: argparse._SubParsersAction) -> None:
    vision = commands.add_parser("vision", help="HiRED's vision pass beside stock's")
    add = vision.add_argument
    add("--model", default="random:7b/16", help="default: random:7b/16")
    add("--method", default="hired", help="default: hired")
    add("--repeats", type=int, default=11, help="pairs to take the median of (default: 11)")
    add("--device", default=argparse.SUPPRESS, help="auto, cpu, cuda, cuda:1, mps")
    vision.set_defaults(run=run_vision)


def _add_select(commands: argparse._SubParsersAction) -> None:
    select = commands.add_parser("select", help="what choosing costs on one CPU thread")
    add = select.add_argument
    add("--methods", nargs="+", default=argparse.SUPPRESS, metavar="NAME", help="default: all")
    add("--budget", default="20%", help="what is kept per image (default: 20%%)")
    add("--repeats", type=int, default=5, help="times to take the median of (default: 5)")
    add("--out", type=Path, default=OWN / "select.json", help="the record (default: %(default)s)")
    select.set_defaults(run=run_select)


def run_select(args: argparse.Namespace) -> int:
    """Time every method's choice, record it and print the table."""
    from hired.bench.select_times import describe_selecting, make_record, measure_selecting
    from hired.budget import parse_budget

    rows = []
    for row in measure_selecting(args.methods or (), parse_budget(args.budget), args.repeats):
        rows.append(row)
        best = min(row["select_s"])
        name = row.get("method") or row["floor"]
        sys.stderr.write(f"{row['patches']} {row['content']} {name}: {best * 1e3:.1f} ms\n")
    record = make_record(rows, command_line())
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(describe_selecting(record) + "\n")
    return 0


def run_vision(args: argparse.Namespace) -> int:
    """Measure both passes in turns and print the ratio."""
    from hired.bench.vision_pass import describe_passes, measure_passes
    from hired.models.load import load
    from hired.selectors import build

    model, processor = load(args.model, device=args.device)
    found = measure_passes(model, processor, build(args.method), args.repeats)
    sys.stdout.write(describe_passes(found) + "\n")
    return 0


def _add_inside(commands: argparse._SubParsersAction) -> None:
    inside = commands.add_parser("inside", help="share of the first token's time in stock modules")
    add = inside.add_argument
    add("--model", default="random:7b/16", help="default: random:7b/16")
    add("--budgets", nargs="+", metavar="KEEP", default=["100%", "40%", "20%"],
        help="default: 100%% 40%% 20%%")  # fmt: skip
    add("--repeats", type=int, default=3, help="runs to take the least of (default: 3)")
    inside.set_defaults(run=run_inside)


def run_inside(args: argparse.Namespace) -> int:
    """Measure HiRED at each budget on the CPU and print the shares."""
    from hired.bench.inside import describe_inside, measure_inside
    from hired.budget import parse_budget
    from hired.models.load import load
    from hired.selectors import build

    selectors = [build("hired", budget=parse_budget(text)) for text in args.budgets]
    model, processor = load(args.model, device="cpu")
    rows = measure_inside(model, processor, selectors, args.repeats)
    sys.stdout.write(describe_inside(rows) + "\n")
    return 0


def _add_page(commands: argparse._SubParsersAction) -> None:
    page = commands.add_parser("page", help="how long a person waits for the page")
    add = page.add_argument
    add("--model", default="shapes", help="default: shapes")
    add("--repeats", type=int, default=5, help="of each thing (default: 5)")
    add("--threads", default="auto", help="of the server (default: auto)")
    add("--json", type=Path, metavar="PATH", help="write what was measured there too")
    page.set_defaults(run=run_page)


def run_page(args: argparse.Namespace) -> int:
    """Serve the page, wait for it and print the seconds.

    Raises:
        SettingError: fewer repeats than one.
    """
    from hired.bench.page import describe_waits, measure_page
    from hired.errors import at_least

    at_least(1, repeats=args.repeats)
    found = measure_page(args.model, args.repeats, args.threads)
    sys.stdout.write(describe_waits(found) + "\n")
    if args.json is not None:
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def run_bench(args: argparse.Namespace) -> int:
    """Measure what is not recorded yet."""
    from hired.bench.speed import run_sweep

    path = args.out or OWN / ("bench-paper.jsonl" if args.paper else "bench.jsonl")
    return measure("bench", run_sweep, read_sweep(args), path, args.device)


def add_measuring(
    subparsers: argparse._SubParsersAction, name: str, words: str, budgets: str
) -> argparse.ArgumentParser:
    """Add a command that measures methods at budgets, by default at `budgets`, and resumes."""
    parser = subparsers.add_parser(
        name,
        help=words,
        epilog="A budget is what is kept: 0.2 or 20% is a rate, 640 a count per image. Stop with "
        "Ctrl-C and call again with the same --out to go on.",
    )
    add = parser.add_argument
    add("--methods", nargs="+", metavar="NAME", help="or NAME:SETTING=VALUE (default: all)")
    add("--budgets", nargs="+", metavar="KEEP", help=f"default: {budgets}")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    return parser


def command_line() -> str:
    """The command that is running, as records keep it."""
    return "python -m hired " + shlex.join(sys.argv[1:])


def measure(name: str, run: Callable[..., object], asked: object, path: Path, device: str) -> int:
    """Let `run` measure what was asked and `path` does not hold yet; say how to show it."""
    command = command_line()
    with progress_bar() as tell:
        run(asked, path, command, device, tell)
    sys.stderr.write(f"Recorded in {path}. Show it with: python -m hired {name} report {path}\n")
    return 0


@contextmanager
def progress_bar() -> "Iterator[Tell]":
    """Show a bar on stderr with the time that is left; yields the function that moves it."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    console = Console(stderr=True, highlight=False)
    with Progress(*columns, console=console, speed_estimate_period=600) as progress:
        task = progress.add_task("starting", total=None)

        def tell(done: int, total: int, line: str) -> None:
            progress.update(task, completed=done, total=total, description=line)

        yield tell


def read_sweep(args: argparse.Namespace) -> "Sweep":
    """The sweep that was asked for.

    Raises:
        SettingError: a method, budget or number is out of range.
    """
    from hired.bench.plan import expand
    from hired.bench.speed_plan import Sweep, paper_sweep
    from hired.budget import parse_budget

    given = {
        "models": args.models and tuple(args.models),
        "methods": args.methods and expand(args.methods),
        "budgets": args.budgets and tuple(parse_budget(text) for text in args.budgets),
        "batches": args.batches and tuple(args.batches),
        "prompt_tokens": args.prompt_tokens and tuple(args.prompt_tokens),
        "image_size": args.image_size and tuple(args.image_size),
        "repeats": args.repeats,
        "warm_up": args.warm_up,
        "new_tokens": args.new_tokens,
        "quantization": args.quantization,
        "dtype": args.dtype,
    }
    given = {name: value for name, value in given.items() if value is not None}
    return paper_sweep(**given) if args.paper else Sweep(**given)


def run_report(args: argparse.Namespace) -> int:
    """Write Markdown to stdout or a file, and figures to a folder."""
    from hired.bench.speed_figures import draw_figures
    from hired.bench.speed_tables import make_report

    lines = write_report(args, "bench", make_report)
    if args.figures is not None:
        for path in draw_figures(lines, args.figures, args.file.stem):
            sys.stderr.write(f"{path}\n")
    return 0


def add_report(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the subcommand `report` of a measuring command."""
    report = commands.add_parser("report", help="a record as Markdown and figures")
    report.add_argument("file", type=Path, metavar="FILE")
    report.add_argument("--markdown", type=Path, metavar="PATH", help="default: stdout")
    return report


def write_report(
    args: argparse.Namespace,
    command: str,
    make_report: Callable[[list[dict[str, Any]]], str],
) -> list[dict[str, Any]]:
    """Write the record `args.file` of `command` as Markdown; return its lines.

    Raises:
        InputError: it is no such record, or nothing is in it yet.
    """
    from hired.bench.results import read_lines
    from hired.errors import InputError

    lines = read_lines(args.file, command)
    if not any(line["kind"] == "round" for line in lines):
        raise InputError(f"{args.file} holds no finished round yet. Run {command} again to go on.")
    text = make_report(lines)
    if args.markdown is None:
        sys.stdout.write(text)
    else:
        args.markdown.write_text(text, encoding="utf-8")
    return lines
