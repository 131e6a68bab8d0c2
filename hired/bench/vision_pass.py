"""`python -m hired bench vision`: what HiRED adds to the vision tower's own pass.

Stock's pass is the tower called as LLaVA-NeXT calls it, all blocks over all tiles. HiRED's is
everything up to the chosen patches: the same blocks as far as they are used, the attention of two
layers, the budgets between the overview and the crops, the selection. They take turns.
"""

import statistics
from collections.abc import Callable
from typing import Any

import torch

from hired.bench.speed import make_image
from hired.clip import read_tower
from hired.errors import at_least
from hired.inputs import prepare
from hired.metrics import Stopwatch
from hired.phases import VISION
from hired.selectors import Selector
from hired.wrapper import look


def measure_passes(
    model: Any, processor: Any, selector: Selector, repeats: int
) -> dict[str, list[float]]:
    """Seconds of both passes over a 672 x 672 image, "stock_s" and "hired_s", pair by pair.

    Raises:
        SettingError: no repeats.
    """
    at_least(1, repeats=repeats)
    tower, device = read_tower(model), model.device
    inputs = prepare(processor, tower.fit, make_image((672, 672)), "What is this?", device)
    tiles = inputs.pixel_values.flatten(0, -4)

    def stock() -> None:
        model.model.vision_tower(tiles, output_hidden_states=True)

    def hired() -> None:
        look(tower, inputs.pixel_values, inputs.image_sizes, selector)

    def timed(run: Callable[[], None]) -> float:
        watch = Stopwatch(device)
        with watch.phase(VISION.name):
            run()
        return watch.seconds[VISION.name]

    with torch.inference_mode():
        for run in (stock, hired):  # warm up
            run()
        pairs = [(timed(stock), timed(hired)) for _ in range(repeats)]
    return {"stock_s": [pair[0] for pair in pairs], "hired_s": [pair[1] for pair in pairs]}


def describe_passes(found: dict[str, list[float]]) -> str:
    """The median ratio in a sentence."""
    pairs = zip(found["hired_s"], found["stock_s"], strict=True)
    ratios = [hired / stock for hired, stock in pairs]
    return (
        f"Looking and choosing took {statistics.median(ratios):.3f} times stock's vision pass: "
        f"median of {len(ratios)} pairs, {min(ratios):.3f} to {max(ratios):.3f}; "
        f"{statistics.median(found['stock_s']):.3g} s stock."
    )
