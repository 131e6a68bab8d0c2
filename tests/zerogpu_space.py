"""A ZeroGPU Space as far as a CPU goes: the real `spaces` package with its patches of torch.

It packs the weights, forks its workers and speaks to a scheduler. Only the GPU itself is stood in
for: a worker finds the packed weights on the CPU. Run by `test_zerogpu.py` in a process of its own.
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).parents[1]
LENT = {"idle": True, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": "token"}
asked: list[tuple[str, str]] = []  # (path, seconds) of every call to the scheduler
quota: list[dict[str, int]] = []  # one refusal after the other, before anything is lent again


class Scheduler(BaseHTTPRequestHandler):
    """What lends the GPU to a Space."""

    def do_POST(self):
        url = urlsplit(self.path)
        asked.append((url.path, parse_qs(url.query).get("durationSeconds", ["-"])[0]))
        refused = url.path == "/schedule" and bool(quota)
        body = json.dumps(quota.pop() if refused else LENT).encode()
        self.send_response(429 if refused else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def enter() -> None:
    """Import `spaces` as on a Space, on a torch without CUDA."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scheduler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    folder = os.environ["HIRED_TEST_FOLDER"]
    os.environ |= {
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": f"http://127.0.0.1:{server.server_port}",
        "SPACE_ID": "ada/demo",
        "ZEROGPU_OFFLOAD_DIR": f"{folder}/tensors",
        "ZEROGPU_PROC_SELF_CGROUP_PATH": f"{folder}/cgroup",
    }
    Path(folder, "cgroup").write_text("0::/space\n")
    import torch

    if torch.version.cuda is None:
        torch.version.cuda = "12.8"
        torch._C._cuda_init = lambda: None
        torch.cuda._is_in_bad_fork = bool  # it is sent to another process: no lambda
    import spaces.zero

    spaces.zero.torch.init = lambda uuid: None
    spaces.zero.torch.move = unpack


def unpack(callback=None) -> None:
    """In a worker: the weights where the GPU's would be, from the file they were packed into."""
    import torch
    from spaces.zero.torch import patching

    for pack in patching.tensor_packs:
        with open(pack.path(), "rb") as file:
            for like, size, aligned in chain(*pack.batches, pack.big_tensors):
                data = bytearray(file.read(aligned)[:size])
                flat = torch.frombuffer(data, dtype=like.dtype) if size else torch.empty(0)
                for fake in pack.fakes[like]:
                    fake.data = flat.as_strided(like.shape, like.stride())
    assert not any(one is not None for one in patching.cuda_aliases.values())


def main() -> None:
    """Start the Space, look, compare, stop, be refused."""
    enter()
    sys.path.insert(0, str(ROOT / "tests"))
    import spaces.zero
    from conftest import make_image
    from spaces.zero.torch import patching

    from hired.errors import HiredError
    from hired.models.auto import choose
    from hired.selectors import build
    from hired.web import zerogpu
    from hired.web.engine import Engine
    from hired.web.runs import run
    from hired.web.settings import Settings
    from hired.web.visitors import Stops

    assert zerogpu.BORROWED
    told = {"auto": choose().name}
    engine, image = Engine(), make_image(180, 250)
    loaded = engine.get()  # in this thread, as `app.py` does
    told |= {"device": loaded.info["device"], "dtype": loaded.info["dtype"]}
    told["on_the_gpu"] = all(one in patching.cuda_aliases for one in loaded.model.parameters())
    spaces.zero.startup()

    settings = Settings(("full", "prumerge"), max_new_tokens=5)
    told["kept"] = loaded.preview.select(image, build("hired")).kept
    views = list(run(loaded, image, "How many shapes are there?", settings, Stops()))[-1]
    told["ended"] = [[view.phase, view.new_tokens, view.error] for view in views]
    stops = Stops()
    for views in run(loaded, image, "What?", Settings(max_new_tokens=400), stops):  # noqa: B007
        stops.everything.set()
    told["stopped"] = [view.phase for view in views]
    for left, wait in ((3, 3600), (0, -1)):
        quota.append({"left": left, "wait": wait})
        try:
            list(run(loaded, image, "What?", Settings(), Stops()))
        except HiredError as error:
            told.setdefault("refused", []).append(str(error))
    told["asked"] = asked
    print(json.dumps(told))


if __name__ == "__main__":
    main()
