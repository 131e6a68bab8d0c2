"""`python -m hired serve`: the two commands, and servers that start, answer and leave nothing.

A played `vllm` is served; tests/test_vllm_server.py serves the real one.
"""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from fake_server import FakeServer, make_program
from serving import free_port

from hired import cli
from hired.errors import ModelError
from hired.models.allowed import LISTED
from hired.serving import launch, models

ROOT = Path(__file__).parents[1]


def test_dry_run_prints_the_two_commands(capsys) -> None:
    assert cli.main(["serve", "--dry-run", "--budget", "40%", "--vllm-args=--dtype float32"]) == 0
    stock, hired = capsys.readouterr().out.splitlines()
    assert re.match(r"vllm serve \S+/assets/shapes --host 127.0.0.1 --port 8000 --served", stock)
    assert "hf-overrides" not in stock and stock.endswith("--dtype float32")
    words = json.loads(re.search(r"--hf-overrides '(.*?)'", hired)[1])
    assert words["architectures"] == ["HiredLlavaNextForConditionalGeneration"]
    assert (words["hired"]["budget"], words["hired"]["method"]) == (0.4, "hired")
    assert "--port 8001" in hired and "--trust-request-mm-kwargs --dtype" in hired


def test_a_dry_run_makes_no_model(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(models, "CACHE", tmp_path)
    assert cli.main(["serve", "--dry-run", "--model", "random:7b"]) == 0
    assert str(tmp_path / "7b") in capsys.readouterr().out and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", LISTED)
def test_llava_15_has_its_own_architecture(name) -> None:
    [found] = launch.overrides(name, {"budget": 64})["architectures"]
    next_ = "LLaVA-NeXT" in LISTED[name].words
    assert found == f"HiredLlava{'Next' if next_ else ''}ForConditionalGeneration"


def test_what_cannot_be_served_is_refused_before_anything_starts(capsys) -> None:
    assert cli.main(["serve", "--dry-run", "--method", "prumerge-adaptive"]) == 2
    assert "before it sees the image" in capsys.readouterr().err
    assert cli.main(["serve", "--dry-run", "--model", "no/such"]) == 1
    assert "neither a directory nor a model" in capsys.readouterr().err


def test_a_server_that_ends_early_is_explained(tmp_path) -> None:
    words = [sys.executable, "-c", "print('no such model')"]
    with launch.Server(words, 1, tmp_path / "log") as server:
        with pytest.raises(ModelError, match="ended before it was ready"):
            server.wait(60)
    assert "no such model" in (tmp_path / "log").read_text()


DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); "
PARENT = """import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1] + "time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_server_is_ended_with_its_children(tmp_path) -> None:
    """Even with one that does not listen to SIGTERM, as a worker in a long computation."""
    log = tmp_path / "log"
    server = launch.Server([sys.executable, "-c", PARENT, DEAF], 1, log).start()
    while "up" not in log.read_text():
        time.sleep(0.05)
    child = psutil.Process(int(re.search(r"\d+", log.read_text())[0]))
    server.stop()
    child.wait(60)
    assert server.process.poll() is not None and not child.is_running()
    server.stop()  # twice does no harm


def test_a_port_that_is_taken_is_told_before_anything_starts() -> None:
    with FakeServer() as other, pytest.raises(ModelError, match=r"taken.*--port"):
        launch.Server(["vllm"], other.http.server_port).start()


def serve(folder) -> tuple[subprocess.Popen, list[int]]:
    """`python -m hired serve` that has said it is ready, and the ports of its two servers."""
    port = free_port()
    words = ["serve", "--vllm", make_program(folder), "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "hired", *words],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Where the tests run in the background, a shell lets them ignore Ctrl-C; a user does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert any(line.startswith("The demo on top") for line in process.stdout)
    ports = [port, port + 1]
    assert [launch.Server([], each).healthy() for each in ports] == [True, True]
    return process, ports


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_both_servers_are_ended_with_the_command(how, tmp_path) -> None:
    process, ports = serve(tmp_path)
    process.send_signal(how)
    assert process.communicate(timeout=300)[1] == "hired: Stopped.\n"
    assert process.returncode == 130
    assert [launch.Server([], each).healthy() for each in ports] == [False, False]


def test_a_server_that_ends_by_itself_ends_the_other(tmp_path) -> None:
    process, ports = serve(tmp_path)
    [one] = [
        child
        for child in psutil.Process(process.pid).children()
        if str(ports[1]) in child.cmdline()
    ]
    one.kill()
    assert "A server ended by itself" in process.communicate(timeout=300)[1]
    assert process.returncode == 1 and not launch.Server([], ports[0]).healthy()


def test_a_flag_counts_on_either_side_of_the_command() -> None:
    def read(*argv: str) -> tuple[str, int]:
        args = cli.make_parser(argv).parse_args(argv)
        return args.model, args.port

    assert read("serve", "--model", "random:7b/16", "--port", "9000", "bench") == (
        "random:7b/16",
        9000,
    )
    assert read("serve", "bench", "--port", "9000") == ("shapes", 9000)
    argv = ["bench", "--device", "cpu", "vision"]
    assert cli.make_parser(argv).parse_args(argv).device == "cpu"
