"""`make gpu-check` at the smallest size, on whatever is here; and that each fault makes it fail."""

import copy
import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from hired.cli import main
from hired.errors import MemoryShortage, ModelError, SettingError
from hired.generate import TokenStamper
from hired.gpu_check import check, parts, run_check, save, trials
from hired.gpu_check.subject import NEW_TOKENS, Subject
from hired.models import quantization
from hired.models.load import describe
from hired.selectors import SELECTORS, HiRED

GPU = torch.cuda.is_available()
Spatial = SELECTORS["spatial"]


@pytest.fixture(scope="module")
def record(saved, tmp_path_factory):
    """One whole run through the command line, on 84-px tiles."""
    path = tmp_path_factory.mktemp("check") / "results" / "record.json"
    argv = ["gpu-check", "--model", str(saved), "--device", "cpu", "--repeats", "2"]
    code = main([*argv, "--json", str(path)])
    record = json.loads(path.read_text())
    assert code == (0 if record["passed"] else 1)
    return record


def findings(record):
    return [
        finding
        for part in [*record["parts"], *(part for run in record["runs"] for part in run["parts"])]
        for finding in part["findings"]
    ]


def test_a_rehearsal_passes_and_leaves_to_a_gpu_what_only_a_gpu_can_tell(record) -> None:
    assert record["passed"], [one for one in findings(record) if one["passed"] is False]
    unchecked = {one["name"] for one in findings(record) if one["passed"] is None}
    assert {"times and peaks", "waits that CUDA counts", "cuda:1", "a real checkpoint"} == unchecked
    assert 0 < record["seconds"] < check.LONGEST_S


def test_record_says_where_it_ran(record) -> None:
    assert record["device"] == "cpu" and record["device_name"]
    assert "No CUDA device was used" in record["note"]
    assert "torch" in record["versions"] and "gpu-check --model" in record["command"]
    assert record["image"] == {"name": "noise", "height": 168, "width": 168}
    assert record["machine"]["free_bytes"] > 0 and "math" in record["machine"]["attention"]
    assert [run["precision"] for run in record["runs"]] == list(check.CPU_PRECISIONS)
    kinds = [run["model"]["quantization"] for run in record["runs"]]
    assert kinds == [None, None, None, "8bit", "4bit"]


def test_tokens_and_cache_are_exactly_what_the_budgets_say(record) -> None:
    for run in record["runs"]:
        rows = run["rows"]
        assert [row["budget"] for row in rows] == [1.0, 0.4, 0.2, 0.1]
        assert [row["kept_tokens"] for row in rows] == [180, 72, 36, 18]
        assert all(row["new_tokens"] == NEW_TOKENS for row in rows)
        model, size = run["model"], 2 if run["precision"].endswith("float16") else 4
        for row in rows:
            length = row["visual_tokens"] + row["prompt_tokens"] + row["new_tokens"] - 1
            assert row["kv_cache_bytes"] == length * 2 * model["text_layers"] * size * 128


def test_four_bits_weigh_less(record) -> None:
    weights = {run["precision"]: run["model"]["resting_bytes"] for run in record["runs"]}
    assert weights["4bit"] < weights["8bit"] < weights["float32"]


@pytest.fixture
def subject(tiny):
    """The tiny model as the check sees one, to be broken."""
    model, processor = copy.deepcopy(tiny[0]), tiny[1]
    model.name_or_path = "tiny"
    return Subject(model, processor, describe(model), torch.device("cpu"), 1)


def failed(part) -> list[str]:
    """Names of what one part of the check finds wrong."""
    done = check._Clock(lambda line: None).run("part", lambda: part)
    return [one["name"] for one in done["findings"] if one["passed"] is False]


def silent(line: str) -> None:
    """For progress nobody reads."""


def test_a_sound_model_passes_every_part(subject) -> None:
    for part in (parts.check_stock(subject), parts.check_methods(subject),
                 parts.check_budgets(subject, silent), parts.check_weight(subject, 0),
                 trials.try_together(subject), trials.try_stop(subject),
                 trials.try_shortage(subject), trials.try_wrapper(subject),
                 trials.try_waits(subject)):  # fmt: skip
        assert failed(part) == []


def test_a_wrong_count_fails(subject, monkeypatch) -> None:
    class Stingy(Spatial):
        def select(self, vision):
            found = super().select(vision)
            mask = found.mask.clone()
            mask[tuple(mask.nonzero()[-1])] = False
            return replace(found, mask=mask)

    monkeypatch.setitem(SELECTORS, "spatial", Stingy)
    assert failed(parts.check_methods(subject)) == ["counts are exact"]


