"""`python -m hired bench inside`: how much of the way to the first token is the stock model's own.

A lane, and in turns with it the stock modules alone, called with as many tiles and tokens: what no
method that keeps as many tokens can save. The rest is ours: tiles, taps, budgets, selection,
packing.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from hired.bench.speed import make_image
from hired.bench.tables import markdown
from hired.clip import read_tower
from hired.comparison.lane import Prompt, run_lane
from hired.errors import ModelError, at_least
from hired.selectors import Selection, Selector

PARTS = ("vision tower", "projector", "language model")


def measure_inside(
    model: Any, processor: Any, selectors: Sequence[Selector], repeats: int
) -> list[dict[str, Any]]:
    """CPU seconds of one thread to the first token of a 672 x 672 image, per selector.

    The least of `repeats` runs: "selector", "tokens", "total_s", and one for each of `PARTS`.

    Raises:
        SettingError: no repeats.
        ModelError: a lane does not end well.
    """
    at_least(1, repeats=repeats)
    kwargs = {"max_new_tokens": 1, "min_new_tokens": 1}
    prompt = Prompt(model, processor, make_image((672, 672)), "What is in this picture?", kwargs)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # work in other threads would not be counted
    try:
        return [_least([_measure(prompt, one) for _ in range(repeats)]) for one in selectors]
    finally:
        torch.set_num_threads(threads)


def _least(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The least of every number."""
    return runs[0] | {key: min(run[key] for run in runs) for key in ("total_s", *PARTS)}


def _measure(prompt: Prompt, selector: Selector) -> dict[str, Any]:
    """A lane, and right after it the modules alone."""
    last: dict[str, Any] = {}
    begin = time.thread_time()
    run_lane(prompt, selector, lambda **news: last.update(news), bool, False)
    total = time.thread_time() - begin
    if last["phase"] != "done":
        raise ModelError(f"A run ended as {last['phase']}: {last.get('error')}")
    metrics = last["metrics"]
    parts = _run_alone(prompt.model, last["selection"], metrics.prompt_tokens)
    return {
        "selector": selector.text, "tokens": metrics.visual_tokens, "total_s": total,
        **dict(zip(PARTS, parts, strict=True)),
    }  # fmt: skip


@torch.inference_mode()
def _run_alone(model: Any, selection: Selection, prompt_tokens: int) -> Iterator[float]:
    """CPU seconds of each part over as many tiles and tokens as the lane had."""
    tower, dtype = read_tower(model), model.dtype
    grid = selection.grid

    def look() -> Tensor:
        pixels = torch.zeros(grid.tiles, 3, tower.tile, tower.tile, dtype=dtype)
        hidden = tower.norm(tower.embeddings(pixels))
        for block in tower.blocks[: tower.depth]:
            hidden = block(hidden, None)
        return hidden[0] if isinstance(hidden, tuple) else hidden

    def read(length: int) -> None:
        width = model.get_input_embeddings().weight.shape[1]
        tokens = torch.zeros(1, length, width, dtype=dtype)
        seen = model.model.language_model(inputs_embeds=tokens, use_cache=True)
        model.lm_head(seen.last_hidden_state[:, -1:])

    features = look()  # also warms up
    kept = features.new_zeros(selection.kept, features.shape[-1])
    for part in (
        look,
        lambda: model.model.multi_modal_projector(kept),
        lambda: read(selection.visual_tokens + prompt_tokens),
    ):
        begin = time.thread_time()
        part()
        yield time.thread_time() - begin


def describe_inside(rows: Sequence[dict[str, Any]]) -> str:
    """A Markdown table: seconds of each part, and what share of all is the stock model's."""
    timed = ["total_s", *PARTS]
    head = ["method", "visual tokens", "CPU, s", *(f"{part}, s" for part in PARTS), "stock's share"]
    lines = [
        [
            f"`{row['selector']}`",
            f"{row['tokens']:,}",
            *(f"{row[name]:.3f}" for name in timed),
            f"{sum(row[part] for part in PARTS) / row['total_s']:.1%}",
        ]
        for row in rows
    ]
    return markdown(head, lines)
