"""`python -m hired …`: ask one question in two lanes, list what there is, check a GPU.

The only module of the core that prints. Results go to stdout, progress and errors to stderr; the
exit code is 0, 1 for a failure, 2 for a wrong argument, 130 after Ctrl-C. Subcommands of other
parts live with them and are imported only when asked for: see `ELSEWHERE`.
"""

import argparse
import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hired.errors import HiredError, InputError, SettingError
from hired.settings import EXAMPLE, NEW_TOKENS, nearest
from hired.threads import AUTO, WORDS, Load, choose_threads, use_threads

# Subcommand -> (module with `add_parser(subparsers)`, its line in the help). The parser it adds
# names its function with `set_defaults(run=...)`: takes the arguments, returns the exit code.
ELSEWHERE = {
    "bench": ("hired.bench.commands", "time methods at the same exact budgets, and report"),
    "overhead": ("hired.web.overhead", "what the page costs beside plain generation"),
    "identical": ("hired.web.identical", "how often equal lanes are said to differ"),
    "deploy": ("hired.deploy", "upload the demo to a Hugging Face Space"),
    "eval": (
        "hired.bench.accuracy_commands",
        "accuracy of the methods on test pictures, and report",
    ),
    "explain": (
        "hired.comparison.commands",
        "what an answer looked at, and what methods keep of it",
    ),
    "lmms-task": ("hired.lmms.commands", "write test pictures as a task for lmms-eval"),
    "record": ("hired.web.recorder", "record what the page shows before anything ran"),
    "serve": ("hired.serving.commands", "two vLLM servers, stock and HiRED; benchmark them"),
    "shapes": ("hired.shapes.commands", "render pictures, train and evaluate the embedded model"),
}
ASK = "one question about one image, with all tokens and with few"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; no traceback reaches the user."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        parser = make_parser(argv)
        args, unknown = parser.parse_known_args(argv)
        if unknown:
            flags = [f"--{name.replace('_', '-')}" for name in getattr(args, "setting_names", ())]
            parser.error(f"unrecognized arguments: {' '.join(unknown)}{nearest(unknown[0], flags)}")
        if "run" not in args:
            parser.print_help(sys.stderr)
            return 2
        return args.run(args) or 0
    except (SettingError, InputError) as error:
        return _complain(error, 2)
    except HiredError as error:
        return _complain(error, 1)
    except KeyboardInterrupt:
        return _complain("Stopped.", 130)
    except BrokenPipeError:  # the reader of our output left; say nothing into the void
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("HIRED_DEBUG"):
            raise
        kind = type(error).__name__
        return _complain(f"{kind}: {error}\nSet HIRED_DEBUG=1 to see where this happened.", 1)


def make_parser(argv: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The whole command line; of the commands elsewhere only the one `argv` names is imported."""
    parser = argparse.ArgumentParser(
        prog="python -m hired", description="HiRED beside its baseline."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    if argv[:1] == ["ask"]:
        _add_ask(commands)
    else:
        commands.add_parser("ask", help=ASK)
    models = commands.add_parser("models", help="list the models that can be loaded by name")
    models.add_argument("--device", default="auto", help="what is to hold them")
    models.set_defaults(run=list_models)
    methods = commands.add_parser("methods", help="list the methods and their settings")
    methods.set_defaults(run=list_methods)
    check = commands.add_parser("gpu-check", help="does everything work on this GPU?")
    check.add_argument("--model", help="default random:7b, without a GPU random:7b/256")
    check.add_argument("--device", default="auto")
    check.add_argument(
        "--repeats", type=int, help="runs to take the median of (default: 5 on a GPU, else 1)"
    )
    check.add_argument("--checkpoint", help="a real model to ask (default: one in the hub's cache)")
    check.add_argument("--json", metavar="PATH", type=Path, help="default assets/results/…")
    check.set_defaults(run=check_gpu)
    for name, (module, line) in ELSEWHERE.items():
        if name in argv[:1]:
            importlib.import_module(module).add_parser(commands)
        else:
            commands.add_parser(name, help=line)
    return parser


def _add_ask(commands: Any) -> None:
    ask_parser = commands.add_parser(
        "ask",
        help=ASK,
        epilog="A budget is what is kept: 0.2 or 20% is a rate, 576 a count per image. 1 is one "
        "token, 1.0 is everything.",
    )
    add = ask_parser.add_argument
    add("image", metavar="IMAGE", help="a picture file")
    add("question", metavar="QUESTION")
    add("--model", default="shapes", help="a name from `models`, or a directory")
    add(
        "--lane",
        action="append",
        dest="lanes",
        metavar="LANE",
        help=f"a method with its settings, such as {EXAMPLE}; once per lane (default: full, and "
        "the one below)".replace("%", "%%"),
    )
    add("--method", help="of the second lane: a name from `methods` (default: hired)")
    _add_settings(ask_parser)
    add("--set", type=parse_setting, action="append", default=[], metavar="NAME=VALUE",
        help="the same as --NAME VALUE")  # fmt: skip
    add("--max-new-tokens", type=int, default=NEW_TOKENS, help=f"default: {NEW_TOKENS}")
    add("--quantization", help="8bit or 4bit, through bitsandbytes")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("--dtype", default="auto", help="auto, float32, float16, bfloat16")
    add("--threads", default=AUTO, metavar="N", help=f"{WORDS} (default: auto)")
    add("--unlisted", action="store_true", help="download a model of the hub not on the list")
    add("--race", action="store_true", help="both lanes at once; their times are contended")
    add("--json", action="store_true", help="one JSON object on one line, last on stdout")
    ask_parser.set_defaults(run=ask)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """A flag for every setting that any method declares; text here, read by its method later."""
    from hired.selectors import every_setting

    known = every_setting()
    for key, setting in known.items():
        words = f"{setting.help} ({setting.allowed})".replace("%", "%%")
        parser.add_argument(f"--{key.replace('_', '-')}", metavar="VALUE", help=words)
    parser.set_defaults(setting_names=tuple(known))


def parse_setting(text: str) -> tuple[str, str]:
    """`seed=3` -> ("seed", "3")."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, such as seed=3.")
    return name.strip().replace("-", "_"), value


