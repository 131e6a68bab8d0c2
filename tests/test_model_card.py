"""The card's tables follow what ships: its files, the world's code, the plan, the record."""

from dataclasses import replace

import model_card
from readmes import RESULTS

import hired
from hired.bench.accuracy_summary import summarise
from hired.bench.results import read_lines, rounds_in
from hired.shapes.pictures import TESTED
from hired.shapes.train.schedule import Schedule


def test_the_configuration_is_that_of_the_model_that_ships() -> None:
    model, processor = hired.load("shapes")
    told = model_card.configuration()
    vision, text = model.config.vision_config, model.config.text_config
    for config in (vision, text):
        size = f"{config.num_hidden_layers} blocks x {config.hidden_size}"
        assert f"{size}, {config.num_attention_heads} heads" in told
    count = sum(value.numel() for value in model.state_dict().values())
    assert f"{count / 1e6:.1f} million parameters, float32" in told
    assert f"{len(processor.tokenizer)} tokens" in told


def test_documents_are_told_of_only_where_the_model_reads_them(monkeypatch) -> None:
    assert model_card.reads(), "the model that ships reads documents"
    both = model_card.world(), model_card.schedule()
    monkeypatch.setattr(model_card, "reads", lambda: False)
    posters = model_card.world(), model_card.schedule()
    assert all("documents" in told and "documents" not in less
               for told, less in zip(both, posters, strict=True))  # fmt: skip
    plan = Schedule()
    assert f"{plan.vision.steps:,} steps" in both[1] and f"{plan.language.align:,} steps" in both[1]


def test_answers_are_those_of_the_record_split_by_split() -> None:
    scores = summarise(rounds_in(read_lines(RESULTS / "eval-2000.jsonl", "eval")))
    told = model_card.answers(scores)
    full = next(score for score in scores if score.what == "full")
    kind, (right, asked) = next(iter(full.by_kind.items()))
    assert f"| {kind} | {asked} | {100 * right / asked:.0f} | " in told
    assert f"| all | {full.asked} | **{100 * full.accuracy:.1f}** | " in told
    lanes = "| HiRED 40 % | HiRED 20 % | HiRED 10 % | HiRED 40 %, original positions |"
    assert lanes in told and "| random 10 % | every k-th 10 % |" in told
    more = model_card.answers([*scores, replace(full, split="large")])
    assert more.startswith(told) and f"about {full.posters} {TESTED['large']}" in more
