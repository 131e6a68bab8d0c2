"""`python -m hired overhead`: what the page's stream of events costs beside plain generation.

Both do the same work, stock and HiRED one after the other on one image. Plain is the lanes alone,
with nobody told of a token. The page is a click on Run: the real server with its queue, panes and
events, read to the end by a client in a process of its own, as a browser is. They take turns, and
each pair gives one ratio.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil

from hired.bench.commands import command_line
from hired.bench.results import OWN
from hired.bench.speed_tables import describe_overhead
from hired.comparison.lane import Prompt, run_lane
from hired.errors import ModelError, at_least
from hired.images import describe_image
from hired.models.hardware import run_aside, versions
from hired.models.load import load
from hired.settings import NEW_TOKENS
from hired.threads import AUTO, WORDS, Load, use_threads
from hired.web import form
from hired.web.engine import Engine, Loaded
from hired.web.examples import Greeting
from hired.web.page import build, launch_options
from hired.web.settings import Settings
from hired.web.uploads import read_image

RECORD = OWN / "overhead.json"
# Joins the queue like a browser and reads every event: seconds, events and bytes until the last.
CLIENT = """
import json, sys, time, httpx
url, asked = sys.argv[1], json.load(sys.stdin)
with httpx.Client(base_url=url, timeout=None) as client:
    with open(asked.pop("image"), "rb") as file:
        sent = client.post("/gradio_api/upload", files={"files": file}).json()[0]
    asked["data"][0] = {"path": sent, "meta": {"_type": "gradio.FileData"}}
    begin, events, size = time.perf_counter(), 0, 0
    client.post("/gradio_api/queue/join", json=asked).raise_for_status()
    data = {"session_hash": asked["session_hash"]}
    with client.stream("GET", "/gradio_api/queue/data", params=data) as stream:
        for line in stream.iter_lines():
            events, size = events + bool(line), size + len(line)
            if line and (last := json.loads(line[5:])).get("msg") == "process_completed":
                break
print(json.dumps({"s": time.perf_counter() - begin, "events": events, "bytes": size,
                  "success": last["success"]}))
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command `overhead`."""
    parser = subparsers.add_parser("overhead", help="what the page costs beside plain generation")
    add = parser.add_argument
    add("--model", default="random:7b/16", help="default: random:7b/16")
    add("--repeats", type=int, default=5, help="pairs to take the median of (default: 5)")
    add("--new-tokens", type=int, default=NEW_TOKENS, help="per lane (default: %(default)s)")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("--dtype", default="auto", help="auto, float32, float16, bfloat16")
    add("--threads", default=AUTO, metavar="N", help=f"{WORDS} (default: auto)")
    add("--json", type=Path, default=RECORD, metavar="PATH", help=f"default: {RECORD}")
    parser.set_defaults(run=run_overhead)


def run_overhead(args: argparse.Namespace) -> int:
    """Measure, record and print."""
    at_least(1, repeats=args.repeats)
    settings = Settings(max_new_tokens=args.new_tokens)
    elsewhere = Load()
    model, processor = load(args.model, None, args.device, args.dtype)

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    tell(f"Computing with {use_threads(args.threads, elsewhere)}.")  # as the page does
    record = measure(Engine.holding(model, processor, args.model), settings, args.repeats, tell)
    record["command"] = command_line()
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(describe_overhead(record))
    tell(f"Recorded in {args.json}")
    return 0


def measure(
    engine: Engine, settings: Settings, repeats: int, tell: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Plain runs and runs through the page in turns; the record with every time in seconds.

    Raises:
        ModelError: a run did not end well.
    """
    # The gate deletes what is too much in this folder; Gradio's own is every app's.
    os.environ.setdefault("GRADIO_TEMP_DIR", tempfile.mkdtemp(prefix="hired-overhead-"))
    example = Greeting(engine).real[0]
    demo = build(engine)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    demo.launch(server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True,
                **launch_options())  # fmt: skip
    asked = {"image": example.image, "fn_index": _handler(demo), "session_hash": "overhead",
             "data": [None, example.question, None, *form.write(settings).values()]}  # fmt: skip
    plain, page = [], []
    url = demo.local_url or ""  # launched: it has one
    try:
        _click(url, asked)  # warms up
        for index in range(repeats):
            # In a thread of its own, as the lanes behind the page are.
            alone = partial(_plain, engine.get(), example.image, example.question, settings)
            plain.append(run_aside(alone))
            page.append(_click(url, asked))
            tell(f"{index + 1} of {repeats}: plain {plain[-1]:.2f} s, page {page[-1]['s']:.2f} s")
    finally:
        demo.close()
    info = engine.get().info
    return {
        "kind": "overhead",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **{key: info[key] for key in ("name", "device", "device_name", "dtype")},
        "cores": os.cpu_count(),
        "load": psutil.getloadavg()[0],
        "versions": versions(),
        "image": describe_image(Path(example.image).name, read_image(example.image)),
        "new_tokens": settings.max_new_tokens,
        "events": page[-1]["events"],
        "bytes": page[-1]["bytes"],
        "plain_s": plain,
        "page_s": [one["s"] for one in page],
    }


def _plain(loaded: Loaded, path: str, question: str, settings: Settings) -> float:
    """Seconds of all lanes, one after the other, with nobody told of a token."""
    kwargs = {"max_new_tokens": settings.max_new_tokens}
    begin = perf_counter()
    for selector in settings.lanes:
        last: dict[str, Any] = {}
        prompt = Prompt(loaded.model, loaded.processor, read_image(path), question, kwargs)
        run_lane(prompt, selector, lambda last=last, **news: last.update(news), bool, False)
        if last["phase"] != "done":
            raise ModelError(f"A plain run ended as {last['phase']}: {last.get('error')}")
    return perf_counter() - begin


def _click(url: str, asked: dict[str, Any]) -> dict[str, Any]:
    """One run through the page, seen from a client outside."""
    ran = subprocess.run(
        [sys.executable, "-c", CLIENT, url],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
    )
    if ran.returncode or not (seen := json.loads(ran.stdout))["success"]:
        raise ModelError(f"The run through the page failed. {ran.stderr[-300:]}")
    return seen


def _handler(demo: Any) -> int:
    """The place of the handler behind Run."""
    return next(
        place
        for place, one in demo.fns.items()
        if getattr(one.fn, "__qualname__", "") == "Handlers.run"
    )