def test_a_nan_in_the_tower_or_the_language_model_fails(subject) -> None:
    with torch.no_grad():
        subject.model.model.language_model.norm.weight[3] = float("nan")
    assert failed(parts.check_stock(subject))
    with torch.no_grad():
        subject.model.model.multi_modal_projector.linear_2.bias[3] = float("nan")
    assert failed(parts.check_methods(subject))


def test_a_second_copy_of_the_weights_fails(subject, monkeypatch) -> None:
    kept = []

    class Copying(HiRED):
        def select(self, vision):
            if not kept:
                kept.append(copy.deepcopy(subject.model))
            return super().select(vision)

    monkeypatch.setattr(parts, "keep", lambda budget: Copying(budget=budget))
    assert failed(parts.check_budgets(subject, silent)) == ["all lanes share one set of weights"]
    assert not parts.weighs("allocator", 2 * 10**9, 10**9, 10**8).passed
    assert failed(parts.check_weight(replace_about(subject), 0)) == ["weights: one copy"]


def replace_about(subject):
    """The subject as if its weights took twice the bytes."""
    subject.about = subject.about | {"resting_bytes": 2 * subject.about["resting_bytes"]}
    return subject


def test_a_lane_that_reads_the_device_at_every_token_fails(subject, monkeypatch) -> None:
    stock = TokenStamper.__call__

    def reading(self, input_ids, scores, **kwargs):
        input_ids[0, 0].item()
        return stock(self, input_ids, scores, **kwargs)

    monkeypatch.setattr(TokenStamper, "__call__", reading)
    assert failed(trials.try_waits(subject)) == ["a token takes 3 reads"]


def test_a_late_stop_or_silent_shortage_fails(subject, monkeypatch) -> None:
    stock = TokenStamper.__call__

    def deaf(self, input_ids, scores, **kwargs):
        return stock(self, input_ids, scores, **kwargs) & (len(self.answer.tokens) > 5)

    monkeypatch.setattr(TokenStamper, "__call__", deaf)
    assert failed(trials.try_stop(subject)) == ["stop ends a lane within one token"]
    monkeypatch.setattr(trials, "Hungry", HiRED)
    assert failed(trials.try_shortage(subject)) == ["a lane without memory says so"]


def rows(*values: float) -> list[dict[str, float]]:
    return [
        {"budget": 1.0, "t": value, "visual_tokens": size, "prompt_tokens": 0, "prefill_s": value}
        for value, size in zip(values, (1000, 400, 200, 100), strict=True)
    ]


def test_a_cost_that_does_not_fall_fails() -> None:
    for noise in (0.0, parts.NOISE):
        assert parts.falls("t", rows(4, 3, 2, 1), "t", noise).passed
        assert not parts.falls("t", rows(1, 2, 3, 4), "t", noise).passed
        assert not parts.falls("t", rows(3, 3, 3, 3), "t", noise).passed
    assert not parts.falls("t", rows(4, 3, 3, 1), "t").passed
    near, far = rows(0.9, 0.5, 0.2, 0.21), rows(0.9, 0.5, 0.2, 0.25)
    assert parts.falls("t", near, "t", parts.NOISE).passed
    assert not parts.falls("t", far, "t", parts.NOISE).passed


def test_prefill_is_judged_against_its_tokens() -> None:
    assert parts.gains_in_prefill(rows(1.0, 0.45, 0.25, 0.15)).passed
    assert not parts.gains_in_prefill(rows(1.0, 0.9, 0.9, 0.9)).passed  # it pays for dropped tokens
    assert not parts.gains_in_prefill(rows(1.0, 0.4, 0.1, 0.01)).passed  # too good to be true


@pytest.mark.parametrize(("fixed", "work"), [(0.015, 0.065), (0.030, 0.050), (0.070, 0.080)])
def test_what_every_pass_costs_is_no_fault_of_prefill(fixed, work) -> None:
    """Launches of kernels, and the waits of 8-bit layers, are paid whatever is dropped."""
    lengths = (2948, 1172, 596, 308)
    found = rows(*(fixed + work * length / lengths[0] for length in lengths))
    for row, length in zip(found, lengths, strict=True):
        row |= {"visual_tokens": length - 68, "prompt_tokens": 68, "tokens_per_s": 0.95 / fixed}
    assert parts.gains_in_prefill(found).passed
    for row in found[1:]:  # nothing is dropped before the language model
        row["prefill_s"] = found[0]["prefill_s"]
    assert not parts.gains_in_prefill(found).passed