def make_lanes(args: argparse.Namespace) -> list[Any]:
    """The lanes as `--lane` has them, or stock beside the one that the other flags describe.

    Raises:
        SettingError: no such method or setting, a value out of range, or both ways at once.
    """
    from hired.comparison.lane import Lane
    from hired.selectors import build, parse, read_settings

    given = {name: getattr(args, name) for name in args.setting_names} | dict(args.set)
    given = {name: value for name, value in given.items() if value is not None}
    if not args.lanes:
        method = args.method or "hired"
        selector = build(method, **read_settings(method, given))
        return [Lane("baseline", build("full")), Lane(method, selector)]
    if args.method or given:
        flag = "method" if args.method else next(iter(given)).replace("_", "-")
        raise SettingError(
            f"--lane says all of a lane, and --{flag} is of the one without --lane. Write it into "
            f"the lane, such as --lane {EXAMPLE}."
        )
    return [Lane(selector.text, selector) for selector in map(parse, args.lanes)]


def ask(args: argparse.Namespace) -> int:
    """Both lanes over one prompt, streamed; 1 if a lane failed, 130 if it was stopped."""
    from hired.comparison.run import check_asked, compare
    from hired.images import describe_image, frames_words, open_image
    from hired.inputs import check_question
    from hired.models.load import describe, load
    from hired.terminal import Screen, ask_record

    lanes = make_lanes(args)  # wrong arguments are found before a model is loaded
    check_asked(lanes, args.max_new_tokens)
    image, question = open_image(args.image), check_question(args.question)
    choose_threads(args.threads)
    screen, load_elsewhere = Screen(to_stderr=args.json, race=args.race), Load()
    given = args.model, args.quantization, args.device, args.dtype
    model, processor = load(*given, unlisted=args.unlisted)
    about = describe(model)
    screen.introduce(about, frames_words(image))
    if about["device"] == "cpu":
        _progress(f"Computing with {use_threads(args.threads, load_elsewhere)}.")
    with _stop_on_interrupt() as stop:
        steps = compare(
            model,
            processor,
            image,
            question,
            lanes,
            max_new_tokens=args.max_new_tokens,
            race=args.race,
            stop=stop,
        )
        last = screen.follow(steps, lanes)
    screen.conclude(last, lanes)
    if args.json:
        shown = describe_image(Path(args.image).name, image)
        settings = _asked(args, question, lanes, about["dtype"])
        print(json.dumps(ask_record(about, shown, settings, lanes, last)), flush=True)
    failed = any(step.phase == "failed" for step in last)
    return 1 if failed else 130 if stop.is_set() else 0


def _asked(args: argparse.Namespace, question: str, lanes: list[Any], dtype: str) -> dict[str, Any]:
    """The part of a record about the question and the settings."""
    last = lanes[-1].selector
    return {
        "image": str(args.image),
        "question": question,
        "lanes": [lane.selector.text for lane in lanes],
        "method": last.name,
        **{key: getattr(last, key) for key in last.settings()},
        "max_new_tokens": args.max_new_tokens,
        "quantization": args.quantization,
        "dtype": dtype,
        "race": args.race,
    }


def list_models(args: argparse.Namespace) -> int:
    """The allow-list with its sizes, and what this machine can hold."""
    from hired.terminal import show_models

    show_models(args.device)
    return 0


def list_methods(args: argparse.Namespace) -> int:
    """Every registered method."""
    from hired.method_list import read_methods

    methods = read_methods()
    width = max(map(len, methods))
    for name, method in methods.items():
        print(f"{name:{width}}  {method.summary} [{', '.join(method.settings)}]")
    return 0


def check_gpu(args: argparse.Namespace) -> int:
    """Run the check, save its record; 1 if one of its findings is not as it should be."""
    from hired.gpu_check import run_check, save
    from hired.terminal import show_check

    given = args.model, args.device, args.repeats, _progress, args.checkpoint
    record = run_check(*given, keep=lambda found: save(found, args.json))
    path = save(record, args.json)
    show_check(record)
    print(f"Recorded in {path}")
    return 0 if record["passed"] else 1


@contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """The first Ctrl-C sets the event and keeps the partial answer; a second one ends at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask_to_stop(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, ask_to_stop)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _complain(message: object, code: int) -> int:
    print(f"hired: {message}", file=sys.stderr, flush=True)
    return code
