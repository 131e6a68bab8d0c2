"""`python -m hired bench select`: what choosing costs, method by method, on one thread.

Features, keys and attention are drawn at the size of CLIP ViT-L/14: LLaVA-NeXT's five partitions,
2,880 patches of 1,024 numbers, and 37 partitions. Noise, in which everything is equally unlike
everything, is the hardest case for methods that compare patches; `scenes` has 60 kinds of patches
in stripes, as walls and skies make them. Seconds are of this process's own CPU time.

Beside the methods stand two bare products of the same features: what comparing costs on this
machine before anything is chosen. VisPruner and SCOPE need all pairs of a tile; DivPrune needs
every patch against every kept one, unless it can tell without.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from time import process_time
from typing import Any

import psutil
import torch
from torch import Tensor

from hired.bench.tables import markdown
from hired.budget import total_budget
from hired.encode import Vision
from hired.errors import at_least
from hired.metrics import seconds
from hired.models.hardware import name_device, versions
from hired.selectors import SELECTORS, build, fitting
from hired.tiles import TileGrid

EDGES = (2, 6)  # crops along an edge: 5 and 37 partitions
CONTENTS = ("noise", "scenes")
TILE, PATCH, WIDTH, HEADS, LAYER = 336, 14, 1024, 16, 22
KINDS, STRIPE = 60, 12


def draw_vision(edge: int, content: str, width: int = WIDTH) -> Vision:
    """Features and attention as of a square image of `edge` x `edge` crops."""
    side = edge * TILE
    grid = TileGrid.fit((side, side), [(side, side)], TILE, PATCH)
    generator = torch.Generator().manual_seed(0)
    shape = (grid.tiles, grid.patches)

    def noise(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator)

    features = noise(*shape, width)
    if content == "scenes":
        kinds = torch.arange(grid.nominal).view(shape) // STRIPE % KINDS
        features = noise(KINDS, width)[kinds] + 0.5 * features + noise(width)
    cls = noise(2, grid.tiles, HEADS, grid.patches).softmax(dim=-1)
    seen, keys = {0: cls[0], LAYER: cls[1]}, noise(*shape, width)
    received = {layer: noise(*shape).softmax(dim=-1) for layer in range(LAYER + 1)}
    return Vision(grid, features, seen, LAYER, keys=keys, received=received)


def measure_selecting(
    methods: Sequence[str],
    budget: float | int,
    repeats: int,
    edges: Sequence[int] = EDGES,
    width: int = WIDTH,
) -> Iterator[dict[str, Any]]:
    """A row per size, content and method as it is measured: budgets and choice together.

    Torch is set to one thread meanwhile.

    Raises:
        SettingError: no repeats, or no such method.
    """
    at_least(1, repeats=repeats)
    names = [name for name, method in SELECTORS.items() if method.general]
    lanes = [build(name, **fitting(name, {"budget": budget})) for name in methods or names]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for edge in edges:
            for content in CONTENTS:
                vision = draw_vision(edge, content, width)
                about = {"patches": vision.grid.candidates, "width": width, "content": content}
                for lane in lanes:
                    kept = lane.select(vision).kept  # warms up
                    times = [_time(lane, vision) for _ in range(repeats)]
                    yield {**about, "method": lane.name, "kept": kept, "select_s": times}
                kept = total_budget(budget, vision.grid.nominal, vision.grid.candidates)
                for floor, product in bare_products(vision, kept).items():
                    times = [_clock(product) for _ in range(repeats + 1)]
                    yield {**about, "floor": floor, "select_s": times[1:]}
    finally:
        torch.set_num_threads(threads)


def bare_products(vision: Vision, kept: int) -> dict[str, Callable[[], None]]:
    """Lower bounds, by name, for every exact method that needs these similarities."""
    rows = vision.features.flatten(0, 1)

    def tiles() -> None:
        for tile in vision.features:
            tile @ tile.T

    def against_kept() -> None:
        for block in rows[:kept].split(256):
            block @ rows.T

    return {"all pairs of a tile": tiles, "all against the kept": against_kept}


def _time(lane: Any, vision: Vision) -> float:
    def choose() -> None:
        init = lane.taps(LAYER).init
        shares = lane.budgets(vision.grid, None if init is None else vision.cls[init][0])
        lane.select(replace(vision, budgets=None if shares is None else tuple(shares)))

    return _clock(choose)


def _clock(work: Callable[[], None]) -> float:
    begin = process_time()
    work()
    return process_time() - begin


def make_record(rows: Sequence[dict[str, Any]], command: str) -> dict[str, Any]:
    """The rows with what they depend on."""
    return {
        "kind": "select",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "device_name": name_device(torch.device("cpu")),
        "load_average": round(psutil.getloadavg()[0], 1),
        "versions": versions(),
        "rows": list(rows),
    }


def describe_selecting(record: dict[str, Any]) -> str:
    """A record of `python -m hired bench select` as Markdown: a table with a line per method."""
    rows = record["rows"]
    columns = list(dict.fromkeys((row["patches"], row["content"]) for row in rows))
    names = [f"`{row['method']}`" if "method" in row else row["floor"] for row in rows]
    times = {
        (name, row["patches"], row["content"]): seconds(statistics.median(row["select_s"]))
        for name, row in zip(names, rows, strict=True)
    }
    head = ["Method", *(f"{patches:,} patches, {content}" for patches, content in columns)]
    lines = [
        [name, *(times.get((name, *column), "–") for column in columns)]
        for name in sorted(dict.fromkeys(names), key=lambda name: not name.startswith("`"))
    ]
    return (
        f"### What choosing costs\n{markdown(head, lines)}\n\nMedians of "
        f"{len(rows[0]['select_s'])}, CPU time on one thread. Measured on {record['device_name']}, "
        f"load {record['load_average']}, {record['date'][:10]}, torch "
        f"{record['versions']['torch']}.\n\n"
        f"```bash\n{record['command']}\n```"
    )
