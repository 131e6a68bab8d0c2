"""`python -m hired record`: measure and write down what the page shows before anything ran.

The first example's answers, by alternating runs enough to compare their times, its sweep, its film.
"""

import argparse
import json
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from hired.comparison.evidence import ENOUGH
from hired.errors import ModelError
from hired.models.allowed import EMBEDDED
from hired.web import export, sweep_results, uploads
from hired.web.engine import Engine
from hired.web.examples import Greeting
from hired.web.film_tab import plan_film
from hired.web.runs import run
from hired.web.settings import Settings
from hired.web.sweep import plan, sweep
from hired.web.uploads import read_image
from hired.web.visitors import Stops

BUDGETS = "5 % 10 % 20 % 40 % 60 % 100 %"
METHODS = ("hired", "visionzip", "divprune", "spatial", "random")
REPEATS = 3
KINDS = ("answers", "sweep", "film")


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command `record`."""
    parser = subparsers.add_parser("record", help="record what the page shows before it ran")
    parser.add_argument("--model", default=EMBEDDED)
    parser.add_argument(
        "--repeats", type=int, default=REPEATS, help="runs of each row of the sweep"
    )
    parser.add_argument("--only", choices=KINDS, nargs="+", default=KINDS, help="default: all")
    parser.add_argument("--to", type=Path, default=sweep_results.RECORDED, metavar="FOLDER")
    parser.set_defaults(run=command)


def command(args: argparse.Namespace) -> int:
    """Measure, write, say where."""
    engine = Engine(args.model)
    args.to.mkdir(parents=True, exist_ok=True)
    if "answers" in args.only:
        file = Greeting(engine, args.to).file
        file.write_text(export.to_json(record_answers(engine)) + "\n", encoding="utf-8")
        sys.stderr.write(f"The first example's answers in {file}\n")
    usual = Greeting(engine).settings
    ladders = {
        "sweep": plan(replace(usual, repeats=args.repeats), BUDGETS, "none", "", METHODS),
        "film": plan_film(usual),
    }
    for kind in [kind for kind in ladders if kind in args.only]:
        kept = record_sweep(engine, ladders[kind], coverage=kind == "sweep")
        path = args.to / sweep_results.recorded_name(engine.name, kind)
        path.write_text(json.dumps(kept, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
        sys.stderr.write(f"{len(kept['rows'])} rows in {path}\n")
    return 0


def record_answers(engine: Engine) -> export.Record:
    """Answer the first example as the page does, as often as times need.

    Raises:
        ModelError: the model cannot be loaded, or a run did not end well.
    """
    greeting = Greeting(engine)
    example = greeting.example()
    assert example is not None
    image, settings = read_image(example.image), replace(greeting.settings, repeats=ENOUGH)
    *_, views = run(engine.get(), image, example.question, settings, Stops())
    if any(view.phase != "done" for view in views):
        raise ModelError(f"A run ended as {views[0].phase}, {views[1].phase}; see the log.")
    return greeting.record(example.question, example.image, image, settings, views)


def record_sweep(engine: Engine, planned: list[Settings], coverage: bool) -> dict[str, Any]:
    """Sweep the first example, as `sweep_results.keep` has it.

    Args:
        engine: with the model.
        planned: the rows after the baseline.
        coverage: whether to tell what each row keeps of what the stock answer looked at.

    Raises:
        ModelError: the model cannot be loaded.
    """
    example = Greeting(engine).example()
    assert example is not None
    image = read_image(example.image)
    loaded, asked = engine.get(), (example.question, planned, threading.Event(), example.answer)
    *_, done = sweep(loaded, image, *asked, coverage=coverage)
    size = uploads.keep_picture(example.image, image, example.key)
    facts = export.about(loaded.info, engine.versions())
    return sweep_results.keep(example.question, example.answer, size, "none", planned, done, facts)
