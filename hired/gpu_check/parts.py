"""The checks of every model: loading, the stock model beside it, methods, budgets."""

import copy
import itertools
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch

from hired.clip import inspect_tower
from hired.comparison.lane import Lane
from hired.comparison.preview import Preview
from hired.encode import Vision
from hired.gpu_check.subject import GREEDY, NEW_TOKENS, Finding, Subject, held_bytes, keep
from hired.models import quantization as bits
from hired.pack import pack
from hired.selectors import SELECTORS, build
from hired.wrapper import HiredModel, look, look_everywhere

BUDGETS = (1.0, 0.4, 0.2, 0.1)
SLACK_BYTES = 256 * 2**20  # what the allocator rounds up, and cuBLAS's workspaces
NOISE = 0.1  # of a time, between neighbouring budgets
OVERLAP = 0.9  # of what float32 on the CPU picks
SEEN_ALIKE = 0.95  # of a preview in half precision: it sees all tiles at once, a lane may not
LEVEL = 1e-6  # of a peak: where the vision pass sets it, two budgets have the same
GAIN = (0.25, 1.3)  # of what prefill would gain in proportion to its tokens, and be right
Rows = list[dict[str, Any]]


def check_weight(subject: Subject, before: int) -> Iterator[Finding]:
    """The weights take what they should, once."""
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        blank = AutoModelForImageTextToText.from_config(subject.model.config)
    about = subject.about
    needed = bits.needed_bytes(blank, subject.model.dtype, about["quantization"])
    yield weighs("weights", about["resting_bytes"], needed, needed // 10)
    if subject.gpu:
        held = held_bytes(subject.device) - before
        slack = max(SLACK_BYTES, needed // 10)
        yield weighs("the allocator after loading", held, about["resting_bytes"], slack)


def check_stock(subject: Subject) -> Iterator[Finding]:
    """With all tokens kept, stock `generate` and ours say the same."""
    inputs = subject.prepare(subject.pictures["square"])
    given = {
        "input_ids": inputs.input_ids.to(subject.device),
        "attention_mask": inputs.attention_mask.to(subject.device),
        "pixel_values": inputs.pixel_values.to(subject.model.model.vision_tower.dtype),
        "image_sizes": inputs.image_sizes,
    }
    options = GREEDY | {"return_dict_in_generate": True, "output_logits": True}
    with torch.inference_mode():
        stock = subject.model.generate(**given, **options)
        ours = HiredModel(subject.model, build("full")).generate(**given, **options)
    logits, other = torch.stack(stock.logits).float(), torch.stack(ours.logits).float()
    finite = bool(torch.isfinite(logits).all() and torch.isfinite(other).all())
    yield Finding("no logit is NaN or infinite", finite, f"{logits.numel()} of each looked at")
    gap = float((logits - other).abs().max())
    yield Finding(
        "full lane says what stock generate says",
        bool(torch.equal(stock.sequences, ours.sequences)) and gap <= 0.01 * float(logits.std()),
        f"{NEW_TOKENS} tokens, largest difference of a logit {gap:.3g}",
    )


def check_methods(subject: Subject) -> Iterator[Finding]:
    """Every method on every shape: counts exact, nothing NaN, the preview as the lane."""
    preview = Preview(subject.model, subject.processor)
    wrong: dict[str, list[str]] = {"count": [], "finite": [], "preview": []}
    overlaps: dict[str, list[float]] = {name: [] for name in SELECTORS}
    pictures = subject.pictures
    for (shape, image), name in itertools.product(pictures.items(), SELECTORS):
        selector, inputs = build(name), subject.prepare(image)
        [(vision, selection)] = look(
            preview.tower, inputs.pixel_values, inputs.image_sizes, selector
        )
        packed = pack(subject.model, inputs.input_ids, inputs.attention_mask, [vision], [selection])
        place = f"{name} on {shape}"
        lost = name == "hired-release"  # it spends budget on patches that are no candidates
        exact = lost or not selector.fixed_count or selection.kept == selector.total(vision.grid)
        if not exact or len(packed.features[0]) != selection.visual_tokens:
            wrong["count"].append(f"{place}: {selection.kept} kept")
        if not all(torch.isfinite(one).all() for one in (packed.features[0], *vision.cls.values())):
            wrong["finite"].append(place)
        shown = preview.select(image, selector).mask
        alike = 1.0 if subject.model.dtype == torch.float32 else SEEN_ALIKE
        if _overlap(shown, selection.mask) < alike:
            wrong["preview"].append(place)
        kept = selector.select(_reference(subject, shape)).mask
        overlaps[name].append(_overlap(kept, selection.mask))
    total = f"{len(SELECTORS)} methods × {len(pictures)} shapes"
    yield _none("counts are exact", wrong["count"], total)
    yield _none("no feature or score is NaN or infinite", wrong["finite"], total)
    yield _none("the preview shows what the lane keeps", wrong["preview"], total)
    means = {name: statistics.mean(values) for name, values in overlaps.items()}
    yield Finding(
        f"HiRED keeps {OVERLAP:.0%} of what it keeps in float32 on the CPU",
        means["hired"] >= OVERLAP,
        ", ".join(f"{name} {share:.1%}" for name, share in means.items()),
    )


def _overlap(one: torch.Tensor, other: torch.Tensor) -> float:
    """The share of patches of the larger selection that are in both."""
    return int((one & other).sum()) / max(1, int(one.sum()), int(other.sum()))


def _reference(subject: Subject, shape: str) -> Vision:
    """The output of a float32 copy of the tower on the CPU for a picture, every layer tapped."""
    known = subject.seen_on_cpu
    if shape not in known:
        if subject.cpu_tower is None:
            subject.cpu_tower = copy.deepcopy(subject.model.model.vision_tower).cpu().float()
        tower = inspect_tower(subject.model.config, subject.cpu_tower)
        inputs = subject.prepare(subject.pictures[shape])
        pixels = inputs.pixel_values.cpu(), inputs.image_sizes
        taps = [build(name).taps(tower.feature_tap) for name in SELECTORS]
        asked = {layer for one in taps for layer in one.received}
        known[shape] = look_everywhere(tower, *pixels, grid=inputs.grid, received=tuple(asked))[0]
    return known[shape]


def check_budgets(subject: Subject, tell: Callable[[str], None]) -> Iterator[Finding]:
    """All phases at 100, 40, 20 and 10 %, alternating; memory once, costs that fall."""
    before = held_bytes(subject.device)
    lanes = [Lane(f"{budget:.0%}", keep(budget)) for budget in BUDGETS]
    runs: list[list[Any]] = []
    for turn in range(subject.repeats):
        order = lanes if turn % 2 == 0 else lanes[::-1]
        ends = subject.compare(order)
        for step, lane in zip(ends, order, strict=True):
            if step.phase != "done":
                yield Finding(f"the lane at {lane.name} ends", False, step.error or step.phase)
                return
        runs.append(ends if turn % 2 == 0 else ends[::-1])
        tell(f"  repeat {turn + 1} of {subject.repeats}")
    rows = subject.rows
    rows += [
        median_row(budget, [ends[index].metrics.as_dict() for ends in runs])
        for index, budget in enumerate(BUDGETS)
    ]
    grown = held_bytes(subject.device) - before
    slack = max(1, subject.about["resting_bytes"] // 10)
    yield Finding(
        "all lanes share one set of weights",
        grown <= (max(SLACK_BYTES, slack) if subject.gpu else slack),
        f"{grown} bytes more than before the lanes, beside {subject.about['resting_bytes']} of "
        f"weights",
    )
    yield check_cache(rows, subject)
    yield falls("KV cache falls with the budget", rows, "kv_cache_bytes")
    if not subject.gpu:
        yield Finding("times and peaks", None, "judged on a GPU only")
        return
    yield falls("the model's time to first token falls", rows, "model_ttft_s", NOISE)
    yield falls("peak memory falls with the budget", rows, "peak_bytes", LEVEL)
    yield gains_in_prefill(rows)
    if subject.repeats > 1:
        yield steady([[step.metrics.peak_bytes for step in ends] for ends in runs[:2]])


def check_cache(rows: Rows, subject: Subject) -> Finding:
    """Bytes of the KV cache against layers · 2 · heads · width · tokens."""
    text = subject.model.config.get_text_config()
    heads = text.num_key_value_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    token = text.num_hidden_layers * 2 * heads * width * subject.model.dtype.itemsize
    wrong = [
        f"{row['budget']:.0%}: {row['kv_cache_bytes']}"
        for row in rows
        if row["kv_cache_bytes"]
        != token * (row["visual_tokens"] + row["prompt_tokens"] + row["new_tokens"] - 1)
    ]
    return _none("KV cache is what the formula says", wrong, f"{token} bytes a token")


def median_row(budget: float, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of the table: the median of every number over the repeats."""
    row: dict[str, Any] = {"budget": budget}
    for key, value in runs[0].items():
        values = [one[key] for one in runs]
        countable = not isinstance(value, bool) and None not in values
        row[key] = statistics.median(values) if countable else value
    row["model_ttft_s_all"] = [one["model_ttft_s"] for one in runs]
    return row


def falls(name: str, rows: Rows, key: str, noise: float = 0.0) -> Finding:
    """Find a number that falls with the budget; one step may rise by `noise`, the whole not."""
    values = [row[key] for row in rows]
    passed = values[-1] < values[0] and all(
        small < large * (1 + noise) for large, small in itertools.pairwise(values)
    )
    return Finding(name, passed, " > ".join(f"{value:.4g}" for value in values))


def gains_in_prefill(rows: Rows) -> Finding:
    """Prefill against one that shrinks in proportion to the tokens that are read.

    Every pass of the language model costs what a single token costs, the launches of its kernels
    above all; no budget saves that. It is taken off for the least gain and left for the most.
    """
    full, lengths = rows[0], [row["visual_tokens"] + row["prompt_tokens"] for row in rows]
    least = min(row["prefill_s"] for row in rows)
    floor = min(1 / full["tokens_per_s"] if full.get("tokens_per_s") else 0.0, 0.9 * least)
    shares = [
        [
            (full["prefill_s"] - off) / (row["prefill_s"] - off) / (lengths[0] / length)
            for off in (floor, 0.0)
        ]
        for row, length in zip(rows, lengths, strict=True)
    ]
    told = [f"{row['budget']:.0%} {low:.0%}" for row, (low, _) in zip(rows, shares, strict=True)]
    return Finding(
        f"prefill gains {GAIN[0]:.0%} to {GAIN[1]:.0%} of what its tokens say",
        all(GAIN[0] <= low and high <= GAIN[1] for low, high in shares),
        f"{', '.join(told)}, without the {floor * 1e3:.0f} ms of a pass",
    )


def steady(peaks: list[list[int]]) -> Finding:
    """Peaks with the order of the lanes swapped, within 1 %."""
    gaps = [abs(a - b) / max(a, b, 1) for a, b in zip(*peaks, strict=True)]
    return Finding("the order of lanes does not move a peak", max(gaps) <= 0.01, f"{max(gaps):.2%}")


def weighs(name: str, found: int, expected: int, slack: int) -> Finding:
    """Find the bytes as expected."""
    passed = abs(found - expected) <= slack
    return Finding(f"{name}: one copy", passed, f"{found} bytes, expected {expected}")


def _none(name: str, wrong: list[str], total: str) -> Finding:
    """Find nothing wrong."""
    return Finding(name, not wrong, "; ".join(wrong[:5]) or total)
