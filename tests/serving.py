"""The page really served, and a program that talks to it over HTTP and nothing else."""

import io
import json
import socket
from contextlib import contextmanager

import httpx
from PIL import Image

from hired.web.limits import Limits
from hired.web.page import build, launch_options

SELECT = ["hired", "0.2", 0.5, 0, "none", "sum", "none", 0]  # what follows the image


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serve(engine, **limits):
    """The page around an engine, really served; the Blocks."""
    engine.limits = Limits(**{"rate": 100_000, "per_client": 24, "unheard": 60, **limits})
    demo = build(engine)
    demo.launch(
        server_name="127.0.0.1",
        server_port=free_port(),
        prevent_thread_lock=True,
        quiet=True,
        **launch_options(engine.limits),
    )
    try:
        yield demo
    finally:
        demo.close(verbose=False)


class Caller:
    """A program that talks to a served page over HTTP and nothing else."""

    def __init__(self, url: str) -> None:
        fresh = httpx.Limits(max_keepalive_connections=0)  # nobody closes a Caller
        self.http = httpx.Client(base_url=f"{url}gradio_api/", timeout=120, limits=fresh)

    def upload(self, data: bytes, name: str = "image.png") -> dict:
        """A file on the server, as the endpoints take it."""
        answer = self.http.post("upload", files={"files": (name, data)})
        answer.raise_for_status()
        return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}

    def ask(self, endpoint: str, values, raw: bytes | None = None) -> tuple[int, str]:
        """Status and detail of a refusal, or 200 and the event id."""
        content = raw if raw is not None else json.dumps({"data": values}).encode()
        answer = self.http.post(
            f"call/{endpoint}", content=content, headers={"content-type": "application/json"}
        )
        body = answer.json()
        return answer.status_code, body["event_id"] if answer.is_success else str(body["detail"])

    def result(self, endpoint: str, event: str) -> tuple[str, object]:
        """("complete", values) or ("error", sentence)."""
        text = self.http.get(f"call/{endpoint}/{event}").text
        last = [part for part in text.split("\n\n") if part.strip()][-1]
        kind, data = last.split("\n", 1)
        value = json.loads(data.removeprefix("data: "))
        if kind == "event: complete":
            return "complete", value
        return "error", value["error"] if isinstance(value, dict) else value

    def call(self, endpoint: str, values, raw: bytes | None = None) -> tuple[str, object]:
        """Ask and wait: ("complete", values) or ("error", sentence)."""
        status, said = self.ask(endpoint, values, raw)
        return self.result(endpoint, said) if status == 200 else ("error", f"{status}: {said}")


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    """An image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@contextmanager
def before_each_step(model, do):
    """Call `do(length of the input)` before every pass of the language model."""
    with _before(model.model.language_model, lambda given: do(given["inputs_embeds"].shape[1])):
        yield


@contextmanager
def before_each_look(model, do):
    """Call `do()` before every pass of the vision tower."""
    tower = model.model.vision_tower
    with _before(getattr(tower, "vision_model", tower).embeddings, lambda _: do()):
        yield


@contextmanager
def _before(module, do):
    handle = module.register_forward_pre_hook(lambda _, args, kw: do(kw), with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