def test_budgets_of_one_peak_pass_where_the_vision_pass_sets_it() -> None:
    flat = rows(9_000_000, 7_022_480, 4_368_400, 4_368_400)
    assert parts.falls("peak", flat, "t", parts.LEVEL).passed
    assert not parts.falls("peak", rows(5, 5, 5, 5), "t", parts.LEVEL).passed


def test_a_peak_that_moves_with_the_order_fails() -> None:
    assert parts.steady([[1000, 500], [1005, 498]]).passed
    assert not parts.steady([[1000, 500], [1000, 520]]).passed


def test_a_card_that_holds_only_four_bits_is_checked_in_four_bits(saved, monkeypatch) -> None:
    stock = check.load

    def small(name, kind=None, device="auto", dtype="auto"):
        if kind != "4bit":
            raise MemoryShortage("The weights take 14 GB and 12 GB are free.")
        return stock(name, kind, device, dtype)

    monkeypatch.setattr(check, "load", small)
    found = run_check(str(saved), "cpu", 1)
    assert found["passed"] and ["model" in run for run in found["runs"]] == [False] * 4 + [True]
    assert "12 GB are free" in found["runs"][0]["parts"][0]["findings"][0]["detail"]
    monkeypatch.setattr(check, "load", lambda *_: stock("nowhere"))
    assert not run_check(str(saved), "cpu", 1)["passed"]


def test_without_bitsandbytes_its_precisions_are_not_checked(monkeypatch) -> None:
    monkeypatch.setattr(quantization, "_installed", lambda name: name != "bitsandbytes")
    run = check._examine("x", "8bit", torch.device("cpu"), 1, check._Clock(silent))
    [finding] = run["parts"][0]["findings"]
    assert finding["passed"] is None and "bitsandbytes is not installed" in finding["detail"]


def test_no_part_begins_after_the_time_is_up(monkeypatch) -> None:
    monkeypatch.setattr(check, "LONGEST_S", -1.0)
    part = check._Clock(silent).run("late", lambda: pytest.fail("it began"))
    assert part["findings"][0]["passed"] is None


def test_nothing_is_loaded_after_the_time_is_up_and_what_was_found_is_kept(monkeypatch) -> None:
    monkeypatch.setattr(check, "LONGEST_S", -1.0)
    monkeypatch.setattr(check, "load", lambda *_: pytest.fail("it was loaded"))
    kept: list[dict] = []
    found = run_check("shapes", "cpu", 1, keep=kept.append)
    assert [len(one["runs"]) for one in kept] == [1, 2, 3, 4, 5] and not found["passed"]
    assert all(one["unfinished"] and not one["passed"] for one in kept)
    assert "unfinished" not in found


def test_lanes_race_only_where_they_may(subject) -> None:
    [finding] = trials.try_together(replace(subject, device=torch.device("mps")))
    assert finding.passed is None and finding.detail == "MPS runs no race"


@pytest.mark.skipif(GPU, reason="a card that is seen")
def test_a_card_that_torch_does_not_see_fails(monkeypatch) -> None:
    """A driver too old for the installed PyTorch would pass for a machine without a card."""
    monkeypatch.setattr(check, "_driver", lambda: "NVRM version: 470.0")
    [finding] = check.check_card(torch.device("cpu"))
    assert finding.passed is False and "470" in finding.detail
    monkeypatch.setattr(check, "_driver", lambda: None)
    assert not list(check.check_card(torch.device("cpu")))


def test_nothing_of_the_page_is_needed() -> None:
    code = "import sys, hired.gpu_check, hired.terminal; print('gradio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == "False", done.stderr


def test_default_place_keeps_gpu_and_cpu_apart(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(check, "SHIPPED", tmp_path)
    assert save({"device": "cpu"}).name == "gpu-check-cpu.json"
    assert save({"device": "cuda:0"}).name == "gpu-check-gpu.json"


def test_wrong_use_is_explained() -> None:
    with pytest.raises(SettingError, match="repeats"):
        run_check(repeats=0)
    with pytest.raises(ModelError, match="no device"):
        run_check(device="cuda:77")


@pytest.mark.gpu
@pytest.mark.skipif(not GPU, reason="no CUDA device")
def test_on_a_gpu_the_allocator_is_asked_too() -> None:
    found = run_check("random:7b/16", "cuda", repeats=2)
    names = {one["name"] for one in findings(found)}
    assert {"the allocator after loading: one copy", "peak memory falls with the budget"} <= names
    assert found["passed"], found
