"""`python -m hired shapes render | train | evaluate | examples`."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from hired.errors import at_least
from hired.shapes.pictures import TESTED
from hired.shapes.train.schedule import MIXTURE, POSTERS, Schedule

ASSETS = Path(__file__).resolve().parent.parent.parent / "assets" / "shapes"
CHECKPOINTS = Path.home() / ".cache" / "hired" / "shapes"


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command `shapes` with its subcommands."""
    parser = subparsers.add_parser("shapes", help="render pictures, train the embedded model")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_render(commands)
    _add_train(commands)
    _add_evaluate(commands)
    examples = commands.add_parser("examples", help="choose and write the bundled example images")
    examples.add_argument("--model", default="shapes", help="or a directory")
    examples.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    examples.add_argument("--out", type=Path, default=ASSETS.parent / "examples")
    examples.set_defaults(run=run_examples)


def _add_render(commands: argparse._SubParsersAction) -> None:
    render = commands.add_parser("render", help="write posters or documents and their questions")
    render.add_argument("--split", choices=TESTED, default="sparse")
    render.add_argument("--stream", choices=("validation", "test", "examples"), default="test")
    render.add_argument("--seed", type=int, default=0)
    render.add_argument("--first", type=int, default=0, help="number of the first picture")
    render.add_argument("--count", type=int, default=8)
    render.add_argument("--scale", type=int, default=1, help="pixels per pixel of a picture")
    render.add_argument("--out", type=Path, default=Path("posters"))
    render.set_defaults(run=run_render)


def _add_train(commands: argparse._SubParsersAction) -> None:
    train = commands.add_parser("train", help="train both stages; goes on from its checkpoints")
    add, usual = train.add_argument, Schedule()
    vision, language = usual.vision, usual.language
    add("--seed", type=int, default=0)
    add("--vision-steps", type=int, default=vision.steps)
    words = "steps of the vision stage that gather the CLS attention"
    add("--closing-steps", type=int, default=vision.closing, help=words)
    words = f"document tiles among the {vision.size} of a vision step; 0: a world of posters"
    add("--documents", type=int, default=vision.documents, help=words)
    add("--only-vision", action="store_true", help="end after the vision stage, saving no model")
    add("--align-steps", type=int, default=language.align, help="projector onto word embeddings")
    add("--lesson-steps", type=int, default=language.lesson.steps, help="pictures of one tile")
    add("--language-steps", type=int, default=language.whole.steps)
    words = "steps on as many new pictures beside these"
    add("--again-steps", type=int, default=language.again.steps, help=words)
    words = "different pictures that the language stage reads"
    add("--pictures", type=int, default=language.pictures, help=words)
    add("--held-out", type=int, default=language.held_out, help="validation pictures of the curves")
    words = "1, 2, 4 or 8 processes on a CPU, which decide what is learnt from when (default: 2)"
    add("--threads", type=int, default=2, help=words)
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("--checkpoints", type=Path, default=CHECKPOINTS)
    add("--resume-from", type=Path, help="start from a saved model's weights")
    add("--out", type=Path, help="default: the folder model in that of the checkpoints")
    train.set_defaults(run=run_train)


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    evaluate = commands.add_parser("evaluate", help="accuracy of one method on test pictures")
    evaluate.add_argument("--split", choices=TESTED, default="sparse")
    evaluate.add_argument("--method", default="full")
    evaluate.add_argument("--budget", help="rate (0.2) or count (160) to keep")
    evaluate.add_argument("--limit", type=int, default=2000, help="questions (default: 2000)")
    evaluate.add_argument("--seed", type=int, default=0)
    evaluate.add_argument("--model", default="shapes", help="or a directory")
    evaluate.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    evaluate.add_argument("--json", action="store_true", help="one line of JSON, last on stdout")
    evaluate.set_defaults(run=run_evaluate)


def run_render(args: argparse.Namespace) -> int:
    """Write `count` pictures as PNG and their questions as `questions.json`."""
    from hired.selectors.random import SEED
    from hired.shapes.pictures import ask_about, render

    for name in ("seed", "first", "count"):
        SEED.check(f"--{name}", getattr(args, name))
    at_least(1, **{"--scale": args.scale})
    args.out.mkdir(parents=True, exist_ok=True)
    listed = []
    for index in range(args.first, args.first + args.count):
        scene, asked = ask_about(args.split, index, args.seed, args.stream)
        file = f"{args.stream}-{args.split}-{args.seed}-{index}.png"
        render(scene, args.scale).save(args.out / file)
        questions = [{"kind": q.kind, "question": q.text, "answer": q.answer} for q in asked]
        listed.append({"file": file, "questions": questions})
    (args.out / "questions.json").write_text(json.dumps(listed, indent=1) + "\n")
    _say(f"{args.count} {TESTED[args.split]} in {args.out}")
    return 0


def run_train(args: argparse.Namespace) -> int:
    """Train both stages, or what is left of them, and save the model."""
    from hired.shapes.train.training import train_all

    usual = Schedule()
    steps = {"steps": args.vision_steps, "closing": args.closing_steps}
    vision = replace(usual.vision, documents=args.documents, **steps)
    language = replace(
        usual.language,
        align=args.align_steps,
        lesson=replace(usual.language.lesson, steps=args.lesson_steps),
        whole=replace(usual.language.whole, steps=args.language_steps),
        again=replace(usual.language.again, steps=args.again_steps),
        pictures=args.pictures,
        held_out=args.held_out,
        mixture=MIXTURE if args.documents else POSTERS,
    )
    args.out = args.out or args.checkpoints / "model"
    train_all(args, Schedule(vision, language))
    return 0


def run_evaluate(args: argparse.Namespace) -> int:
    """Measure one method at one budget; `python -m hired eval` compares many and records them."""
    from tqdm import tqdm

    from hired.budget import parse_budget
    from hired.models.load import load
    from hired.selectors import build
    from hired.selectors.random import SEED
    from hired.shapes.evaluate import evaluate

    SEED.check("--seed", args.seed)
    budget = {} if args.budget is None else {"budget": parse_budget(args.budget)}
    selector = build(args.method, **budget)
    model, processor = load(args.model, device=args.device)
    with tqdm(total=args.limit, unit=" questions", disable=None) as bar:
        found = evaluate(model, processor, selector, args.split, args.limit, args.seed, bar.update)
    asked = {"split": args.split, "seed": args.seed, "method": args.method}
    asked["budget"] = selector.budget if "budget" in selector.settings() else None
    if args.json:
        sys.stdout.write(json.dumps(asked | found) + "\n")
        return 0
    kinds = "\n".join(f"  {kind:<10}{share:.1%}" for kind, share in found["by_kind"].items())
    sys.stdout.write(
        f"{found['accuracy']:.1%} of {found['questions']} questions right, "
        f"{found['visual_tokens_mean']:.0f} visual tokens on average\n{kinds}\n"
    )
    return 0


def run_examples(args: argparse.Namespace) -> int:
    """Find one picture for each point that the examples make, and write them."""
    from hired.models.load import load
    from hired.shapes.examples import points_for, write_examples

    model, processor = load(args.model, device=args.device)
    listed = write_examples(model, processor, args.out)
    _say(f"{len(listed)} of {len(points_for(processor))} examples in {args.out}")
    return 0


def _say(line: str) -> None:
    """Write one line of progress to stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
