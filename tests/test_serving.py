"""What surrounds vLLM: settings, the two commands, the client over real HTTP, the arithmetic.

vLLM itself is not needed here; `make serve-test` runs tests/test_vllm.py with it.
"""

import json
import threading
import time
import tomllib
from pathlib import Path

import pytest
from conftest import make_image
from fake_server import TEXT_TOKENS, FakeServer, picture_of

from hired.comparison.lane import Lane
from hired.errors import ModelError, SettingError
from hired.phases import FINAL
from hired.selectors import SELECTORS, build
from hired.serving import capacity, launch
from hired.serving.client import Endpoint, read_gauges
from hired.serving.models import save_for_vllm
from hired.serving.remote import Pair, compare_remote
from hired.serving.settings import (
    from_tensor,
    make_selector,
    offered,
    resolve,
    settings_from,
    to_tensor,
)

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "hired" / "serving"
IMAGE, QUESTION = make_image(40, 60), "Which digit?"


@pytest.fixture
def pair():
    with FakeServer("It shows a 7 .", 100) as stock, FakeServer("It shows a 1 .", 100) as hired:
        yield stock, hired


def run(servers, lanes, **options):
    endpoints = Pair(*(Endpoint(server.url) for server in servers))
    models = endpoints.models()
    last = {}
    for step in compare_remote(endpoints, models, IMAGE, QUESTION, lanes, **options):
        last[step.lane] = step
    return [last[index] for index in range(len(lanes))]


def lanes(budget=0.2):
    return [Lane("full", build("full")), Lane("hired", build("hired", budget=budget))]


# Settings


def test_a_request_wins_over_the_server_over_the_defaults() -> None:
    asked = resolve({"budget": 0.4, "alpha": 0.3}, {"budget": 100})
    assert (asked["method"], asked["budget"], asked["alpha"]) == ("hired", 100, 0.3)
    assert asked["init_layer"] == 0
    assert resolve(None, None) == settings_from(build("hired"))


def test_another_method_takes_of_the_server_s_settings_what_it_has() -> None:
    server = {"method": "hired", "budget": 0.4, "alpha": 0.3}
    assert resolve(server, {"method": "full"}) == resolve(None, {"method": "full"})
    with pytest.raises(SettingError, match="'full' has no setting 'budget'; it has none"):
        resolve(None, {"method": "full", "budget": 0.4})
    assert resolve(server, {"method": "spatial"})["budget"] == 0.4
    with pytest.raises(SettingError, match="has no setting 'alpha'"):
        resolve(server, {"method": "full", "alpha": 0.5})


def test_the_same_said_otherwise_is_the_same_and_another_budget_is_not() -> None:
    assert resolve({"budget": 0.2}, None) == resolve(None, {"alpha": 0.5, "method": "hired"})
    one, all_ = resolve(None, {"budget": 1}), resolve(None, {"budget": 1.0})
    assert to_tensor(one).tolist() != to_tensor(all_).tolist()
    assert [type(from_tensor(to_tensor(each))["budget"]) for each in (one, all_)] == [int, float]


@pytest.mark.parametrize("name", [name for name in SELECTORS if name not in offered()])
def test_counts_that_depend_on_content_are_refused_in_words(name) -> None:
    with pytest.raises(SettingError, match=r"before it sees the image\. Use one of: full, hired"):
        resolve(None, {"method": name})


@pytest.mark.parametrize("name", offered())
def test_every_other_method_survives_the_way_to_the_worker(name) -> None:
    settings = resolve(None, {"method": name})
    assert make_selector(from_tensor(to_tensor(settings))) == make_selector(settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"budget": 2.0}, "A budget is a rate"),
        ({"method": "best"}, "method is one of"),
        ({"method": ["hired"]}, r"method is one of .*; got \['hired'\]"),
        ({"seed": 3}, "has no setting 'seed'"),
        ("20%", "is an object such as"),
        ({"newline": "cols"}, "newline is one of"),
    ],
)
def test_bad_settings_are_refused_in_words(settings, words) -> None:
    with pytest.raises(SettingError, match=words):
        resolve({}, settings)


# The plug-in


def test_the_plugin_names_what_exists() -> None:
    metadata = tomllib.loads((FOLDER / "plugin" / "pyproject.toml").read_text())
    entry = metadata["project"]["entry-points"]["vllm.general_plugins"]["hired"]
    module, function = entry.split(":")
    assert callable(getattr(__import__(module, fromlist=[function]), function))
    model = (FOLDER / "model.py").read_text()
    for name in launch.ARCHITECTURES.values():
        assert f"class {name}(" in model


# The client


def test_both_answers_stream_and_are_counted(pair) -> None:
    stock, hired = run(pair, lanes(0.2))
    assert (stock.phase, stock.text) == ("done", "It shows a 7 .")
    assert (hired.phase, hired.text) == ("done", "It shows a 1 .")
    assert (stock.metrics.visual_tokens, hired.metrics.visual_tokens) == (100, 20)
    assert stock.metrics.prompt_tokens == hired.metrics.prompt_tokens == TEXT_TOKENS
    assert hired.metrics.new_tokens == 6  # the end token is counted by the server
    assert 0 < hired.metrics.ttft_s <= hired.metrics.total_s
    assert hired.metrics.kv_cache_bytes == (TEXT_TOKENS + 20 + 6 - 1) * 1000
    assert hired.metrics.peak_bytes is None and hired.metrics.vision_s is None


def test_settings_go_to_the_hired_server_only(pair) -> None:
    run(pair, [Lane("full", build("full")), Lane("hired", build("hired", budget=8, alpha=0.3))])
    stock, hired = (server.seen[0] for server in pair)
    assert "mm_processor_kwargs" not in stock
    sent = hired["mm_processor_kwargs"]["hired"]
    assert (sent["method"], sent["budget"], sent["alpha"]) == ("hired", 8, 0.3)
    assert picture_of(stock).tobytes() == picture_of(hired).tobytes() == IMAGE.tobytes()
    assert stock["temperature"] == 0


