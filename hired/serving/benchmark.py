"""Stock vLLM and the plug-in under the same load, with vLLM's own benchmark client.

One server at a time, so that each has the machine to itself, on a KV cache of a fixed size. A
round is one budget at one concurrency; what is recorded is not measured again.
"""

import json
import math
import os
import shlex
import statistics
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from hired.bench.commands import command_line
from hired.bench.results import Record
from hired.errors import ModelError, SettingError
from hired.serving.client import read_gauges
from hired.serving.launch import Server, command, read_kind
from hired.serving.models import find_folder
from hired.serving.settings import KEY
from hired.tiles import TileGrid

OF = "serve bench"
BLOCK = 128  # tokens of a KV-cache block
TEXT = 16  # tokens of a prompt's text; the chat template adds some
ROUND_S = 3600.0
SAMPLE_EVERY_S = 0.1
WARM_SEED = 10**6  # what is added to a round's seed for the request before it


@dataclass(frozen=True)
class Bench:
    """The plan of a benchmark of servers.

    Attributes:
        model: a name, a directory or `random:7b/16`.
        budgets: rates of the server with HiRED; the stock one is always measured.
        concurrency: requests at once.
        prompts: requests of a round; its concurrency without, at least 4.
        image_size: (height, width), pixels; every request has another image.
        new_tokens: of every answer.
        kv_tokens: size of the KV cache; without, what holds 8 stock requests.
        extra: words for both `vllm serve` commands.
    """

    model: str = "shapes"
    budgets: tuple[float, ...] = (0.4, 0.2, 0.1)
    concurrency: tuple[int, ...] = (1, 4, 16, 64)
    prompts: int | None = None
    image_size: tuple[int, int] = (672, 672)
    new_tokens: int = 16
    kv_tokens: int | None = None
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check what would only fail after a server has started."""
        if not self.concurrency or min(self.concurrency) < 1:
            raise SettingError(f"concurrency is 1 or more; got {list(self.concurrency)}.")
        if not all(isinstance(rate, float) and 0 < rate <= 1 for rate in self.budgets):
            raise SettingError(
                f"budgets are rates above 0 and up to 1.0; got {list(self.budgets)}."
            )
        if self.new_tokens < 1 or (self.prompts is not None and self.prompts < 1):
            raise SettingError("new tokens and prompts are 1 or more.")


@dataclass(frozen=True)
class Round:
    """One budget at one concurrency; `budget` None is the stock server."""

    budget: float | None
    concurrency: int
    prompts: int

    @property
    def name(self) -> str:
        """`stock` or the rate that is kept."""
        return "stock" if self.budget is None else f"{self.budget:g}"


def rounds(bench: Bench) -> list[Round]:
    """Every round, the stock server's first."""
    return [
        Round(budget, count, bench.prompts or max(4, count))
        for budget in (None, *bench.budgets)
        for count in bench.concurrency
    ]


def stock_tokens(folder: str, image_size: tuple[int, int]) -> int:
    """Visual tokens of the stock model, from a directory's config.

    Raises:
        ModelError: there is no config to read.
    """
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise ModelError(f"{folder} is not on this disk. Give --kv-tokens, or a directory.")
    config = json.loads(path.read_text(encoding="utf-8"))
    tile, patch = config["vision_config"]["image_size"], config["vision_config"]["patch_size"]
    if read_kind(folder) == "llava":
        return TileGrid.single(image_size, tile, patch).stock
    return TileGrid.fit(image_size, config["image_grid_pinpoints"], tile, patch).stock


def blocks_for(bench: Bench, folder: str) -> int:
    """Blocks of the KV cache; vLLM keeps one of them for itself."""
    tokens = bench.kv_tokens
    if tokens is None:
        one = stock_tokens(folder, bench.image_size) + 2 * TEXT + bench.new_tokens
        return 8 * math.ceil(one / BLOCK) + 1
    return math.ceil(tokens / BLOCK) + 1


def measure(bench: Bench, vllm: str, port: int, path: Path, tell: Callable[[str], None]) -> None:
    """Measure what `path` does not hold yet.

    Raises:
        ModelError: a server or the client failed; what was measured stays recorded.
    """
    folder = find_folder(bench.model)
    blocks = blocks_for(bench, folder)
    setup = {
        "model": bench.model,
        "image_size": list(bench.image_size),
        "new_tokens": bench.new_tokens,
        "kv_tokens": (blocks - 1) * BLOCK,
        "extra": list(bench.extra),
    }
    record = Record(path, _session(vllm))
    left = [one for one in rounds(bench) if _key(setup, one) not in record.done]
    for stock in (True, False):
        todo = [one for one in left if (one.budget is None) == stock]
        if not todo:
            continue
        extra = [
            *("--block-size", str(BLOCK), "--num-gpu-blocks-override", str(blocks)),
            *("--max-num-seqs", str(max(bench.concurrency)), *bench.extra),
        ]
        words = command(vllm, folder, port, None if stock else {}, extra, bench.model)
        log = path.with_suffix(f".{'stock' if stock else 'hired'}.log")
        tell(f"starting {shlex.join(words)}")
        with Server(words, port, log) as server:
            server.wait()
            for one in todo:
                tell(f"{one.name}, {one.concurrency} at once, {one.prompts} requests ...")
                found = run_round(bench, one, vllm, folder, server)
                record.add(_key(setup, one), {**setup, **asdict(one)}, found)
                rate, first = found["requests_per_s"], found["ttft_s"]["median"]
                tell(f"  {rate:.3f} requests/s, first token after {first:.2f} s")
        log.unlink(missing_ok=True)


