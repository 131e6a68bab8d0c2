"""The benchmark around vLLM's own client: rounds, commands, records, tables; no vLLM needed."""

import json
import time

import pytest
from fake_server import FakeServer, make_program
from serving import free_port

from hired import cli
from hired.errors import InputError, ModelError, SettingError
from hired.models.allowed import SHAPES
from hired.serving import benchmark
from hired.serving.benchmark import Bench, Round, blocks_for, client_command, measure, rounds
from hired.serving.report import draw, make_report, read_record


def test_rounds_are_stock_first_and_every_budget() -> None:
    found = rounds(Bench(concurrency=(1, 16), budgets=(0.2,)))
    assert [(one.name, one.concurrency, one.prompts) for one in found] == [
        ("stock", 1, 4), ("stock", 16, 16), ("0.2", 1, 4), ("0.2", 16, 16),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "bad", [{"concurrency": (0,)}, {"budgets": (2.0,)}, {"budgets": (1,)}, {"new_tokens": 0}]
)
def test_bad_plans_are_refused(bad) -> None:
    with pytest.raises(SettingError, match=r"1 or more|rates above 0"):
        Bench(**bad)


def test_the_cache_holds_eight_stock_requests() -> None:
    one = benchmark.stock_tokens(str(SHAPES), (672, 672)) + 2 * benchmark.TEXT + 16
    blocks = blocks_for(Bench(), str(SHAPES))
    assert one == 5 * 144 + 24 + 32 + 16
    assert (blocks - 1) % 8 == 0 and (blocks - 1) // 8 * benchmark.BLOCK >= one
    assert blocks_for(Bench(kv_tokens=1000), "anything") == 9
    with pytest.raises(ModelError, match="Give --kv-tokens"):
        blocks_for(Bench(), "llava-hf/llava-v1.6-vicuna-7b-hf")


def test_the_client_is_vllm_s_own_and_sends_the_budget() -> None:
    words = client_command(Bench(), Round(0.2, 4, 8), "vllm", "folder", "http://x", "out")
    assert words[:3] == ["vllm", "bench", "serve"]
    body = json.loads(words[words.index("--extra-body") + 1])
    assert body == {"mm_processor_kwargs": {"hired": {"budget": 0.2}}}
    stock = client_command(Bench(), Round(None, 4, 8), "vllm", "folder", "http://x", "out")
    assert "--extra-body" not in stock
    assert words[words.index("--seed") + 1] != stock[stock.index("--seed") + 1]
    for flag in ("--num-warmups", "--ready-check-timeout-sec"):  # they send an image that counts
        assert words[words.index(flag) + 1] == "0"


def test_measures_records_goes_on_and_reports(tmp_path, capsys) -> None:
    bench = Bench(concurrency=(1, 4), budgets=(0.2,), prompts=4)
    path, said = tmp_path / "serving.jsonl", []
    measure(bench, make_program(tmp_path), free_port(), path, said.append)
    assert sum("at once" in line for line in said) == 4
    lines = read_record(path)
    assert {line["lanes"]["most_running"] for line in lines if line["kind"] == "round"} == {3}
    report = make_report(lines)
    assert make_report([lines[0], *reversed(lines[1:])]) == report, "in whatever order measured"
    assert "| all (stock vLLM) | 1 | 1.00 | 1.00× | 1.00 s | 1.00× sooner |" in report
    assert "| 20% | 4 | 5.00 | 5.00× | 0.20 s | 5.00× sooner |" in report
    draw(lines, tmp_path / "serving.svg")
    assert (tmp_path / "serving.svg").read_text().count("<path") > 10
    before = path.read_text()
    said.clear()
    measure(bench, make_program(tmp_path), free_port(), path, said.append)
    assert said == [] and path.read_text().startswith(before)
    assert cli.main(["serve", "report", str(path)]) == 0
    assert "stock vLLM" in capsys.readouterr().out


def test_other_words_for_vllm_are_measured_anew_and_told_apart(tmp_path) -> None:
    program, path = make_program(tmp_path), tmp_path / "serving.jsonl"
    for dtype in ("float32", "float16"):
        bench = Bench(concurrency=(1,), budgets=(), prompts=2, extra=("--dtype", dtype))
        measure(bench, program, free_port(), path, lambda _: None)
    report = make_report(read_record(path))
    assert report.count("| all (stock vLLM) |") == 2
    assert all(f"tokens and `--dtype {dtype}`:" in report for dtype in ("float32", "float16"))


def test_budgets_are_read_as_everywhere(capsys) -> None:
    bench = ["serve", "bench", "--vllm", "/no/such/vllm"]
    assert cli.main([*bench, "--budgets", "20%", "0.1"]) == 1
    assert "There is no program '/no/such/vllm'" in capsys.readouterr().err
    assert cli.main([*bench, "--budgets", "most"]) == 2
    assert "A budget is a rate such as" in capsys.readouterr().err


def test_a_lost_request_ends_it_and_keeps_nothing_false(tmp_path) -> None:
    path = tmp_path / "serving.jsonl"
    bench = Bench(concurrency=(2,), budgets=(), prompts=4)
    with pytest.raises(ModelError, match=r"1 of 1 requests got no answer.*serving\.stock\.log"):
        measure(bench, make_program(tmp_path, lost=1), free_port(), path, lambda _: None)
    with pytest.raises(InputError, match="no finished round"):
        read_record(path)


def test_the_most_requests_at_once_are_seen() -> None:
    with FakeServer() as server, benchmark.watch_running(server.url) as most:
        end = time.monotonic() + 30
        while most[0] == 0 and time.monotonic() < end:
            time.sleep(0.02)
    assert most == [2]
