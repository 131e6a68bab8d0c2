"""`make gpu-check` at the smallest size, on whatever is here; and that it can fail."""

import json

import pytest
import torch

from hired import gpu_check
from hired.cli import main
from hired.errors import ModelError, SettingError

GPU = torch.cuda.is_available()


@pytest.fixture(scope="module")
def record(saved, tmp_path_factory):
    """One whole run through the command line, on 84-px tiles."""
    path = tmp_path_factory.mktemp("check") / "results" / "record.json"
    argv = ["gpu-check", "--model", str(saved), "--device", "cpu", "--repeats", "1"]
    code = main([*argv, "--json", str(path)])
    record = json.loads(path.read_text())
    assert code == (0 if record["passed"] else 1)
    return record


def test_record_says_where_it_ran(record) -> None:
    assert record["device"] == "cpu" and record["device_name"]
    assert "No CUDA device was used" in record["note"]
    assert "torch" in record["versions"] and "gpu-check --model" in record["command"]
    assert record["image"] == {"name": "noise", "height": 672, "width": 672}
    assert [run["precision"] for run in record["runs"]] == ["float32", "4bit"]
    assert [run["model"]["quantization"] for run in record["runs"]] == [None, "4bit"]


def test_tokens_and_cache_are_exactly_what_the_budgets_say(record) -> None:
    for run in record["runs"]:
        rows = run["rows"]
        assert [row["budget"] for row in rows] == [1.0, 0.4, 0.2, 0.1]
        assert [row["kept_tokens"] for row in rows] == [180, 72, 36, 18]
        assert all(row["new_tokens"] == gpu_check.NEW_TOKENS for row in rows)
        model = run["model"]
        for row in rows:
            length = row["visual_tokens"] + row["prompt_tokens"] + row["new_tokens"] - 1
            assert row["kv_cache_bytes"] == length * 2 * model["text_layers"] * 4 * 128


def test_every_lane_read_one_set_of_weights(record) -> None:
    for run in record["runs"]:
        findings = {finding["name"]: finding["passed"] for finding in run["findings"]}
        assert findings["all lanes share one set of weights"]
        assert findings["KV cache falls with the budget"]


def test_four_bits_weigh_less(record) -> None:
    plain, packed = (run["model"]["resting_bytes"] for run in record["runs"])
    assert packed < plain


def rows(*values: float) -> list[dict[str, float]]:
    return [{"ttft_s": value} for value in values]


def test_a_cost_that_does_not_fall_fails() -> None:
    for noise in (0.0, gpu_check.NOISE):
        assert gpu_check._falls("t", rows(4, 3, 2, 1), "ttft_s", noise)["passed"]
        assert not gpu_check._falls("t", rows(1, 2, 3, 4), "ttft_s", noise)["passed"]
        assert not gpu_check._falls("t", rows(3, 3, 3, 3), "ttft_s", noise)["passed"]
    assert not gpu_check._falls("t", rows(4, 3, 3, 1), "ttft_s")["passed"]


def test_a_time_may_rise_a_little_between_neighbours() -> None:
    near, far = rows(0.9, 0.5, 0.2, 0.21), rows(0.9, 0.5, 0.2, 0.25)
    assert gpu_check._falls("t", near, "ttft_s", gpu_check.NOISE)["passed"]
    assert not gpu_check._falls("t", far, "ttft_s", gpu_check.NOISE)["passed"]


def test_a_second_copy_of_the_weights_fails() -> None:
    weights = 14_000_000_000
    good = {"loaded": weights + 8_000_000, "after all lanes": weights + 140_000_000}
    assert gpu_check._allocator(good, weights)["passed"]
    copied = {"loaded": weights, "after all lanes": 2 * weights}
    assert not gpu_check._allocator(copied, weights)["passed"]


def test_copied_parameters_are_noticed(tiny) -> None:
    import copy

    from hired.selectors import build
    from hired.wrapper import HiredModel

    model, _ = tiny
    shared = [HiredModel(model, build(name)) for name in ("full", "hired")]
    assert gpu_check._one_copy(shared, 5, 5)["passed"]
    assert not gpu_check._one_copy(shared, 5, 6)["passed"]
    apart = [shared[0], HiredModel(copy.deepcopy(model), build("hired"))]
    assert not gpu_check._one_copy(apart, 5, 5)["passed"]


def test_default_place_keeps_gpu_and_cpu_apart(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(gpu_check, "RESULTS", tmp_path)
    assert gpu_check.save({"device": "cpu"}).name == "gpu-check-cpu.json"
    assert gpu_check.save({"device": "cuda:0"}).name == "gpu-check-gpu.json"


def test_wrong_use_is_explained() -> None:
    with pytest.raises(SettingError, match="repeats"):
        gpu_check.run_check(repeats=0)
    with pytest.raises(ModelError, match="no device"):
        gpu_check.run_check(device="cuda:77")


@pytest.mark.gpu
@pytest.mark.skipif(not GPU, reason="no CUDA device")
def test_on_a_gpu_the_allocator_is_asked_too(tmp_path) -> None:
    record = gpu_check.run_check("random:7b/16", "cuda", repeats=2)
    for run in record["runs"]:
        names = [finding["name"] for finding in run["findings"]]
        assert "the allocator holds one copy of the weights" in names
        assert "peak memory falls with the budget" in names
    assert record["passed"], record