def run_round(bench: Bench, one: Round, vllm: str, folder: str, server: Server) -> dict[str, Any]:
    """One run of `vllm bench serve`, after a request of its kind with an image of its own.

    Raises:
        ModelError: the client failed, or a request got no answer.
    """
    warm = replace(one, concurrency=1, prompts=1)
    _run_client(bench, warm, vllm, folder, server, seed=WARM_SEED)
    return _run_client(bench, one, vllm, folder, server)


def _run_client(
    bench: Bench, one: Round, vllm: str, folder: str, server: Server, seed: int = 0
) -> dict[str, Any]:
    """One run of `vllm bench serve` and what it measured."""
    with tempfile.TemporaryDirectory() as place, watch_running(server.url) as most:
        words = client_command(bench, one, vllm, folder, server.url, place, seed)
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=ROUND_S, check=False, env=os.environ
        )
        result = Path(place) / "result.json"
        if done.returncode or not result.is_file():
            said = (done.stderr or done.stdout).strip().splitlines()[-5:]
            raise ModelError("vllm bench serve failed: " + " / ".join(said))
        found = json.loads(result.read_text(encoding="utf-8"))
    if found["completed"] != one.prompts:
        raise ModelError(
            f"{one.prompts - found['completed']} of {one.prompts} requests got no answer. What the "
            f"server said is in {server.log}."
        )
    return summarise(found, most[0])


def client_command(
    bench: Bench, one: Round, vllm: str, folder: str, url: str, place: str, seed: int = 0
) -> list[str]:
    """`vllm bench serve` for one round; its seed is the round's, so no image comes twice.

    The client's own check and warm-up are off: they would send the first of the images that are
    measured, which vLLM then answers from its caches.
    """
    height, width = bench.image_size
    seed += 1000 * one.concurrency + round(1000 * (one.budget or 0))
    words = {
        "--backend": "openai-chat",
        "--base-url": url,
        "--endpoint": "/v1/chat/completions",
        "--model": bench.model,
        "--tokenizer": folder,
        "--dataset-name": "random-mm",
        "--random-input-len": TEXT,
        "--random-output-len": bench.new_tokens,
        "--random-mm-base-items-per-request": 1,
        "--random-mm-num-mm-items-range-ratio": 0,
        "--random-mm-limit-mm-per-prompt": json.dumps({"image": 1, "video": 0}),
        "--random-mm-bucket-config": f"{{({height}, {width}, 1): 1.0}}",
        "--num-prompts": one.prompts,
        "--max-concurrency": one.concurrency,
        "--num-warmups": 0,
        "--ready-check-timeout-sec": 0,
        "--seed": seed,
        "--temperature": 0,
        "--result-dir": place,
        "--result-filename": "result.json",
    }
    if one.budget is not None:
        words["--extra-body"] = json.dumps({"mm_processor_kwargs": {KEY: {"budget": one.budget}}})
    flags = ["--ignore-eos", "--save-result", "--save-detailed", "--disable-tqdm"]
    pairs = [part for name, value in words.items() for part in (name, str(value))]
    return [vllm, "bench", "serve", *pairs, *flags]


def summarise(found: dict[str, Any], most_running: int) -> dict[str, Any]:
    """The part of vLLM's result that is recorded; seconds."""
    return {
        "completed": found["completed"],
        "duration_s": found["duration"],
        "requests_per_s": found["request_throughput"],
        "output_tokens_per_s": found["output_throughput"],
        "ttft_s": _spread(found["ttfts"]),
        "latency_s": _spread(found["latencies"]) if found.get("latencies") else None,
        "most_running": most_running,
    }


@contextmanager
def watch_running(url: str) -> Iterator[list[int]]:
    """The most requests that the server ran at once while the block lasted."""
    most, done = [0], threading.Event()

    def sample() -> None:
        with httpx.Client(timeout=10, trust_env=False) as client:
            while not done.wait(SAMPLE_EVERY_S):
                try:
                    rows = read_gauges(client.get(f"{url}/metrics").text)
                except httpx.HTTPError:
                    continue
                running = [value for name, _, value in rows if name == "vllm:num_requests_running"]
                most[0] = max(most[0], int(sum(running)))

    thread = threading.Thread(target=sample, name="watch-running", daemon=True)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "slowest": max(values)}


def _key(setup: dict[str, Any], one: Round) -> str:
    return json.dumps([*setup.values(), one.name, one.concurrency, one.prompts])


def _session(vllm: str) -> dict[str, Any]:
    import torch

    from hired.models.hardware import name_device, pick_device, versions

    device = pick_device("auto")
    told = subprocess.run([vllm, "--version"], capture_output=True, text=True, check=False)
    number = told.stdout.strip().splitlines()[-1:] or ["unknown"]
    return {
        "of": OF,
        "command": command_line(),
        "device": str(device),
        "device_name": name_device(device),
        "threads": torch.get_num_threads(),
        "versions": {**versions(), "vllm": number[0]},
    }
