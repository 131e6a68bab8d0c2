"""`python -m hired eval`, `eval report FILE` and `eval attention`: measure and show accuracy."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hired.bench.commands import (
    add_measuring,
    add_report,
    command_line,
    measure,
    write_report,
)
from hired.bench.results import OWN
from hired.shapes.pictures import TESTED

if TYPE_CHECKING:
    from hired.bench.accuracy_plan import Plan

EXAMPLES = tuple(
    Path("assets") / "examples" / name for name in ("shop.png", "sparse.png", "board.png")
)


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command `eval` with its subcommands `report` and `attention`."""
    words = "accuracy of the methods on test pictures, and show what was measured"
    parser = add_measuring(subparsers, "eval", words, "5%% 10%% 20%% 40%% 100%%")
    add = parser.add_argument
    add("--ablations", nargs="*", metavar="KEEP", help="HiRED with parts changed (at 20%%)")
    add("--splits", nargs="+", metavar="NAME", help=f"{', '.join(TESTED)} (default: the first two)")
    add("--posters", type=int, help="per split, about 9 questions each (default: 200)")
    add("--seed", type=int, help="of posters and questions (default: 0)")
    add("--batch", type=int, help="posters answered at once (default: 8)")
    add("--coverage", action="store_true", help="also what each method keeps of what the stock "
        "answers looked at: one pass more per question (default: off)")  # fmt: skip
    add("--model", help="default: shapes")
    add("--out", type=Path, default=OWN / "eval.jsonl", help="the record (default: %(default)s)")
    parser.set_defaults(run=run_eval)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    report = add_report(commands)
    report.add_argument("--figure", type=Path, metavar="PATH", help="write a .svg or .png there")
    report.set_defaults(run=run_report)
    maps = commands.add_parser("attention", help="the attention HiRED reads, as a figure")
    maps.add_argument("images", nargs="*", type=Path, metavar="IMAGE", help="default: 3 examples")
    maps.add_argument("--model", default="shapes")
    maps.add_argument("--device", default="auto")
    maps.add_argument("--out", type=Path, default=Path("attention.png"))
    words = "measure on this many pictures how well each layer finds the content; no figure then"
    maps.add_argument("--posters", type=int, metavar="N", help=words)
    words = "of these pictures; one or several (default: sparse)"
    maps.add_argument("--split", nargs="+", choices=TESTED, default=["sparse"], help=words)
    maps.add_argument("--json", type=Path, metavar="PATH", help="write what was measured there")
    maps.set_defaults(run=run_attention)


def run_eval(args: argparse.Namespace) -> int:
    """Measure what is not recorded yet."""
    from hired.bench.accuracy import run_plan

    return measure("eval", run_plan, read_plan(args), args.out, args.device)


def read_plan(args: argparse.Namespace) -> "Plan":
    """The plan that was asked for.

    Raises:
        SettingError: a method, budget or number is out of range.
    """
    from hired.bench.accuracy_plan import ABLATION_BUDGETS, Plan
    from hired.bench.plan import expand
    from hired.budget import check_budget, parse_budget

    def budgets(texts: list[str] | None) -> tuple[float | int, ...] | None:
        return tuple(check_budget(parse_budget(text)) for text in texts) if texts else None

    given = {
        "methods": args.methods and expand(args.methods),
        "budgets": budgets(args.budgets),
        "ablations": ABLATION_BUDGETS if args.ablations == [] else budgets(args.ablations),
        "splits": args.splits and tuple(args.splits),
        "posters": args.posters,
        "seed": args.seed,
        "batch": args.batch,
        "coverage": args.coverage,
        "model": args.model,
    }
    return Plan(**{name: value for name, value in given.items() if value is not None})


def run_report(args: argparse.Namespace) -> int:
    """Write Markdown to stdout or a file, and the figure to a file."""
    from hired.bench.accuracy_figures import draw_accuracy
    from hired.bench.accuracy_tables import make_report

    lines = write_report(args, "eval", make_report)
    if args.figure is not None:
        _say(str(draw_accuracy(lines, args.figure)))
    return 0


def run_attention(args: argparse.Namespace) -> int:
    """Draw the init and the final layer's CLS attention, or print how much lies on content."""
    if args.posters is not None:
        return _run_focus(args)
    from hired.bench.accuracy_figures import draw_attention_maps
    from hired.comparison.overlay import draw_attention
    from hired.comparison.preview import Preview
    from hired.images import open_image
    from hired.models.load import load
    from hired.selectors.hired import HiRED

    eye = Preview(*load(args.model, device=args.device))
    init, final = HiRED().init_layer, eye.feature_tap
    rows = []
    for path in args.images or EXAMPLES:
        image = open_image(path)
        first, last = (
            draw_attention(image, eye.fit(image), eye.attention(image, layer).numpy())
            for layer in (init, final)
        )
        rows.append((path.stem, image, first, last))
    titles = (
        "image",
        f"layer {init}: shares the budget out",
        f"layer {final}: picks the patches",
    )
    _say(str(draw_attention_maps(rows, titles, args.out)))
    return 0


def _run_focus(args: argparse.Namespace) -> int:
    """Print a table of the attention on shapes or text for each split."""
    from tqdm import tqdm

    from hired.bench.focus import describe_focus, make_record, measure_focus
    from hired.models.load import load

    model, processor = load(args.model, device=args.device)
    with tqdm(total=args.posters * len(args.split), unit=" pictures", disable=None) as bar:
        found = {
            split: measure_focus(model, processor, args.posters, split, tell=bar.update)
            for split in args.split
        }
    command = command_line()
    record = make_record(found, args.posters, model.device, command)
    if args.json is not None:
        args.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(describe_focus(record) + "\n")
    return 0


def _say(line: str) -> None:
    """Write one line to stderr; stdout is for results."""
    sys.stderr.write(line + "\n")
