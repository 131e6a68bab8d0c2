"""The command line, the share guard, the choice of a model, and an end that loses no answer."""

import asyncio
import io
import json
import logging
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import torch
from conftest import make_image
from gradio.tunneling import BINARY_FILENAME
from serving import SELECT, Caller, encoded, free_port
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from hired.errors import ModelError
from hired.models import auto as choice
from hired.models.auto import REAL, choose
from hired.web import serve
from hired.web.engine import Engine
from hired.web.flags import parse
from hired.web.limits import Limits
from hired.web.model_panel import head

ROOT = Path(__file__).parents[1]
PATIENCE_S = 600


def test_flags_have_their_environment() -> None:
    options = parse(
        ["--port", "81"],
        {"HIRED_PORT": "9000", "HIRED_HOST": "0.0.0.0", "HIRED_MODEL": "random:7b/64",
         "HIRED_QUANTIZATION": "4bit", "HIRED_DEVICE": "cpu", "HIRED_MAX_QUEUE": "5",
         "HIRED_AUTH": "ada:lovelace", "HIRED_SHARE": "1", "HIRED_LOG": "warning"},
    )  # fmt: skip
    assert (options.port, options.host, options.model) == (81, "0.0.0.0", "random:7b/64")
    assert (options.quantization, options.device, options.log) == ("4bit", "cpu", "warning")
    assert options.auth == ("ada", "lovelace") and options.share and not options.public
    assert options.limits == Limits(queue=5)
    assert parse([], {}).limits == Limits()
    for name in vars(Limits()):
        flag = f"--max-{name}".replace("_", "-")
        assert parse([flag, "1"], {}).limits == Limits(**{name: 1})


def test_a_space_chooses_by_its_hardware() -> None:
    assert parse([], {}).model == "shapes"
    space = parse([], {"SPACE_ID": "ada/demo", "GRADIO_SERVER_NAME": "0.0.0.0"})
    assert (space.model, space.host) == ("auto", "0.0.0.0")


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [(["--port", "x"], {}, "a port is a number from 1 to 65535; got 'x'"),
     (["--port", "70000"], {}, "a port is a number from 1 to 65535"),
     ([], {"HIRED_PORT": "web"}, "a port is a number"),
     (["--max-rate", "-3"], {}, "--max-rate: it is a whole number; got '-3'"),
     (["--max-new-tokens", "9999"], {}, "--max-new-tokens is a whole number from 1 to 512"),
     ([], {"HIRED_MAX_QUEUE": "0"}, "--max-queue is a whole number from 1"),
     (["--quantization", "3bit"], {}, "it is 8bit or 4bit; got '3bit'"),
     (["--auth", "ada"], {}, "it is user:password"),
     (["--log", "loud"], {}, "it is debug or info"),
     (["--share"], {}, "puts this app on the internet"),
     ([], {"HIRED_SHARE": "1"}, "Add --auth user:password, or --public")],
)  # fmt: skip
def test_wrong_values_are_explained(capsys, arguments, environment, words) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments, environment)
    assert ended.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_help_is_in_groups(capsys) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"], {})
    said = capsys.readouterr().out
    assert "FORWARDED_ALLOW_IPS" in said
    for title in ("the model:", "where it is served, and to whom:", "limits:"):
        assert f"\n{title}\n" in said


@pytest.mark.parametrize(
    ("place", "room", "expected"),
    [("cpu", 64e9, ("shapes", None)), ("cuda:0", 23.6e9, (REAL, None)),
     ("cuda:0", 15.6e9, (REAL, "4bit")), ("cuda:0", 6e9, ("shapes", None)),
     ("mps", 12e9, ("shapes", None))],
)  # fmt: skip
def test_the_model_suits_the_machine(monkeypatch, place, room, expected) -> None:
    monkeypatch.setattr(choice, "pick_device", lambda _: torch.device(place))
    monkeypatch.setattr(choice, "free_bytes", lambda _: room)
    monkeypatch.setattr(choice, "name_device", lambda _: "a GPU")
    chosen = choose()
    assert (chosen.name, chosen.quantization) == expected and chosen.words.endswith(".")


