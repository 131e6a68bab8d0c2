"""The Dockerfile's steps for real, without a container engine: `make docker-check`.

Each stage is a copy of a clean Debian root; RUN happens in it by chroot, COPY takes what
.dockerignore lets through, and at the end CMD serves as the image's user, without a network, from a
code tree it cannot write. Needs Linux, root, and mmdebstrap.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
# What stands for a network inside the roots: where pip of this machine finds its packages.
LENT = ("/etc/resolv.conf", "/etc/pip.conf", "/opt/wheels", "/etc/ssl/certs")
HOSTS = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"  # as an engine writes it
PIP = {key: value for key, value in os.environ.items() if key.startswith("PIP_")}
ASK = """
import json, os, urllib.request
from gradio_client import Client, handle_file
root = "http://127.0.0.1:7860/"
health = json.load(urllib.request.urlopen(root + "healthz"))
example = json.load(open("assets/examples/examples.json"))[0]
image = handle_file("assets/examples/" + example["file"])
answers = Client(root, verbose=False).predict(image, example["question"], api_name="/compare")
try:
    open("app.py", "a")
    writable = True
except OSError:
    writable = False
lanes = [lane["phase"] for lane in answers[2]["lanes"]]
seen = {"health": health, "writable": writable, "lanes": lanes, "answers": answers[:2]}
print(json.dumps({"uid": os.getuid(), **seen}))
"""


def instructions(text: str) -> list[tuple[str, str]]:
    """(instruction, arguments) in order; comments dropped, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


class Stage:
    """One stage under construction: its root, environment, folder and user."""

    def __init__(self, root: Path, build_args: dict[str, str]) -> None:
        self.root, self.args, self.user = root, build_args, 0
        self.env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root"}
        self.folder, self.last = "/", {}

    def run(self, script: str, user: int = 0, network: bool = True) -> str:
        """What `script` prints, run inside; raises on failure."""
        lent = [path for path in LENT if Path(path).exists()] if network else []
        mounts = [f"mount -t proc proc {self.root}/proc", f"mount --rbind /dev {self.root}/dev"]
        for path in lent:
            place = self.root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            (place.mkdir if Path(path).is_dir() else place.touch)(exist_ok=True)
            mounts.append(f"mount --bind {path} {place}")
        if not network:
            code = self.root / self.folder.lstrip("/")
            mounts += ["ip link set lo up", f"mount --bind {code} {code}"]
            mounts.append(f"mount -o remount,bind,ro {code}")
        values = {**self.args, **self.env, **(PIP if network else {})}
        inside = f"cd {self.folder} || exit; {script}"
        command = [
            "chroot", f"--userspec={user}:{user}", str(self.root), "env", "-i",
            *(f"{key}={value}" for key, value in values.items()), "sh", "-c", inside,
        ]  # fmt: skip
        space = ["unshare", "--mount", *([] if network else ["--net"])]
        whole = [*space, "sh", "-ec", f"{'; '.join(mounts)}; exec {shlex.join(command)}"]
        done = subprocess.run(whole, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"This step failed: {script}\n{done.stdout}")
        return done.stdout

    def do(self, name: str, rest: str, stages: dict[str, "Stage"]) -> None:
        """One instruction."""
        if name == "ENV":
            for pair in shlex.split(rest):
                key, value = pair.split("=", 1)
                self.env[key] = re.sub(r"\$(\w+)", lambda m: self.env.get(m[1], ""), value)
        elif name == "ARG":
            key, _, value = rest.partition("=")
            self.args.setdefault(key, value)
        elif name == "WORKDIR":
            self.folder = rest
            (self.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            self.copy(rest, stages)
        elif name == "RUN":
            print(f"RUN {rest[:90]}", flush=True)
            self.run(rest, self.user)
        elif name == "USER":
            self.user = int(rest)
        elif name == "HEALTHCHECK":
            self.last["health"] = shlex.join(json.loads(rest.split("CMD", 1)[1]))
        elif name == "CMD":
            self.last["command"] = shlex.join(json.loads(rest))
        elif name != "EXPOSE":
            sys.exit(f"The check does not know the instruction {name}.")

    def copy(self, rest: str, stages: dict[str, "Stage"]) -> None:
        """COPY [--from=STAGE] SOURCE... TARGET, owned by root."""
        origin, words = ROOT, rest.split()
        if words[0].startswith("--from="):
            origin = stages[words.pop(0).removeprefix("--from=")].root
        *sources, target = words
        for source in sources:
            place = Path(os.path.normpath(f"{self.root}{os.path.join(self.folder, target)}"))
            whole = origin / source.lstrip("/")
            if whole.is_dir():
                leave = shutil.ignore_patterns("__pycache__", "*.pyc")
                shutil.copytree(whole, place, symlinks=True, dirs_exist_ok=True, ignore=leave)
            else:
                shutil.copy(whole, place / Path(source).name if target.endswith("/") else place)


def bootstrap(folder: Path) -> Path:
    """A clean root with Debian's Python in the place where the official image has its own."""
    root = folder / "slim"
    if not (root / "usr/local/bin/pip").exists():
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(
            ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", root],
            check=True,
        )
        (root / "dev").mkdir(exist_ok=True)
        Stage(root, {}).run("python3 -m venv /usr/local && ln -sf python3 /usr/local/bin/python")
    return root


def serve(stage: Stage) -> int:
    """Run CMD without a network, wait for HEALTHCHECK, ask, end it; 0 when all was as it should."""
    health, ask = stage.last["health"], shlex.quote(ASK)
    alive = "kill -0 $app 2>/dev/null"
    seen = stage.run(
        f"{stage.last['command']} >/tmp/log 2>&1 & app=$!;"
        f" while {alive} && ! {health} 2>/dev/null; do sleep 1; done;"
        f" {alive} && python -c {ask}; kill $app 2>/dev/null; wait $app; echo ended with $?;"
        f" cat /tmp/log",
        stage.user,
        network=False,
    )
    print(seen)
    facts = [json.loads(line) for line in seen.splitlines() if line.startswith('{"uid"')]
    if not facts:
        print("The app did not answer. What it said is above.")
        return 1
    wanted = {
        "it runs as uid 1000": facts[0]["uid"] == 1000,
        "it cannot write its code": not facts[0]["writable"],
        "its model is loaded": facts[0]["health"]["model"]["loaded"],
        "both lanes answer": facts[0]["lanes"] == ["done", "done"],
        "SIGTERM ends it with 0": "\nended with 0\n" in seen,
    }
    for what, holds in wanted.items():
        print("yes" if holds else "NO ", what)
    return 0 if all(wanted.values()) else 1


def main() -> int:
    """Build both stages, serve, ask, say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / ".cache" / "docker-check")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    slim = bootstrap(options.folder.resolve())
    given = dict(pair.split("=", 1) for pair in options.build_arg)
    stages: dict[str, Stage] = {}
    for name, rest in instructions((ROOT / "Dockerfile").read_text(encoding="utf-8")):
        if name == "FROM":
            title = rest.split(" AS ")[1] if " AS " in rest else "image"
            root = options.folder.resolve() / title
            shutil.rmtree(root, ignore_errors=True)
            subprocess.run(["cp", "-a", "--reflink=auto", slim, root], check=True)
            (root / "etc/hosts").write_text(HOSTS)
            stage = stages[title] = Stage(root, dict(given))
        else:
            stage.do(name, rest, stages)
    return serve(stage)


if __name__ == "__main__":
    sys.exit(main())
