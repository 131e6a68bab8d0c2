"""A comparison and a check in the terminal, and as plain data. Measures nothing itself."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from hired.comparison.evidence import tokens_per_s
from hired.comparison.lane import Lane
from hired.comparison.stream import Step
from hired.metrics import Metrics, seconds, size
from hired.models.allowed import ALLOWED, EMBEDDED, LISTED, PRECISIONS
from hired.models.hardware import free_bytes, name_device, pick_device, versions
from hired.phases import BY_NAME, FINAL, TO_FIRST_TOKEN, WAITING

# C0 and C1 controls but line ends and tabs, DEL, and surrogates that no encoding takes.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def plain(text: str) -> str:
    """Text that cannot steer the terminal; tabs become spaces, every other sign stays."""
    return _STEERING.sub("\ufffd", text).expandtabs()


class Screen:
    """Follows a comparison: one lane after the other, its answer as it grows, then the numbers."""

    def __init__(self, to_stderr: bool = False, race: bool = False) -> None:
        self.console = Console(stderr=to_stderr, highlight=False)
        self.race = race
        self._status: Status | None = None
        self._printed: dict[int, int] = {}

    def introduce(self, about: dict[str, Any], note: str = "") -> None:
        """Name the model that answers and its device; `note` is about the image."""
        bits = f", {about['quantization']}" if about["quantization"] else ""
        bits += ", vision tower too" if about["quantized_tower"] else ""
        line = (
            f"{about['name']} · {about['family']} · {about['device']} {about['dtype']}{bits} · "
            f"{size(about['resting_bytes'])} at rest"
        )
        self.console.print(Text(plain(line), style="dim"))
        if about["origin"] == "random":
            self.console.print("Random weights: the times and sizes are real, the words are not.")
        if note:
            self.console.print(Text(note))

    def follow(self, steps: Iterable[Step], lanes: Sequence[Lane]) -> list[Step]:
        """Show the steps as they come; the last step of every lane."""
        last: dict[int, Step] = {}
        try:
            for step in steps:
                ended = step.lane in last and last[step.lane].phase in FINAL
                last[step.lane] = step
                if not ended:
                    self._show(step, lanes[step.lane])
        finally:
            self._wait_for(None)
        return [last[index] for index in range(len(lanes))]

    def _show(self, step: Step, lane: Lane) -> None:
        if step.phase == WAITING:
            return
        if step.phase not in FINAL and (self.race or not step.text):
            self._wait_for(f"{lane.name}: {BY_NAME[step.phase].state}")
            return
        self._wait_for(None)
        if step.lane not in self._printed:
            self._printed[step.lane] = 0
            self.console.rule(Text(f"{lane.name}: {lane.selector.title}"), align="left")
        # An unfinished character is decoded as U+FFFD until its last byte is there.
        text = plain(step.text if step.phase in FINAL else step.text.rstrip("\ufffd"))
        new = text[self._printed[step.lane] :]
        self._printed[step.lane] = max(len(text), self._printed[step.lane])
        self.console.print(Text(new), end="", soft_wrap=True)
        if step.phase in FINAL:
            self.console.print()
        if step.phase == "failed":
            self.console.print(Text(plain(step.error or "failed"), style="red"))
        elif step.phase == "stopped":
            self.console.print(Text("stopped", style="yellow"))

    def _wait_for(self, line: str | None) -> None:
        if line is None:
            if self._status is not None:
                self._status.stop()
            self._status = None
        elif self._status is None:
            self._status = self.console.status(line)
            self._status.start()
        else:
            self._status.update(line)

    def conclude(self, last: Sequence[Step], lanes: Sequence[Lane]) -> None:
        """The numbers of each lane and one line that compares them."""
        measured = [step.metrics for step in last]
        table = Table("", *(lane.name for lane in lanes), box=None, padding=(0, 2, 0, 0))
        for title, cells in _rows(measured):
            table.add_row(title, *cells)
        self.console.print()
        self.console.print(table)
        if all(step.phase == "done" for step in last) and len(measured) == 2:
            self.console.print(Text(verdict(last[0], last[1]), style="bold"))
        for lane, metrics in zip(lanes, measured, strict=True):
            if words := capped(lane, metrics):
                self.console.print(Text(words))


def capped(lane: Lane, metrics: Metrics | None) -> str:
    """Tell that an image has fewer patches than a lane is to keep; "" where it has enough."""
    asked = getattr(lane.selector, "budget", None)
    kept = None if metrics is None else metrics.kept_tokens
    if kept is None or not isinstance(asked, int) or not lane.selector.fixed_count:
        return ""
    if kept >= asked:
        return ""
    return (
        f"{lane.name}: {asked:,} patches per image were asked for, and this image has "
        f"{kept:,}: all are kept."
    )


def _rows(measured: Sequence[Metrics | None]) -> Iterable[tuple[str, list[str]]]:
    def row(title: str, cell: Any) -> tuple[str, list[str]]:
        return title, ["–" if one is None else cell(one) for one in measured]

    yield row("visual tokens", lambda m: f"{m.visual_tokens} of {m.stock_tokens}")
    yield row("prompt + new tokens", lambda m: f"{m.prompt_tokens} + {m.new_tokens}")
    yield row("time to first token", lambda m: seconds(m.ttft_s))
    yield row("  preprocess, once for all", lambda m: seconds(m.preprocess_s))
    yield row("  of it the model only", lambda m: seconds(m.model_ttft_s))
    yield row("  vision", lambda m: seconds(m.vision_s))
    yield row("  select", lambda m: seconds(m.select_s))
    yield row("  prefill", lambda m: seconds(m.prefill_s))
    yield row("decode", lambda m: f"{seconds(m.decode_s)}, {_rate(m)}")
    yield row("total", lambda m: seconds(m.total_s) + (" (contended)" if m.contended else ""))
    yield row("KV cache", lambda m: size(m.kv_cache_bytes))
    yield row(
        "peak above rest",
        lambda m: ("about " if m.peak_is_approximate else "") + size(m.peak_bytes),
    )


def _rate(m: Metrics) -> str:
    value = tokens_per_s(m.new_tokens, m.tokens_per_s)
    return "too few for a speed" if value is None else f"{value:.1f} tokens/s"


def verdict(baseline: Step, other: Step) -> str:
    """The effect of dropping in one line: counts, answers, and times as measured.

    One run cannot show a difference of times, so it claims none.
    """
    ours, stock = other.metrics, baseline.metrics
    assert ours is not None and stock is not None  # of lanes that answered
    tokens = _change(ours.visual_tokens, stock.visual_tokens, "fewer", "visual tokens")
    cache = _change(ours.kv_cache_bytes, stock.kv_cache_bytes, "less", "KV cache")
    same = "same answer" if other.text.strip() == baseline.text.strip() else "different answer"
    times = f"first token after {seconds(ours.ttft_s)} instead of {seconds(stock.ttft_s)}"
    if stock.contended or ours.contended:
        return f"{tokens} · {cache} · {same} · the device was shared: times are not compared"
    return f"{tokens} · {cache} · {same} · {times} in one run each: no comparison of speed"


def _change(ours: int | None, stock: int | None, less: str, name: str) -> str:
    """A ratio as "76% fewer …" or "3% more …"; never rounded up to all or nothing."""
    assert ours is not None and stock is not None  # a server may not tell, a model here does
    if ours == stock:
        return f"as many {name}" if less == "fewer" else f"as much {name}"
    percent = abs(1 - ours / stock) * 100
    digits = 1 if percent < 1 or 99 < percent < 100 else 0
    percent = min(percent, 99.9) if 99 < percent < 100 else percent
    return f"{percent:.{digits}f}% {less if ours <= stock else 'more'} {name}"


def ask_record(
    about: dict[str, Any],
    image: dict[str, Any],
    settings: dict[str, Any],
    lanes: Sequence[Lane],
    last: Sequence[Step],
) -> dict[str, Any]:
    """A comparison as JSON takes it; a lane that failed has its `error`.

    Args:
        about: the model, from `hired.models.load.describe`.
        image: from `hired.images.describe_image`.
        settings: what was asked for.
        lanes, last: the lanes and the last step of each.
    """
    answers = []
    for lane, step in zip(lanes, last, strict=True):
        answer = {
            "name": lane.name,
            "method": lane.selector.name,
            "text": step.text,
            "metrics": step.metrics.as_dict() if step.metrics else None,
        }
        if step.phase != "done":
            answer["error"] = step.error or "stopped"
        answers.append(answer)
    return {
        "model": about["name"],
        "device": about["device"],
        "versions": versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "image": image,
        "settings": settings,
        "lanes": answers,
    }


def show_models(device: str) -> None:
    """The models on the list, what they weigh, and the best form of each that `device` can hold.

    Raises:
        ModelError: no such device.
    """
    place = pick_device(device)
    free = free_bytes(place)
    say = Console(highlight=False, soft_wrap=True, markup=False).print
    say(f"{EMBEDDED}: {ALLOWED[EMBEDDED]}. It fits everywhere.\n")
    width = max(map(len, LISTED))
    head = ("on disk", *PRECISIONS, "partitions", "fits here in")
    say(f"{'GB':{width}}  {'  '.join(f'{name:>7}' for name in head)}")
    for name, entry in LISTED.items():
        sizes = [entry.bytes_in(one) / 1e9 for one in ("half", *PRECISIONS)]
        cells = [*(f"{size:7.1f}" for size in sizes), f"{entry.partitions:>10}"]
        say(f"{name:{width}}  {'  '.join(cells)}  {entry.fitting(free) or '–':>12}")
        say(f"  {ALLOWED[name]}")
    say(f"\n{name_device(place)} ({place}) has {free / 1e9:.1f} GB free.")
    say("A directory with a LLaVA-NeXT or LLaVA-1.5 model works too, another one of the hub with")
    say("--unlisted, and random:7b or random:7b/16: true shapes with random weights, for speed")
    say("and memory, never for answers.")


def show_check(record: dict[str, Any]) -> None:
    """The tables and findings of a GPU check, as one page."""
    console = Console(highlight=False)
    console.print(Text(record["note"], style="bold"))
    machine = record["machine"]
    console.print(
        f"{record['device_name']} · {size(machine['free_bytes'])} free · CUDA {machine['cuda']} · "
        f"driver {machine.get('driver', '–')} · attention {', '.join(machine['attention'])}"
    )
    console.print(" · ".join(f"{name} {number}" for name, number in record["versions"].items()))
    for run in record["runs"]:
        loaded = f"{run['model']['name']} · loaded in {run['load_s']} s" if "model" in run else "–"
        console.print(Text(f"\n{run['precision']} · {loaded}", style="bold"))
        if run["rows"]:
            console.print(_budget_table(run["rows"]))
        _show_findings(console, run["parts"])
    console.print()
    _show_findings(console, record["parts"])
    verdict = "PASSED" if record["passed"] else "FAILED"
    console.print(Text(f"\n{verdict} after {record['seconds']} s", style="bold"))


def _budget_table(rows: list[dict[str, Any]]) -> Table:
    phases = [phase.name for phase in TO_FIRST_TOKEN]
    after = ("the model's part", "tok/s", "KV cache", "peak")
    table = Table("budget", "visual", *phases, *after, box=None)
    for row in rows:
        table.add_row(
            f"{row['budget']:.0%}",
            str(row["visual_tokens"]),
            *(seconds(row[phase.metric]) for phase in TO_FIRST_TOKEN),
            seconds(row["model_ttft_s"]),
            "–" if row["tokens_per_s"] is None else f"{row['tokens_per_s']:.1f}",
            size(row["kv_cache_bytes"]),
            size(row["peak_bytes"]),
        )
    return table


def _show_findings(console: Console, parts: list[dict[str, Any]]) -> None:
    marks = {True: "ok         ", False: "FAILED     ", None: "not checked"}
    for finding in (finding for part in parts for finding in part["findings"]):
        mark = Text(marks[finding["passed"]], style="bold")
        console.print(Text.assemble(mark, " ", finding["name"], ": ", finding["detail"]))
