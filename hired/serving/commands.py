"""`python -m hired serve`, `serve bench`, `serve report FILE`, `serve capacity`.

The servers are vLLM's own, in an environment of its own; this side only starts, asks and stops.
"""

import argparse
import shlex
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hired.bench.results import OWN
from hired.settings import EXAMPLE


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command `serve` with its subcommands."""
    parser = subparsers.add_parser(
        "serve",
        help="two vLLM servers, stock and HiRED, on this machine",
        epilog="On one GPU give each server half of it: "
        "--vllm-args='--gpu-memory-utilization 0.45'",
    )
    _add_model(parser)
    words = f"of the server: a method with its settings, such as {EXAMPLE}".replace("%", "%%")
    parser.add_argument("--lane", "--method", dest="lane", default="hired", help=words)
    parser.add_argument("--budget", help="the lane's, in place of the one in it")
    parser.add_argument("--only", choices=["baseline", "hired"], help="one of the two")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and stop")
    parser.set_defaults(run=serve)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    bench = commands.add_parser("bench", help="throughput, first token, requests that fit; resumes")
    _add_model(bench, again=True)
    bench.add_argument("--budgets", nargs="+", default=["0.4", "0.2", "0.1"], metavar="KEEP")
    bench.add_argument("--concurrency", nargs="+", type=int, default=[1, 4, 16, 64], metavar="N")
    bench.add_argument("--prompts", type=int, help="requests a round (default: its N, at least 4)")
    bench.add_argument("--image-size", nargs=2, type=int, default=[672, 672], metavar=("H", "W"))
    bench.add_argument("--new-tokens", type=int, default=16)
    bench.add_argument("--kv-tokens", type=int, help="KV cache (default: 8 stock requests)")
    bench.add_argument("--out", type=Path, default=OWN / "serving.jsonl")
    bench.set_defaults(run=run_bench)
    report = commands.add_parser("report", help="a record as Markdown and a figure")
    report.add_argument("file", type=Path, metavar="FILE")
    report.add_argument("--figure", type=Path, metavar="PATH", help="write an SVG file there")
    report.set_defaults(run=run_report)
    capacity = commands.add_parser("capacity", help="what fits on which GPUs, calculated")
    capacity.set_defaults(run=run_capacity)


def _add_model(parser: argparse.ArgumentParser, again: bool = False) -> None:
    """`again` for a command below another that has these flags too: given before it they count."""

    def add(flag: str, default: Any, words: str, **more: Any) -> None:
        default = argparse.SUPPRESS if again else default
        parser.add_argument(flag, default=default, help=words, **more)

    add("--model", "shapes", "a name, a directory or random:7b/16")
    add("--vllm", None, "the vllm program (default: found on the PATH)")
    add("--port", 8000, "the first of two (default: 8000)", type=int)
    add("--vllm-args", [], "for both `vllm serve`", type=shlex.split, metavar="WORDS")


def serve(args: argparse.Namespace) -> int:
    """Print the two commands, run them, and stop them on Ctrl-C.

    Raises:
        ModelError: a server does not start, or ends by itself.
    """
    from hired.errors import ModelError
    from hired.selectors import read_settings, split_lane
    from hired.serving.launch import Server, command, find_vllm
    from hired.serving.models import find_folder

    method, given = split_lane(args.lane)
    if args.budget is not None:
        given |= read_settings(method, {"budget": args.budget})
    settings = {"method": method, **given}
    vllm = (args.vllm or "vllm") if args.dry_run else find_vllm(args.vllm)
    folder, extra = find_folder(args.model, make=not args.dry_run), args.vllm_args
    made = {
        "baseline": command(vllm, folder, args.port, None, extra, args.model),
        "hired": command(vllm, folder, args.port + 1, settings, extra, args.model),
    }
    servers = [
        Server(words, args.port + (name == "hired"))
        for name, words in made.items()
        if args.only in (None, name)
    ]
    for server in servers:
        print(server.show(), flush=True)
    if args.dry_run:
        return 0
    for each in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: they would outlive this process
        if signal.getsignal(each) is signal.SIG_DFL:
            signal.signal(each, signal.default_int_handler)
    with ExitStack() as running:
        for server in servers:  # one after the other: loading takes a machine for itself
            running.enter_context(server).wait()
        _invite(servers, args.only)
        while not (ended := [one for one in servers if one.ended]):
            time.sleep(1)
    raise ModelError(f"A server ended by itself: {ended[0].show()}")


def _invite(servers: list[Any], only: str | None) -> None:
    urls = " and ".join(server.url for server in servers)
    print(f"Ready: {urls}  (Ctrl+C ends them)", flush=True)
    if only is None:
        print(
            f"The demo on top: python app.py --backend openai --baseline-url {servers[0].url} "
            f"--hired-url {servers[1].url}",
            flush=True,
        )


def run_bench(args: argparse.Namespace) -> int:
    """Measure what is not recorded yet."""
    from hired.budget import parse_budget
    from hired.serving.benchmark import Bench, measure
    from hired.serving.launch import find_vllm

    bench = Bench(
        model=args.model,
        budgets=tuple(parse_budget(text) for text in args.budgets),
        concurrency=tuple(args.concurrency),
        prompts=args.prompts,
        image_size=tuple(args.image_size),
        new_tokens=args.new_tokens,
        kv_tokens=args.kv_tokens,
        extra=tuple(args.vllm_args),
    )
    vllm = find_vllm(args.vllm)
    measure(bench, vllm, args.port, args.out, lambda line: print(line, file=sys.stderr, flush=True))
    print(f"Recorded in {args.out}. Show it with: python -m hired serve report {args.out}")
    return 0


def run_report(args: argparse.Namespace) -> int:
    """A record's table to stdout, its figure to a file."""
    from hired.serving.report import draw, make_report, read_record

    rows = read_record(args.file)
    print(make_report(rows))
    if args.figure is not None:
        draw(rows, args.figure)
    return 0


def run_capacity(args: argparse.Namespace) -> int:
    """The calculated tables."""
    from hired.serving.capacity import tables

    for title, table in tables():
        print(f"{title}\n\n{table}\n")
    return 0
