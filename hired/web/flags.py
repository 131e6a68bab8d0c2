"""The command line of the app: every flag but one can also be an environment variable,
HIRED_<FLAG>; models off the allow-list are for who types the command.
"""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence

from hired import threads
from hired.errors import SettingError
from hired.settings import declarations
from hired.web.limits import Limits

AUTO = "auto"
LEVELS = ("debug", "info", "warning", "error")  # of the log
LIMITS = declarations(Limits)
EXPOSED = "Everyone with the link can upload images and use this machine's processor and memory."


def parse(
    arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ
) -> argparse.Namespace:
    """The options, with `limits` as a `Limits`; wrong values end the program with a sentence."""
    parser = argparse.ArgumentParser(
        prog="python app.py",
        description="LLaVA-NeXT with and without HiRED, side by side.",
        epilog="Every flag but --unlisted can be set in the environment too: --max-rate 60 is "
        "HIRED_MAX_RATE=60. "
        "Behind a proxy, set FORWARDED_ALLOW_IPS to its address or network; otherwise all who come "
        "through it count as one visitor. With * a visitor could pose as another.",
    )
    _add_model(parser, environment)
    _add_servers(parser, environment)
    _add_place(parser, environment)
    _add_limits(parser, environment)
    options = parser.parse_args(arguments)
    if options.share and not (options.auth or options.public):
        parser.error(
            f"--share puts this app on the internet. {EXPOSED} Add --auth user:password, or "
            f"--public to let anyone in."
        )
    if options.backend == "openai" and not (options.baseline_url and options.hired_url):
        parser.error("--backend openai needs --baseline-url and --hired-url")
    try:
        options.limits = Limits(**{name: getattr(options, name) for name in LIMITS})
    except SettingError as error:
        parser.error(f"--max-{error}".replace("_", "-"))
    return options


def _add_model(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    group = parser.add_argument_group("the model")
    usual = AUTO if environment.get("SPACE_ID") else "shapes"
    group.add_argument(
        "--model",
        default=environment.get("HIRED_MODEL", usual),
        help="a name from the allow-list, a directory, random:7b/16, or auto: LLaVA-NeXT-7B where "
        "a GPU can hold it, else the embedded one (default: %(default)s)",
    )
    group.add_argument(
        "--quantization",
        type=_one_of("8bit", "4bit"),
        default=environment.get("HIRED_QUANTIZATION") or None,
        metavar="{8bit,4bit}",
        help="the language model through bitsandbytes",
    )
    group.add_argument(
        "--device",
        default=environment.get("HIRED_DEVICE", AUTO),
        help="auto, cpu, cuda, cuda:1 or mps (default: %(default)s)",
    )
    group.add_argument(
        "--dtype",
        default=environment.get("HIRED_DTYPE", AUTO),
        help="auto, float32, float16 or bfloat16 (default: %(default)s)",
    )
    group.add_argument(
        "--threads",
        type=_threads,
        default=environment.get("HIRED_THREADS") or threads.AUTO,
        metavar="N",
        help=f"{threads.WORDS} (default: %(default)s)",
    )
    group.add_argument(
        "--unlisted",
        action="store_true",
        help="download the model of the hub that --model names although it is not on the list",
    )


def _add_servers(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    group = parser.add_argument_group(
        "servers instead of a model here (python -m hired serve starts two)"
    )
    group.add_argument(
        "--backend",
        type=_one_of("local", "openai"),
        default=environment.get("HIRED_BACKEND", "local"),
        metavar="{local,openai}",
        help="openai: two OpenAI-compatible servers answer (default: %(default)s)",
    )
    for name, words in (("baseline", "the stock server"), ("hired", "the one with HiRED")):
        group.add_argument(
            f"--{name}-url",
            default=environment.get(f"HIRED_{name.upper()}_URL"),
            metavar="URL",
            help=f"{words}, such as http://127.0.0.1:8000",
        )
    group.add_argument(
        "--api-key",
        default=environment.get("HIRED_API_KEY") or None,
        metavar="KEY",
        help="for both; HIRED_API_KEY keeps it out of the process list",
    )


def _add_place(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    group = parser.add_argument_group("where it is served, and to whom")
    host = environment.get("HIRED_HOST") or environment.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    port = environment.get("HIRED_PORT") or environment.get("GRADIO_SERVER_PORT") or "7860"
    group.add_argument(
        "--host", default=host, help="0.0.0.0 for other machines (default: %(default)s)"
    )
    group.add_argument("--port", type=_port, default=port, help="default: %(default)s")
    switches = {
        "share": "ask Gradio for a public link; needs --auth or --public",
        "public": "let in anyone who has the link",
        "mcp": "offer the endpoints as MCP tools too; needs hired/web/mcp-requirements.txt",
    }
    for name, words in switches.items():
        is_on = environment.get(f"HIRED_{name.upper()}", "").lower() in ("1", "true", "yes", "on")
        group.add_argument(f"--{name}", action="store_true", default=is_on, help=words)
    group.add_argument(
        "--auth",
        type=_login,
        default=environment.get("HIRED_AUTH") or None,
        metavar="USER:PASSWORD",
        help="let in only who knows both; HIRED_AUTH keeps them out of the process list",
    )
    group.add_argument(
        "--log",
        type=_one_of(*LEVELS),
        default=environment.get("HIRED_LOG", "info"),
        metavar="LEVEL",
        help=f"{', '.join(LEVELS)}; one JSON object per line, never a question or an image "
        f"(default: %(default)s)",
    )


def _add_limits(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    group = parser.add_argument_group("limits")
    usual = Limits()
    for name, limit in LIMITS.items():
        group.add_argument(
            f"--max-{name}".replace("_", "-"),
            dest=name,
            type=_whole,
            default=environment.get(f"HIRED_MAX_{name.upper()}", str(getattr(usual, name))),
            metavar="N",
            help=f"{limit.help} (default: %(default)s)",
        )


def _one_of(*names: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"it is {' or '.join(names)}; got {text!r}")
        return text

    return check


def _threads(text: str) -> str:
    try:
        threads.choose_threads(text)
    except SettingError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _whole(text: str) -> int:
    if not text.strip().isdecimal():
        raise argparse.ArgumentTypeError(f"it is a whole number; got {text!r}")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535; got {text!r}")
    return int(text)


def _login(text: str) -> tuple[str, str]:
    user, _, password = text.partition(":")
    if not user or len(password) < 4:
        raise argparse.ArgumentTypeError(
            "it is user:password, the password of at least 4 characters"
        )
    return user, password
