"""Deploying to a Space, against a Hub that lives in this process."""

import base64
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


class FakeHub(ThreadingHTTPServer):
    """Enough of the Hub's HTTP API for a deployment; keeps what it is sent.

    A Space that is `there` already is public or private.
    """

    def __init__(self, refuse=None, there=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.refuse, self.there, self.hardware = refuse, there, []
        self.created, self.files, self.deleted, self.tokens = [], {}, [], set()
        self.old = ["hired/gone.py", "README.md"]

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, body, status=200):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if "/tree/" in self.path:
            files = [{"type": "file", "path": p, "size": 1, "oid": "0"} for p in self.server.old]
            return self.answer(files)
        if self.server.there is None and not self.server.created:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.answer(
            {
                "private": self.server.there == "private",
                "id": "ada/demo",
                "sha": "0" * 40,
                "siblings": [{"rfilename": path} for path in self.server.old],
            }
        )

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        hub = self.server
        hub.tokens.add(self.headers.get("Authorization"))
        if hub.refuse:
            return self.answer({"error": "no"}, hub.refuse)
        if self.path.endswith("/repos/create"):
            hub.created.append(json.loads(body))
            return self.answer({"url": f"http://{self.headers['Host']}/spaces/ada/demo"})
        if self.path.endswith("/hardware"):
            hub.hardware.append(json.loads(body)["flavor"])
            return self.answer({"stage": "BUILDING", "hardware": {}, "storage": None})
        if "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return self.answer({"files": files})
        if "/commit/" in self.path:
            for line in body.splitlines():
                item = json.loads(line)
                if item["key"] == "file":
                    content = base64.b64decode(item["value"]["content"])
                    hub.files[item["value"]["path"]] = content
                elif item["key"] == "deletedFile":
                    hub.deleted.append(item["value"]["path"])
            url = f"http://{self.headers['Host']}/spaces/ada/demo/commit/{'1' * 40}"
            return self.answer({"commitUrl": url, "commitOid": "1" * 40})
        self.answer({})


def deploy(*arguments, endpoint="http://127.0.0.1:1", token="hf_secretsecretsecret"):
    """The command in a process of its own, so that the Hub's address is read afresh."""
    return subprocess.run(
        [sys.executable, "-m", "hired", "deploy", *arguments],
        cwd=ROOT,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": "/nonexistent",
            "HF_ENDPOINT": endpoint,
            "HF_TOKEN": token,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_dry_run_lists_what_would_be_sent():
    done = deploy("ada/demo", "--dry-run")
    *files, last = done.stdout.splitlines()
    assert done.returncode == 0 and last.endswith("Nothing was uploaded.")
    assert {"app.py", "README.md", "requirements.txt", "hired/tiles.py"} <= set(files)
    page = ROOT / "hired" / "web"
    shown = [path for kind in ("html", "css", "js") for path in page.rglob(f"*.{kind}")]
    assert shown and {str(path.relative_to(ROOT)) for path in shown} <= set(files)
    assert not [path for path in files if "__pycache__" in path or path.startswith(("tests", "."))]
    assert all((ROOT / path).is_file() for path in files)


def test_it_creates_the_space_and_uploads_just_what_it_needs():
    with FakeHub() as hub:
        done = deploy(
            "ada/demo",
            "--private",
            "--hardware",
            "zero-a10g",
            endpoint=f"http://127.0.0.1:{hub.server_port}",
        )
    assert done.returncode == 0, done.stderr
    (created,) = hub.created
    assert (created["type"], created["sdk"]) == ("space", "gradio")
    assert created.get("visibility") == "private" or created.get("private") is True
    assert created["hardware"] == "zero-a10g"
    listed = deploy("ada/demo", "--dry-run").stdout.splitlines()[:-1]
    assert sorted(hub.files) == listed
    assert hub.files["app.py"] == (ROOT / "app.py").read_bytes()
    here, there = (ROOT / "requirements.txt").read_text(), hub.files["requirements.txt"].decode()
    changed = set(here.splitlines()) ^ set(there.splitlines())
    (local,) = (line for line in here.splitlines() if line.startswith("torch"))
    assert changed == {local, "torch==2.11.0"}  # the newest that ZeroGPU has
    assert "hired/gone.py" in hub.deleted
    assert hub.tokens == {"Bearer hf_secretsecretsecret"}
    assert "secret" not in done.stdout + done.stderr


@pytest.mark.parametrize("there", ["public", "private"])
def test_a_space_that_is_there_gets_the_hardware_and_is_private_or_refused(there):
    with FakeHub(there=there) as hub:
        asked = ("ada/demo", "--private", "--hardware", "t4-small")
        done = deploy(*asked, endpoint=f"http://127.0.0.1:{hub.server_port}")
    if there == "private":
        assert done.returncode == 0, done.stderr
        assert hub.files and hub.hardware == ["t4-small"]
    else:
        assert done.returncode == 1 and "everybody can see it" in done.stderr
        assert not hub.files and not hub.hardware and not hub.created


@pytest.mark.parametrize("status, message", [(401, "did not accept"), (403, "may not write")])
def test_refusals_are_one_sentence(status, message):
    with FakeHub(refuse=status) as hub:
        done = deploy("ada/demo", endpoint=f"http://127.0.0.1:{hub.server_port}")
    assert done.returncode == 1 and message in done.stderr
    assert "Traceback" not in done.stderr and "secret" not in done.stderr


def test_a_hub_that_is_not_there():
    done = deploy("ada/demo")
    assert done.returncode == 1 and "cannot be reached" in done.stderr


@pytest.mark.parametrize("name", ["demo", "a/b/c", "../x", "ada/de mo", ""])
def test_a_space_needs_an_owner(name):
    done = deploy(name, "--dry-run")
    assert done.returncode == 2 and "OWNER/SPACE" in done.stderr
