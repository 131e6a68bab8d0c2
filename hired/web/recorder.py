"""`python -m hired record`: what the page shows before anything ran, measured and written down.

So far the sweep of the first example.
"""

import argparse
import json
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from hired.images import describe_image
from hired.models import EMBEDDED
from hired.web import record, sweep_record
from hired.web.engine import Engine
from hired.web.greeting import Greeting
from hired.web.sweep import plan, sweep
from hired.web.uploads import read_image

BUDGETS = "5 % 10 % 20 % 40 % 60 % 100 %"
METHODS = ("hired", "visionzip", "divprune", "spatial", "random")
REPEATS = 3


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command `record`."""
    parser = subparsers.add_parser("record", help="record what the page shows before it ran")
    parser.add_argument("--model", default=EMBEDDED)
    parser.add_argument("--repeats", type=int, default=REPEATS, help="runs of each row")
    parser.add_argument("--to", type=Path, default=sweep_record.RECORDED, metavar="FOLDER")
    parser.set_defaults(run=command)


def command(args: argparse.Namespace) -> int:
    """Measure, write, say where."""
    engine = Engine(args.model)
    kept = record_sweep(engine, BUDGETS, METHODS, args.repeats)
    args.to.mkdir(parents=True, exist_ok=True)
    path = args.to / sweep_record.recorded_name(engine.name)
    path.write_text(json.dumps(kept, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    sys.stderr.write(f"{len(kept['rows'])} rows in {path}\n")
    return 0


def record_sweep(
    engine: Engine, budgets: str, methods: tuple[str, ...], repeats: int
) -> dict[str, Any]:
    """The sweep of the first example with the page's usual settings, as `sweep_record.keep`.

    Raises:
        ModelError, SettingError: the model cannot be loaded, or a value is out of range.
    """
    greeting = Greeting(engine)
    example = greeting.example()
    assert example is not None
    image = read_image(example.image)
    settings = replace(greeting.settings, repeats=repeats)
    planned = plan(settings, budgets, "none", "", methods)
    loaded, asked = engine.get(), (example.question, planned, threading.Event(), example.answer)
    *_, done = sweep(loaded, image, *asked)
    size = describe_image(Path(example.image).name, image)
    facts = record.about(loaded.info, engine.versions())
    return sweep_record.keep(example.question, example.answer, size, "none", planned, done, facts)
