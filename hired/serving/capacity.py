"""The gain of fewer visual tokens on given GPUs, calculated from sizes alone.

Nothing here was measured. The KV cache is what bounds how many requests a server holds at once;
its bytes per token follow from the language model's shape, the tokens from the image's size.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from hired.bench.tables import markdown
from hired.errors import at_least
from hired.tiles import TileGrid

GIB = 2**30
PINPOINTS = ((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008))
TEXT_TOKENS = 100  # prompt and answer of one request, beside its image
OVERHEAD = 1.15  # prefill FLOPs of attention and norms on top of the weights'
EFFICIENCY = 0.4  # share of a GPU's peak that prefill reaches
VISION_FLOPS = 5 * 2 * 0.30e9 * 577 * OVERHEAD  # five tiles through CLIP ViT-L/14, 0.3e9 weights


@dataclass(frozen=True)
class Language:
    """A language model's shape.

    Attributes:
        name: of the whole model.
        layers, kv_heads, head_dim: of its attention; 2 · layers · kv_heads · head_dim values a
            token.
        parameters: of language model and vision tower together.
    """

    name: str
    layers: int
    kv_heads: int
    head_dim: int
    parameters: float

    def kv_bytes_per_token(self, value_bytes: int = 2) -> int:
        """Keys and values of one token; 2 bytes a value for float16."""
        return 2 * self.layers * self.kv_heads * self.head_dim * value_bytes

    def weight_bytes(self, value_bytes: int = 2) -> float:
        """All weights."""
        return self.parameters * value_bytes


@dataclass(frozen=True)
class Device:
    """A GPU.

    Attributes:
        name: what it is called.
        gib: memory.
        tflops: peak of dense float16.
    """

    name: str
    gib: float
    tflops: float


MODELS = (
    Language("LLaVA-NeXT 7B (Mistral)", 32, 8, 128, 7.57e9),
    Language("LLaVA-NeXT 7B (Vicuna)", 32, 32, 128, 7.06e9),
    Language("LLaVA-NeXT 13B (Vicuna)", 40, 40, 128, 13.35e9),
    Language("LLaVA-NeXT 34B (Yi)", 60, 8, 128, 34.75e9),
)
DEVICES = (
    Device("A100 80 GB", 80, 312),
    Device("L40S 48 GB", 48, 362),
    Device("A10G 24 GB", 24, 70),
)


@dataclass(frozen=True)
class Plan:
    """The capacity of one group of GPUs.

    Attributes:
        gpus: in the tensor-parallel group.
        kv_gib: left for the KV cache; 0 or less when the weights do not fit.
        tokens: visual tokens of one image.
        requests: that fit at once, text included.
        images_per_s: bound that prefill sets, at `EFFICIENCY` of the peak.
    """

    gpus: int
    kv_gib: float
    tokens: int
    requests: int
    images_per_s: float


def visual_tokens(budget: float | None, size: tuple[int, int] = (672, 672)) -> int:
    """Visual tokens of an image at a rate, newlines off; None is stock, newlines included.

    Raises:
        SettingError: the rate is out of range.
    """
    from hired.budget import check_budget, total_budget

    grid = TileGrid.fit(size, PINPOINTS, 336, 14)
    if budget is None:
        return grid.stock
    return total_budget(check_budget(budget), grid.nominal, grid.candidates)


def plan(
    model: Language,
    device: Device,
    gpus: int,
    budget: float | None,
    utilization: float = 0.9,
) -> Plan:
    """One tensor-parallel group.

    Args:
        model, device: shapes.
        gpus: in the group; weights and KV heads are split among them.
        budget: the rate that is kept, None for stock.
        utilization: vLLM's `--gpu-memory-utilization`.

    Raises:
        SettingError: no GPUs.
    """
    at_least(1, gpus=gpus)
    tokens = visual_tokens(budget)
    per_token = model.kv_bytes_per_token() * max(1, gpus / model.kv_heads)
    activations = 2 * GIB * gpus  # vLLM profiles this; a round figure for prefill's peak
    left = utilization * device.gib * GIB * gpus - model.weight_bytes() - activations
    requests = int(max(left, 0) // (per_token * (tokens + TEXT_TOKENS)))
    flops = 2 * model.parameters * (tokens + TEXT_TOKENS) * OVERHEAD + VISION_FLOPS
    rate = gpus * device.tflops * 1e12 * EFFICIENCY / flops if requests else 0.0
    return Plan(gpus, left / GIB, tokens, requests, rate)


def table(device: Device, budgets: tuple[float | None, ...] = (None, 0.4, 0.2, 0.1)) -> str:
    """Requests at once and images per second, as Markdown."""
    head = ["Model", "GPUs", *(_name(budget) for budget in budgets)]
    lines = []
    for model in MODELS:
        for gpus in (1, 2, 4, 8):
            plans = [plan(model, device, gpus, budget) for budget in budgets]
            if plans[0].kv_gib <= 0:
                lines.append([model.name, str(gpus), *["does not fit"] * len(budgets)])
                continue
            cells = [f"{each.requests:,} · {each.images_per_s:.1f}/s" for each in plans]
            lines.append([model.name, str(gpus), *cells])
    return markdown(head, lines)


def replica_table(device: Device, budget: float = 0.2, gpus: int = 8) -> str:
    """The same GPUs as few large groups or many small ones, as Markdown."""
    splits = [size for size in (1, 2, 4, 8) if gpus % size == 0]
    head = ["Model", *(f"{gpus // size} × {size} GPU" for size in splits)]
    lines = []
    for model in MODELS:
        cells = []
        for size in splits:
            one, copies = plan(model, device, size, budget), gpus // size
            cells.append(
                f"{one.requests * copies:,} · {one.images_per_s * copies:.1f}/s"
                if one.kv_gib > 0
                else "does not fit"
            )
        lines.append([model.name, *cells])
    return markdown(head, lines)


def image_table(budgets: tuple[float | None, ...] = (None, 0.4, 0.2, 0.1)) -> str:
    """KV cache of one 672 × 672 image, as Markdown."""
    head = ["Model", "KV bytes a token", *(_name(budget) for budget in budgets)]
    lines = []
    for model in MODELS:
        per_token = model.kv_bytes_per_token()
        sizes = (per_token * visual_tokens(budget) / 2**20 for budget in budgets)
        cells = [f"{size:,.0f} MiB" for size in sizes]
        lines.append([model.name, f"{per_token:,}", *cells])
    return markdown(head, lines)


def tables() -> Iterator[tuple[str, str]]:
    """(what it shows, the table) of every table of the page `hired/serving/README.md`."""
    yield "one 672 × 672 image", image_table()
    for device in DEVICES:
        yield device.name, table(device)
    yield "8 A100 as replicas, 20 % kept", replica_table(DEVICES[0])


def _name(budget: float | None) -> str:
    tokens = visual_tokens(budget)
    return f"stock ({tokens:,})" if budget is None else f"{budget:.0%} ({tokens:,})"
