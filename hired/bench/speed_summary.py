"""From recorded rounds to rows: medians, spread, speed-up against the baseline, and its estimate.

The estimate is Amdahl's law on the baseline's own measured phases. Preprocessing and the vision
pass are paid in full whatever is dropped; prefill shrinks in proportion to the tokens the language
model reads, text included; selecting is free:

    estimate = TTFT_full / (preprocess_full + vision_full + prefill_full · L / L_full)

L is visual plus prompt tokens. It is no bound: attention's cost falls faster than in proportion, so
a measured speed-up passes it where prompts are long and models narrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from hired.bench.plan import BASELINE, title_of
from hired.metrics import model_ttft

GROUP = ("model", "quantization", "dtype", "batch", "prompt_tokens", "image_size", "new_tokens")


@dataclass(frozen=True)
class Spread:
    """Median, lowest and highest of some repeats."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One lane over all repeats of a group.

    Attributes:
        title, budget: the method with its settings, and what it was to keep.
        runs, of: repeats that ended well, and all.
        metrics: metric -> spread; tokens per second count the whole batch.
        speedup: TTFT of the baseline over this one's in the same round; None without a baseline.
        estimate: of `speedup` were prefill in proportion to its tokens; None without a baseline.
        error: why there are no numbers.
    """

    title: str
    budget: float | int | None
    runs: int
    of: int
    metrics: dict[str, Spread]
    speedup: Spread | None = None
    estimate: float | None = None
    error: str | None = None

    @property
    def achieved(self) -> float | None:
        """The speed-up as a share of its estimate."""
        if self.speedup is None or not self.estimate:
            return None
        return self.speedup.median / self.estimate


@dataclass(frozen=True)
class Group:
    """The rows of one model, batch size and prompt length.

    Attributes:
        about: what they share; `model` as `hired.models.load.describe` tells it.
        protocol: "ours" or "paper".
        rows: the baseline first.
    """

    about: dict[str, Any]
    protocol: str
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """The group in words."""
        model, tokens = self.about["model"], self.about["prompt_tokens"]
        bits = f" {model['quantization']}" if model["quantization"] else ""
        prompt = f" · prompt of {tokens}" if tokens is not None else ""
        height, width = self.about["image_size"]
        return (
            f"{model['name']} · {model['dtype']}{bits} · batch {self.about['batch']} · "
            f"{width}×{height}{prompt} · {self.about['new_tokens']} new tokens"
        )


def summarise_rounds(rounds: Sequence[dict[str, Any]]) -> list[Group]:
    """Groups in the order they were measured in."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in rounds:
        key = repr([one[name] for name in GROUP if name != "model"] + [one["model"]["name"]])
        groups.setdefault(key, []).append(one)
    return [_group(members) for members in groups.values()]


def ideal_ttft(full: dict[str, float], tokens: float, full_tokens: float) -> float:
    """Seconds to the first token if only prefill shrank, and in proportion to its tokens."""
    fixed = full["preprocess_s"] + full["vision_s"]
    return fixed + full["prefill_s"] * tokens / full_tokens


def _group(rounds: list[dict[str, Any]]) -> Group:
    lanes: dict[str, list[tuple[dict[str, Any], dict[str, Any] | None]]] = {}
    for one in rounds:
        full: dict[str, Any] = next(
            (lane for lane in one["lanes"] if lane["method"] == BASELINE), {}
        )
        for lane in one["lanes"]:
            key = repr((lane["method"], lane["budget"], sorted(lane["settings"].items())))
            lanes.setdefault(key, []).append((lane, full.get("metrics")))
    about = {name: rounds[0][name] for name in GROUP}
    rows = tuple(_row(pairs, about["batch"]) for pairs in lanes.values())
    return Group(about, rounds[0]["protocol"], rows)


def _row(pairs: list[tuple[dict[str, Any], dict[str, Any] | None]], batch: int) -> Row:
    first = pairs[0][0]
    title = title_of(first["method"], first["settings"])
    good = [(lane["metrics"], full) for lane, full in pairs if "metrics" in lane]
    if not good:
        return Row(title, first["budget"], 0, len(pairs), {}, error=first["error"])
    values = [_per_batch(metrics, batch) for metrics, _ in good]
    spreads = {
        name: _spread([one[name] for one in values])
        for name, value in values[0].items()
        if not isinstance(value, bool) and all(one[name] is not None for one in values)
    }
    both = [(metrics, full) for metrics, full in good if full is not None]
    if not both:
        return Row(title, first["budget"], len(good), len(pairs), spreads)
    speedup = _spread([full["ttft_s"] / metrics["ttft_s"] for metrics, full in both])
    return Row(title, first["budget"], len(good), len(pairs), spreads, speedup, _estimate(both))


def _estimate(both: list[tuple[dict[str, Any], dict[str, Any]]]) -> float:
    """Median over the rounds of the estimate of each."""
    return median(
        full["ttft_s"] / ideal_ttft(full, _length(metrics), _length(full)) for metrics, full in both
    )


def _length(metrics: dict[str, Any]) -> int:
    """Tokens of the prompt that the language model reads."""
    return metrics["visual_tokens"] + metrics["prompt_tokens"]


def _per_batch(metrics: dict[str, Any], batch: int) -> dict[str, Any]:
    """Metrics with the tokens per second of the whole batch, and what older records leave out."""
    rates = ("tokens_per_s", "end_to_end_tokens_per_s")
    whole = {name: metrics[name] and metrics[name] * batch for name in rates}
    return {"model_ttft_s": model_ttft(metrics), **metrics, **whole}


def _spread(values: list[float]) -> Spread:
    return Spread(median(values), min(values), max(values))
