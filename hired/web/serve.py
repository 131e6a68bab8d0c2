"""Serving: load, launch, share, log, and end without losing answers.

The log is one JSON object per line: who asked for what, how it ended, how long it took. Questions,
answers and images are never in it; of a client only a mark that changes with every start.
"""

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

from gradio import networking
from gradio.tunneling import CURRENT_TUNNELS

from hired.errors import HiredError, SettingError
from hired.models.allowed import EMBEDDED
from hired.models.auto import choose
from hired.threads import Load, use_threads
from hired.web.blocks import Page
from hired.web.engine import Engine
from hired.web.flags import AUTO, EXPOSED
from hired.web.model_panel import LOCAL
from hired.web.page import launch_options
from hired.web.queues import gpu_queue
from hired.web.remote import Servers, attach

NEEDS = Path(__file__).with_name("mcp-requirements.txt")
VARIABLE = "GRADIO_MCP_SERVER"
PLACE = "/gradio_api/mcp/"  # below the page's address


def mcp_options(asked: bool = False) -> dict[str, bool]:
    """Options of `launch` for MCP: on if asked for, here or by GRADIO_MCP_SERVER=True.

    Raises:
        SettingError: the packages it needs are not installed.
    """
    if not asked and os.environ.get(VARIABLE, "").lower() != "true":
        return {"mcp_server": False}
    if find_spec("mcp") is None:
        raise SettingError(
            f"MCP tools need packages that are not installed. Run: pip install -r {_short(NEEDS)}"
        )
    return {"mcp_server": True}


def _short(path: Path) -> Path:
    """Path relative to the current folder, if it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


log = logging.getLogger(__name__)
Say = Callable[[str], None]
SPACE_PROXIES = "127.0.0.1,::1,10.0.0.0/8"  # what a Space is asked by; they append who asked them
TICK_S = 0.1
DELIVERY_S = 5.0  # for the last words of a finished answer on their way to a client


def serve(demo: Page, options: argparse.Namespace, say: Say) -> int:
    """Serve the page until SIGTERM or Ctrl+C; the exit code. `say` tells the user what happens."""
    set_up_log(options.log)
    engine, elsewhere = demo.engine, Load()
    trust_proxies()
    try:
        tools = mcp_options(options.mcp)
        with ending_at_once():
            _load(engine, options, say)
        if engine.get().info["device"] == "cpu":
            say(f"Computing with {use_threads(options.threads, elsewhere)}.")
    except HiredError as error:
        print_error(error)
        return 1
    demo.queue()
    try:
        demo.launch(
            server_name=options.host,
            server_port=options.port,
            auth=options.auth,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            **launch_options(options.limits),
            mcp_server=tools["mcp_server"],
        )
    except OSError:
        print_error(
            f"Port {options.port} is taken, or {options.host} is no address of this machine. "
            f"Choose another port: python app.py --port {options.port + 1}"
        )
        return 1
    say(f"Open http://{options.host}:{options.port}  (Ctrl+C ends it)")
    if tools["mcp_server"]:
        say(f"MCP tools: http://{options.host}:{options.port}{PLACE}")
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: _end(engine))
    if options.share:
        share(demo, options.auth is not None, say)
    while not engine.closing.wait(TICK_S):
        pass
    finish(demo, options.limits.grace, say)
    return 0


def trust_proxies(environment: MutableMapping[str, str] = os.environ) -> None:
    """Take visitors' addresses from the proxies of a Space; else all would be one visitor.

    uvicorn takes the last entry of X-Forwarded-For that is no proxy's: forged ones come before.
    """
    if environment.get("SPACE_ID"):
        environment.setdefault("FORWARDED_ALLOW_IPS", SPACE_PROXIES)


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Let SIGTERM and Ctrl+C end the process at once: nobody is served while a model loads.

    The first process of a container ignores a SIGTERM it has no handler for, and a download in
    other threads would be awaited.
    """
    signs = (signal.SIGTERM, signal.SIGINT)
    before = {name: signal.signal(name, lambda number, _: os._exit(128 + number)) for name in signs}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _load(engine: Engine, options: argparse.Namespace, say: Say) -> None:
    """Load the model that was asked for, or the one that suits the machine."""
    engine.limits = options.limits
    engine.may_switch = options.host in LOCAL and not options.share
    engine.options = {
        "quantization": options.quantization,
        "device": options.device,
        "dtype": options.dtype,
        "unlisted": options.unlisted,
    }
    engine.name = options.model
    if options.backend == "openai":
        attach(engine, Servers(options.baseline_url, options.hired_url, options.api_key))
    elif options.model == AUTO:
        choice = choose(options.device)
        engine.name, engine.note = choice.name, choice.words
        engine.options["quantization"] = options.quantization or choice.quantization
        say(choice.words)
    say("Asking the servers ..." if engine.servers else f"Loading {engine.name} ...")
    try:
        engine.get()
    except HiredError as error:
        if engine.servers or options.model != AUTO or engine.name == EMBEDDED:
            raise
        engine.note = f"{engine.name} could not be loaded, so the embedded model answers."
        say(f"{error} {engine.note}")
        engine.name, engine.options["quantization"] = EMBEDDED, None
        engine.get()


