"""A real `vllm serve` with the installed plug-in: 64 at once, none lost, none mixed up.

Needs vLLM, in an environment of its own: `make serve-test` makes it and runs these.
"""

import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hired import HiRED, HiredModel, load
from hired.clip import read_tower
from hired.comparison.lane import Lane
from hired.errors import InputError
from hired.lmms.prompts import ask_batch
from hired.selectors import build
from hired.serving.client import Endpoint, Usage, as_data_uri
from hired.serving.launch import Server, command
from hired.serving.models import find_folder
from hired.serving.remote import Pair, compare_remote
from hired.shapes.pictures import ask_about, render

pytest.importorskip("vllm", reason="vLLM has an environment of its own: make serve-test")
pytestmark = [
    pytest.mark.serve,
    pytest.mark.timeout(3600),
    pytest.mark.filterwarnings("default"),  # of vLLM and the torch it pins
]

VLLM = Path(sys.executable).parent / "vllm"
AT_ONCE, NEW = 64, 24
WORDS = ["--dtype", "float32", "--enforce-eager", "--max-model-len", "2048",
         "--max-num-seqs", "64"]  # fmt: skip
CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
# The server finds the library as the plug-in installed it, not in this tree.
ALONE = {"PYTHONPATH": ""}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = command(str(VLLM), find_folder("shapes"), port, {"budget": 0.2}, WORDS, "shapes")
    log = tmp_path_factory.mktemp("server") / "log"
    with Server(words, port, log, {**CPU, **ALONE}) as server:
        yield Endpoint(server.wait().url)
    assert server.process.poll() is not None, "the server was left running"


@pytest.fixture(scope="module")
def asked():
    """(image, question, budget, what the library answers) of 64 different posters."""
    model, processor = load("shapes")
    made = []
    for index in range(AT_ONCE):
        scene, questions = ask_about("sparse" if index % 2 else "large", 100 + index)
        image, question = render(scene), questions[index % len(questions)].text
        budget = (0.1, 0.2, 0.4)[index % 3]
        wrapped, pairs = HiredModel(model, HiRED(budget=budget)), [(question, image)]
        [text] = ask_batch(wrapped, processor, pairs, max_new_tokens=NEW, do_sample=False)
        made.append((image, question, budget, text))
    return made


def answer(place, image, question, settings, usage=None):
    pieces = place.ask(
        "shapes", as_data_uri(image), question, NEW, settings, lambda: False, usage or Usage()
    )
    return "".join(pieces).strip()


def test_64_at_once_each_get_their_own_answer(place, asked) -> None:
    assert len({text for *_, text in asked}) > AT_ONCE // 4, "mixing up would not be seen"
    ready, found = threading.Barrier(AT_ONCE), {}

    def run(index):
        image, question, budget, _ = asked[index]
        ready.wait(60)
        found[index] = answer(place, image, question, {"budget": budget})

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(run, range(AT_ONCE)))
    wrong = {i: (found.get(i), asked[i][3]) for i in range(AT_ONCE) if found.get(i) != asked[i][3]}
    assert not wrong


def test_counts_are_the_library_s(place, asked) -> None:
    model, _ = load("shapes")
    fit = read_tower(model).fit
    for image, question, _, _ in asked[:5]:
        usage = Usage()
        answer(place, image, question, {"budget": 0.1}, usage)
        kept = place.visual_tokens("shapes", as_data_uri(image), question, {"budget": 0.1})
        assert kept == build("hired", budget=0.1).total(fit(image.size[::-1]))
        assert usage.prompt_tokens > kept and usage.new_tokens > 0
    # 4 layers of keys and values, 4 heads of 64, float32; less what the blocks do not divide
    assert place.kv_bytes_per_token() == pytest.approx(2 * 4 * 256 * 4, rel=0.05)


def test_what_cannot_be_is_answered_400_in_words(place, asked) -> None:
    image, question, *_ = asked[0]
    for settings, words in (
        ({"method": "prumerge-adaptive"}, "before it sees the image"),
        ({"budget": 7.5}, "A budget is a rate"),
        ({"init_layer": 99}, "init_layer must be a layer"),
    ):
        with pytest.raises(InputError, match=words):
            answer(place, image, question, settings)
    assert answer(place, image, question, None)


def test_the_demo_s_client_compares_two_addresses(place, asked) -> None:
    """Both lanes at this server, the stock one asking it for everything."""
    image, question, *_ = asked[0]
    lanes = [Lane("hired", build("hired", budget=budget)) for budget in (1.0, 0.1)]
    last = {}
    for step in compare_remote(
        Pair(place, place), ("shapes", "shapes"), image, question, lanes, max_new_tokens=NEW
    ):
        last[step.lane] = step
    everything, few = last[0].metrics, last[1].metrics
    assert [step.phase for step in last.values()] == ["done", "done"]
    assert few.visual_tokens < everything.visual_tokens / 5
    assert few.kv_cache_bytes < everything.kv_cache_bytes / 3
    assert few.prompt_tokens == everything.prompt_tokens