def test_a_hub_that_cannot_be_reached_leaves_the_embedded_model(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(serve, "choose", lambda _: choice.Choice(REAL, "4bit", "A GPU."))
    engine, said = Engine(), []
    serve._load(engine, parse(["--model", "auto"], {}), said.append)
    assert engine.get().info["name"] == "shapes" and engine.options["quantization"] is None
    assert "the embedded model answers" in engine.note
    assert "the embedded model answers" in head(engine.get().info, engine.note)
    assert "cannot be reached" in " ".join(said)


def test_only_a_visitor_of_this_machine_may_switch_models(monkeypatch) -> None:
    engine = Engine()
    monkeypatch.setattr(engine, "get", lambda: None)
    for arguments, may in (([], True), (["--host", "0.0.0.0"], False),
                           (["--share", "--public"], False)):  # fmt: skip
        serve._load(engine, parse(arguments, {}), lambda _: None)
        assert engine.may_switch is may


def test_on_a_space_the_proxy_says_who_asks_and_nobody_poses_as_another() -> None:
    asked: dict[str, str] = {}
    serve.trust_proxies(asked)
    assert not asked
    own = {"SPACE_ID": "ada/demo", "FORWARDED_ALLOW_IPS": "10.1.1.1"}
    serve.trust_proxies(own)
    assert own["FORWARDED_ALLOW_IPS"] == "10.1.1.1"
    serve.trust_proxies(asked := {"SPACE_ID": "ada/demo"})

    async def page(scope, *_):
        asked["client"] = scope["client"][0]

    heard = ProxyHeadersMiddleware(page, asked["FORWARDED_ALLOW_IPS"])
    told = [(b"x-forwarded-for", b"6.6.6.6, 203.0.113.9, 10.16.9.9")]  # the first was forged
    for peer, seen in (("10.16.3.80", "203.0.113.9"), ("198.51.100.7", "198.51.100.7")):
        scope = {"type": "http", "client": (peer, 1), "headers": told}
        asyncio.run(heard(scope, None, None))
        assert asked["client"] == seen


def test_told_to_end_while_the_model_loads(monkeypatch, capsys) -> None:
    ended, before = [], signal.getsignal(signal.SIGTERM)

    def load(*_):
        signal.raise_signal(signal.SIGTERM)
        raise ModelError("no model")

    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(serve, "_load", load)
    assert serve.serve(SimpleNamespace(engine=Engine()), parse([], {}), lambda _: None) == 1
    assert ended == [143] and signal.getsignal(signal.SIGTERM) is before
    assert "no model" in capsys.readouterr().err


class App:
    """`python app.py` in a process of its own, with a frpc that is a shell script."""

    def __init__(self, home: Path, *arguments: str, tunnel: str = "exit 1") -> None:
        self.port = free_port()
        folder = home / "gradio" / "frpc"
        folder.mkdir(parents=True)
        (folder / BINARY_FILENAME).write_text(f"#!/bin/sh\n{tunnel}\n")
        (folder / BINARY_FILENAME).chmod(0o755)
        environment = os.environ | {
            "HF_HOME": str(home), "GRADIO_TEMP_DIR": str(home / "uploads"),
            "GRADIO_SHARE_SERVER_ADDRESS": "127.0.0.1:9",
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(self.port), *arguments],
            cwd=ROOT, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with self.process.stdout as out:
            self.lines += iter(out.readline, "")

    @property
    def said(self) -> str:
        return "".join(self.lines)

    def wait_for(self, words: str) -> None:
        until = time.monotonic() + PATIENCE_S
        while words not in self.said and self.process.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        assert words in self.said, self.said

    def end(self, sign: int = signal.SIGTERM) -> int:
        self.process.send_signal(sign)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def start(tmp_path):
    started = []

    def go(*arguments: str, **more: str) -> App:
        started.append(App(tmp_path / str(len(started)), *arguments, **more))
        return started[-1]

    yield go
    for app in started:
        app.process.kill()
        app.process.wait()


@pytest.mark.skipif(platform.system() != "Linux", reason="the fake tunnel is a shell script")
@pytest.mark.timeout(1500)
def test_shared_behind_a_password_until_it_is_told_to_end(start, tmp_path) -> None:
    tunnel = (
        f"echo $$ > {tmp_path}/tunnel.pid\n"
        "echo 'start proxy success: http://abc.gradio.live'\nexec sleep 600"
    )
    app = start("--share", "--auth", "ada:lovelace", tunnel=tunnel)
    app.wait_for("Public link: https://abc.gradio.live")
    assert "Everyone with the link can upload images" in app.said
    url = f"http://127.0.0.1:{app.port}/"
    assert httpx.get(f"{url}healthz").json()["model"] == {"name": "shapes", "loaded": True}
    caller = Caller(url)
    refused = caller.http.post("call/select", json={"data": []})
    assert refused.status_code == 401
    assert "lovelace" not in app.said
    login = httpx.post(f"{url}login", data={"username": "ada", "password": "lovelace"})
    caller.http.cookies = login.cookies
    image = caller.upload(encoded(make_image(200, 300)))
    _, event = caller.ask("compare", [image, "Which digit is on the red star?", *SELECT, 300])
    kinds, told = [], ""
    with caller.http.stream("GET", f"call/compare/{event}") as answer:
        for line in answer.iter_lines():
            if line == "event: generating" and line not in kinds:
                app.process.send_signal(signal.SIGTERM)  # in the middle of an answer
            kinds.append(line) if line.startswith("event:") else None
            told = line if line.startswith("data:") else told
    assert "event: generating" in kinds and kinds[-1] == "event: complete"
    values = json.loads(told.removeprefix("data: "))
    assert [lane["phase"] for lane in values[2]["lanes"]] == ["done", "done"]
    assert app.process.wait(PATIENCE_S) == 0
    with socket.socket() as probe:  # the port is free again
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", app.port))
    with pytest.raises(ProcessLookupError):  # and the tunnel is gone
        os.kill(int((tmp_path / "tunnel.pid").read_text()), 0)


@pytest.mark.timeout(1500)
def test_without_a_tunnel_it_says_so_and_goes_on_here(start) -> None:
    app = start("--share", "--public", tunnel="echo 'login to server failed: no'; sleep 600")
    app.wait_for("No public link")
    assert "No password is asked for." in app.said
    assert httpx.get(f"http://127.0.0.1:{app.port}/").is_success
    taken = subprocess.run(
        [sys.executable, "app.py", "--port", str(app.port)],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert taken.returncode == 1 and f"Port {app.port} is taken" in taken.stderr
    assert app.end(signal.SIGINT) == 0
    assert not re.search(r"Traceback", app.said)


def test_the_log_follows_standard_error(monkeypatch) -> None:
    log = logging.getLogger("hired")
    for name, value in (("handlers", []), ("propagate", True)):
        monkeypatch.setattr(log, name, value)
    for _ in range(2):
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        serve.set_up_log()
        log.info("hello")
        assert json.loads(sys.stderr.getvalue())["event"] == "hello"
