"""`python -m hired shapes render | train | evaluate`."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ASSETS = Path(__file__).resolve().parent.parent.parent / "assets" / "shapes"
CHECKPOINTS = Path(".cache") / "shapes"


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command `shapes` with its three subcommands."""
    parser = subparsers.add_parser("shapes", help="render, train and evaluate the embedded model")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_render(commands)
    _add_train(commands)
    _add_evaluate(commands)
    examples = commands.add_parser("examples", help="choose and write the bundled example images")
    examples.add_argument("--out", type=Path, default=ASSETS.parent / "examples")
    examples.set_defaults(run=run_examples)


def _add_render(commands: argparse._SubParsersAction) -> None:
    render = commands.add_parser("render", help="write posters and their questions")
    render.add_argument("--split", choices=("sparse", "large"), default="sparse")
    render.add_argument("--stream", choices=("validation", "test", "examples"), default="test")
    render.add_argument("--seed", type=int, default=0)
    render.add_argument("--first", type=int, default=0, help="number of the first poster")
    render.add_argument("--count", type=int, default=8)
    render.add_argument("--scale", type=int, default=1, help="pixels per poster pixel")
    render.add_argument("--out", type=Path, default=Path("posters"))
    render.set_defaults(run=run_render)


def _add_train(commands: argparse._SubParsersAction) -> None:
    train = commands.add_parser("train", help="train both stages; goes on from its checkpoints")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--vision-steps", type=int, default=7000)
    train.add_argument("--language-steps", type=int, default=1500)
    train.add_argument("--posters", type=int, default=4000, help="posters the language stage reads")
    train.add_argument("--threads", type=int, default=2)
    train.add_argument("--checkpoints", type=Path, default=CHECKPOINTS)
    train.add_argument("--resume-from", type=Path, help="start from a saved model's weights")
    train.add_argument("--out", type=Path, default=ASSETS)
    train.set_defaults(run=run_train)


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    evaluate = commands.add_parser("evaluate", help="accuracy of a method on test posters")
    evaluate.add_argument("--split", choices=("sparse", "large"), default="sparse")
    evaluate.add_argument("--method", default="full")
    evaluate.add_argument("--budget", default=None, help="rate (0.2) or count (160) to keep")
    evaluate.add_argument("--alpha", type=float)
    evaluate.add_argument("--init-layer", type=int)
    evaluate.add_argument("--final-layer", type=int)
    evaluate.add_argument("--heads", help='"sum", "max" or the index of one head')
    evaluate.add_argument("--limit", type=int, default=2000, help="questions")
    evaluate.add_argument("--seed", type=int, default=0)
    evaluate.add_argument("--model", default="shapes")
    evaluate.add_argument("--json", action="store_true", help="one line of JSON, last on stdout")
    evaluate.set_defaults(run=run_evaluate)


def run_render(args: argparse.Namespace) -> int:
    """Write `count` posters as PNG and their questions as `questions.json`."""
    import numpy as np

    from hired.shapes.questions import KINDS, draw
    from hired.shapes.scenes import SPLITS, STREAMS, render, scene_for

    args.out.mkdir(parents=True, exist_ok=True)
    listed = []
    for index in range(args.first, args.first + args.count):
        scene = scene_for(args.stream, args.split, args.seed, index)
        file = f"{args.stream}-{args.split}-{args.seed}-{index}.png"
        render(scene, args.scale).save(args.out / file)
        key = [STREAMS[args.stream], SPLITS[args.split], args.seed, index, 9]
        asked = draw(scene, np.random.default_rng(key), list(KINDS))
        questions = [{"kind": q.kind, "question": q.text, "answer": q.answer} for q in asked]
        listed.append({"file": file, "questions": questions})
    (args.out / "questions.json").write_text(json.dumps(listed, indent=1) + "\n")
    _say(f"{args.count} posters in {args.out}")
    return 0


def run_train(args: argparse.Namespace) -> int:
    """Train both stages, or what is left of them, and save the model."""
    from hired.shapes.training import train_all

    train_all(args)
    return 0


def run_evaluate(args: argparse.Namespace) -> int:
    """Evaluate one method at one budget; the JSON line holds every figure."""
    from tqdm import tqdm

    from hired.budget import parse_budget
    from hired.models import load
    from hired.selectors import build
    from hired.shapes.evaluate import evaluate

    settings: dict[str, Any] = {
        "budget": None if args.budget is None else parse_budget(args.budget),
        "alpha": args.alpha,
        "init_layer": args.init_layer,
        "final_layer": args.final_layer,
        "heads": int(args.heads) if args.heads and args.heads.isdigit() else args.heads,
    }
    settings = {name: value for name, value in settings.items() if value is not None}
    model, processor = load(args.model)
    bar = lambda posters: tqdm(posters, unit=" posters", file=sys.stderr)  # noqa: E731
    report = evaluate(
        model, processor, build(args.method, **settings), args.split, args.limit, args.seed,
        progress=bar,
    )  # fmt: skip
    report["settings"] = settings
    if args.json:
        _out(json.dumps(report))
        return 0
    low, high = report["interval"]
    _out(
        f"{args.method} {settings} on {args.split}: {report['accuracy']:.1%} ({low:.1%}-{high:.1%})"
    )
    _out(
        f"{report['questions']} questions, {report['visual_tokens_mean']} visual tokens on average"
    )
    for kind, share in report["by_kind"].items():
        _out(f"  {kind:9} {share:.1%}")
    return 0


def run_examples(args: argparse.Namespace) -> int:
    """Find one poster for each point that the examples make, and write them."""
    from hired.models import load
    from hired.shapes.examples import POINTS, write_examples

    model, processor = load("shapes")
    listed = write_examples(model, processor, args.out)
    _say(f"{len(listed)} of {len(POINTS)} examples in {args.out}")
    return 0


def _out(line: str) -> None:
    """One line on stdout."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _say(line: str) -> None:
    """One line of progress on stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
