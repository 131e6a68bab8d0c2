"""A model of the hub that cannot be fetched: every way is said in a sentence."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from hired.errors import ModelError
from hired.models import load as models


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A real HTTP server in the hub's place: set `.status` and `.headers`; the cache is empty."""
    from huggingface_hub import constants

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(server.status)
            for key, value in server.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *_) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "headers", "says"),
    [
        (403, {"X-Error-Code": "GatedRepo"}, "set HF_TOKEN"),
        (401, {"X-Error-Code": "RepoNotFound"}, "set HF_TOKEN"),
        (404, {"X-Error-Code": "RepoNotFound"}, "set HF_TOKEN"),
        (400, {}, "refused|cannot be reached"),
    ],
)
def test_hub_that_refuses_is_explained(hub, status, headers, says) -> None:
    hub.status, hub.headers = status, headers
    with pytest.raises(ModelError, match=says) as caught:
        models.load("llava-hf/llava-1.5-7b-hf", device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", ["ReadError", "RemoteProtocolError", "ProxyError"])
def test_a_line_that_breaks_is_explained(monkeypatch, error) -> None:
    import huggingface_hub
    from huggingface_hub.utils import httpx

    def broken(*_, **__):
        raise getattr(httpx, error)("gone")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", broken)
    with pytest.raises(ModelError, match="cannot be reached"):
        models.load("llava-hf/llava-1.5-7b-hf", device="cpu")


def test_a_name_that_no_hub_has_is_explained() -> None:
    with pytest.raises(ModelError, match=r"'a--b/c' is no name of the Hugging Face hub"):
        models.load("a--b/c", device="cpu", unlisted=True)


def test_offline_mode_names_the_way_out(monkeypatch, tmp_path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE.*'shapes', which needs no network"):
        models.load("llava-hf/llava-v1.6-mistral-7b-hf", device="cpu")