def share(demo: Page, guarded: bool, say: Say) -> str | None:
    """Ask for a public link to the page; None, with the reason told, where there is none.

    The page is served either way.
    """
    say(f"Asking Gradio for a public link. {EXPOSED}")
    say("A name and a password are asked for." if guarded else "No password is asked for.")
    try:
        address = networking.setup_tunnel(
            local_host=demo.server_name,
            local_port=demo.server_port,
            share_token=demo.share_token,
            share_server_address=None,
            share_server_tls_certificate=None,
        )
    except Exception as error:  # no network, a blocked download, a server that is down
        close_tunnels()
        log.warning("no public link", extra={"facts": {"error": type(error).__name__}})
        say("No public link: Gradio's share server could not be reached. Serving locally goes on.")
        return None
    link = f"https://{urlsplit(address).netloc}"
    demo.share, vars(demo)["share_url"] = True, link
    say(f"Public link: {link}  (for up to a week, while this runs)")
    return link


def close_tunnels() -> None:
    """End the processes behind public links."""
    while CURRENT_TUNNELS:
        tunnel = CURRENT_TUNNELS.pop()
        if tunnel.proc is not None:
            tunnel.proc.terminate()
            tunnel.proc.wait()
            tunnel.proc = None


def finish(demo: Page, grace_s: float, say: Say) -> None:
    """Let running answers end, then free link and port; nothing new begins meanwhile."""
    until, told = monotonic() + grace_s, False
    while any(gpu_queue(demo)) and monotonic() < until:
        if not told:
            say(f"Ending; running answers get up to {grace_s} s. Ctrl+C again ends at once.")
            told = True
        sleep(TICK_S)
    until = monotonic() + DELIVERY_S
    while any(demo._queue.pending_event_ids_session.values()) and monotonic() < until:
        sleep(TICK_S)
    close_tunnels()
    demo.close(verbose=False)
    log.info("ended")


def _end(engine: Engine) -> None:
    if engine.closing.is_set():  # asked twice
        close_tunnels()
        raise SystemExit(130)
    engine.closing.set()


def print_error(error: object) -> None:
    """Write one sentence to standard error."""
    sys.stderr.write(f"{error}\n")


class JsonLines(logging.Formatter):
    """Formatter of one line of JSON; what was passed as `extra={"facts": …}` becomes its keys."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as its line."""
        facts: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            facts["trace"] = self.formatException(record.exc_info)
        return json.dumps(facts, default=str)


class _StandardError(logging.StreamHandler):
    """Handler of standard error as it is at the time; an app around this one may exchange it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self.stream = sys.stderr
        super().emit(record)


def set_up_log(level: str = "info") -> None:
    """Send everything this package logs to standard error as JSON lines; safe to call twice."""
    log = logging.getLogger("hired")
    if not any(isinstance(handler.formatter, JsonLines) for handler in log.handlers):
        handler = _StandardError()
        handler.setFormatter(JsonLines())
        log.addHandler(handler)
    log.setLevel(level.upper())
    log.propagate = False
