"""`python -m hired explain`: words of an answer, and how much of what they looked at is kept."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from hired.settings import NEW_TOKENS

if TYPE_CHECKING:
    from hired.comparison.explain import Explanation


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command `explain`."""
    words = "what the stock answer looked at, word by word, and what methods keep of it"
    parser = subparsers.add_parser("explain", help=words, description=words)
    add = parser.add_argument
    add("image", metavar="IMAGE", help="a picture file")
    add("question", metavar="QUESTION")
    add("--lane", action="append", dest="lanes", metavar="LANE",
        help="a method with its settings; once per method (default: hired)")  # fmt: skip
    add("--model", default="shapes", help="a name from `models`, or a directory")
    add("--max-new-tokens", type=int, default=NEW_TOKENS, help=f"default: {NEW_TOKENS}")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("--dtype", default="auto", help="auto, float32, float16, bfloat16")
    add("--json", action="store_true", help="one JSON object on one line instead of a table")
    parser.set_defaults(run=run_explain)


def run_explain(args: argparse.Namespace) -> int:
    """Load, answer, explain, print."""
    from hired.comparison.explain import explain
    from hired.comparison.run import check_asked
    from hired.models.load import load
    from hired.selectors import parse

    methods = [parse(lane) for lane in args.lanes or ("hired",)]
    check_asked(methods, args.max_new_tokens)
    model, processor = load(args.model, device=args.device, dtype=args.dtype)
    options = {"max_new_tokens": args.max_new_tokens}
    found = explain(model, processor, args.image, args.question, methods, **options)
    text = json.dumps(found.as_dict()) if args.json else describe_explanation(found)
    sys.stdout.write(text + "\n")
    return 0


def describe_explanation(found: "Explanation") -> str:
    """The same as Markdown: a line per word, a column per method, in %."""
    methods = list(found.kept)
    lines = [
        f"{found.answer}\n",
        "| word | attention on the image | of it kept by " + " | ".join(methods) + " |",
        "| --- " * (2 + len(methods)) + "|",
    ]
    for word in found.words:
        shares = [word.on_image, *(word.coverage(found.kept[method]) for method in methods)]
        lines.append(f"| {word.text} | " + " | ".join(f"{100 * one:.0f}" for one in shares) + " |")
    means = " | ".join(f"{100 * found.coverage(method):.0f}" for method in methods)
    lines.append(f"| **mean** | | {means} |")
    lines.append(
        f"\n{found.tokens} tokens of the answer over {found.grid.stock} visual tokens: "
        f"{found.seconds:.2f} s, {found.peak_bytes / 1e6:.0f} MB above rest. Patches that draw "
        f"attention in every word: {int(found.sinks.sum())}; that draw the CLS token's and little "
        f"of the answer's: {int(found.outliers.sum())}."
    )
    return "\n".join(lines)
