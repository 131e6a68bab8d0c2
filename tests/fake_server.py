"""A small OpenAI-compatible server over real HTTP: streams, counts, refuses, breaks off.

Plays vLLM for the client's tests; it answers words, knows no model, and says what it was sent.
"""

import base64
import io
import json
import stat
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from PIL import Image

TEXT_TOKENS = 9
METRICS = """# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",cpu_kvcache_space_bytes="1024000",engine="0",num_gpu_blocks="64"} 1.0
vllm:num_requests_running{engine="0",model_name="toy"} 2.0
"""  # noqa: E501

# Stands in for the program `vllm`: `serve` answers /health, `bench serve` writes a result whose
# speed depends on the budget it is asked for, as vLLM's own client would.
PROGRAM = """#!{python}
import http.server, json, re, sys
words = sys.argv[1:]
def after(name, default=None):
    return words[words.index(name) + 1] if name in words else default
if words == ["--version"]:
    print("0.32.0")
elif words[0] == "serve":
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b'vllm:num_requests_running{{engine="0"}} 3.0\\n'
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def log_message(self, *_): pass
    http.server.ThreadingHTTPServer(("127.0.0.1", int(after("--port"))), Handler).serve_forever()
else:
    import pathlib, time
    asked = int(after("--num-prompts"))
    body = json.loads(after("--extra-body", "{{}}"))
    budget = body.get("mm_processor_kwargs", {{}}).get("hired", {{}}).get("budget", 1.0)
    time.sleep(0.5)
    pathlib.Path(after("--result-dir"), after("--result-filename")).write_text(json.dumps({{
        "completed": asked - {lost}, "duration": 2.0, "request_throughput": 1 / budget,
        "output_throughput": 16 / budget, "ttfts": [budget] * asked,
        "latencies": [2 * budget] * asked}}))
"""


class FakeServer:
    """Serves from `with` to its end.

    Attributes:
        words: of every answer.
        visual: placeholders of one image without a budget; a request's budget is a share of them.
        extras: does it offer /tokenize, /metrics and usage, as vLLM does?
        fault: None, "refuse" (400), "break" (the stream ends early), "down" (500).
        seen: the bodies of the chat requests.
        left: set when a client leaves in the middle of an answer.
    """

    def __init__(
        self,
        words: str = "It shows a 7 .",
        visual: int = 100,
        extras: bool = True,
        model: str = "toy",
    ):
        self.words, self.visual, self.extras, self.model = words.split(), visual, extras, model
        self.fault: str | None = None
        self.pause_s = 0.0
        self.seen: list[dict[str, Any]] = []
        self.left = threading.Event()
        fake = self

        class Handler(_Handler):
            owner = fake

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def __enter__(self) -> "FakeServer":
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()

    def count(self, body: dict[str, Any]) -> int:
        """Visual tokens of a request."""
        settings = body.get("mm_processor_kwargs", {}).get("hired", {})
        return round(self.visual * settings.get("budget", 1.0))


class _Handler(BaseHTTPRequestHandler):
    owner: FakeServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self.say(200, {"data": [{"id": self.owner.model}]})
        elif self.path == "/metrics" and self.owner.extras:
            self.say(200, METRICS)
        else:
            self.say(404, {"message": "Not Found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/tokenize" and self.owner.extras:
            tokens = [1, 7, *[4] * self.owner.count(body), *range(10, 10 + TEXT_TOKENS - 2)]
            self.say(200, {"tokens": tokens, "count": len(tokens)})
        elif self.path != "/v1/chat/completions":
            self.say(404, {"message": "Not Found"})
        elif self.owner.fault == "refuse":
            self.say(400, {"error": {"message": "that budget is no budget", "code": 400}})
        elif self.owner.fault == "down":
            self.say(500, {"error": {"message": "engine dead", "code": 500}})
        else:
            self.owner.seen.append(body)
            self.stream(body)

    def stream(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        words = self.owner.words[: body["max_tokens"]]
        try:
            self.event({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
            for index, word in enumerate(words):
                if self.owner.fault == "break" and index == 2:
                    self.event({"error": {"message": "out of memory"}})
                    return
                time.sleep(self.owner.pause_s)
                self.event({"choices": [{"delta": {"content": (" " if index else "") + word}}]})
            if self.owner.extras:
                prompt = TEXT_TOKENS + self.owner.count(body)
                usage = {"prompt_tokens": prompt, "completion_tokens": len(words) + 1}
                self.event({"choices": [], "usage": usage})
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            self.owner.left.set()

    def event(self, data: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(data).encode() + b"\n\n")
        self.wfile.flush()

    def say(self, status: int, data: dict[str, Any] | str) -> None:
        content = data.encode() if isinstance(data, str) else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def picture_of(body: dict[str, Any]) -> Image.Image:
    """The image in a chat request."""
    url = body["messages"][0]["content"][0]["image_url"]["url"]
    return Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1])))


def make_program(folder: Path, lost: int = 0) -> str:
    """The program `vllm`, played; its client loses as many requests as asked."""
    path = folder / "vllm"
    path.write_text(PROGRAM.format(python=sys.executable, lost=lost))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)