def test_what_a_server_does_not_tell_is_unknown() -> None:
    with FakeServer(extras=False) as stock, FakeServer(extras=False) as hired:
        found, _ = run((stock, hired), lanes())
    assert found.phase == "done" and found.metrics.new_tokens == 5  # pieces seen here
    told = found.metrics.as_dict()
    for name in ("visual_tokens", "prompt_tokens", "kv_cache_bytes", "peak_bytes", "prefill_s"):
        assert told[name] is None


def test_one_server_down_leaves_the_other(pair) -> None:
    pair[1].fault = "down"
    stock, hired = run(pair, lanes())
    assert stock.phase == "done"
    assert hired.phase == "failed" and "answered with status 500: engine dead" in hired.error


@pytest.mark.parametrize(
    ("fault", "words"), [("refuse", "that budget is no budget"), ("break", "out of memory")]
)
def test_faults_are_told_in_words(pair, fault, words) -> None:
    pair[1].fault = fault
    hired = run(pair, lanes())[1]
    assert hired.phase == "failed" and words in hired.error


def test_a_method_no_server_offers_is_refused_here(pair) -> None:
    lane = Lane("adaptive", build("prumerge-adaptive"))
    found = run(pair, [lanes()[0], lane])[1]
    assert "before it sees the image" in found.error and not pair[1].seen


def test_stopping_a_lane_cancels_its_request(pair) -> None:
    pair[0].words, pair[0].pause_s = ["word"] * 400, 0.05
    both, stop = lanes(), threading.Event()
    endpoints = Pair(*(Endpoint(server.url) for server in pair))
    last = {}
    for step in compare_remote(
        endpoints, ("toy", "toy"), IMAGE, QUESTION, both, max_new_tokens=400, stop=stop
    ):
        last[step.lane] = step
        if step.new_tokens > 2:
            stop.set()
    assert [step.phase for step in last.values()] == ["stopped", "stopped"]
    assert last[0].text.startswith("word") and last[0].new_tokens < 400
    assert pair[0].left.wait(30)


def test_a_stop_is_heard_while_the_server_says_nothing(pair) -> None:
    pair[0].pause_s = 60.0
    endpoints, stop = Pair(*(Endpoint(server.url) for server in pair)), threading.Event()
    begin, last = time.perf_counter(), {}
    for step in compare_remote(endpoints, ("toy", "toy"), IMAGE, QUESTION, lanes(), stop=stop):
        last[step.lane] = step
        if step.elapsed_s > 0.5:
            stop.set()
    assert [step.phase for step in last.values()] == ["stopped", "stopped"]
    assert time.perf_counter() - begin < 30 and not last[0].text
    assert pair[0].left.wait(0) is False  # it sleeps on; the line is hung up here


def test_an_address_without_its_beginning_is_explained() -> None:
    with pytest.raises(ModelError, match="Begin it with http://"):
        Endpoint("localhost:8000").model()


def test_racing_lanes_are_marked(pair) -> None:
    found = run(pair, lanes(), race=True)
    assert all(step.phase in FINAL and step.metrics.contended for step in found)


def test_nobody_there_is_explained() -> None:
    with FakeServer() as gone:
        url = gone.url
    with pytest.raises(ModelError, match=r"No server answers at http.*python -m hired serve"):
        Endpoint(url).model()


def test_addresses_may_end_in_v1(pair) -> None:
    assert Endpoint(pair[0].url + "/v1/").model() == "toy"


def test_gauges_are_read() -> None:
    rows = read_gauges('# HELP x y\nvllm:a{b="c \\"d\\"",e="1"} 2.5\nup 1\nbroken\n')
    assert rows == [("vllm:a", {"b": 'c \\"d\\"', "e": "1"}, 2.5), ("up", {}, 1.0)]


# The arithmetic


def test_calculated_tables_are_those_of_the_page() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    for title, table in capacity.tables():
        assert table in page, f"{title}: run `python -m hired serve capacity`"


def test_arithmetic_by_hand() -> None:
    vicuna = capacity.MODELS[1]
    assert vicuna.kv_bytes_per_token() == 2 * 32 * 32 * 128 * 2 == 524_288
    assert capacity.visual_tokens(None) == 5 * 576 + 48  # overview, 48 x 48 canvas, its newlines
    assert capacity.visual_tokens(0.2) == 576
    gpu = capacity.Device("toy", 40, 100)
    one = capacity.plan(vicuna, gpu, 1, 0.2)
    left = 0.9 * 40 * 2**30 - 2 * 7.06e9 - 2 * 2**30
    assert one.requests == int(left // (524_288 * (576 + 100)))
    assert capacity.plan(vicuna, capacity.Device("small", 12, 10), 1, None).requests == 0
    with pytest.raises(SettingError, match="gpus is at least 1; got 0"):
        capacity.plan(vicuna, gpu, 0, None)


def test_fewer_tokens_fit_more_requests() -> None:
    for model in capacity.MODELS:
        fits = [capacity.plan(model, capacity.DEVICES[0], 2, rate).requests
                for rate in (None, 0.4, 0.2, 0.1)]  # fmt: skip
        assert fits == sorted(fits) and fits[0] > 0


def test_a_saved_model_says_that_it_generates(tiny, tmp_path) -> None:
    model, processor = tiny
    before = model.config.architectures
    save_for_vllm(model, processor, tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["architectures"] == ["LlavaNextForConditionalGeneration"]
    assert model.config.architectures == before
