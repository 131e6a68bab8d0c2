"""The plan of `eval`: methods at budgets, and HiRED with one part changed. Measures nothing."""

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from hired.bench.plan import BASELINE, METHODS, Entry, at_budgets, parse_method
from hired.budget import parse_budget
from hired.clip import Tower
from hired.errors import SettingError, at_least
from hired.selectors import Selector, build
from hired.selectors.hired import HiRED
from hired.selectors.random import SEED
from hired.shapes.pictures import TESTED
from hired.tiles import TileGrid

BUDGETS = (0.05, 0.1, 0.2, 0.4, 1.0)
ABLATION_BUDGETS = (0.2,)
USUAL = ("sparse", "large")
"""Splits that are measured unless others are named."""
ALPHAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0)  # 0.5 is HiRED itself
EVEN = "hired-even-crops"


@dataclass(frozen=True)
class EvenCrops(HiRED):
    """HiRED whose crops share alike instead of by content; it has no name, so it is not registered.

    "Even budget" in the paper's ablation (arXiv 2408.10945): the overview keeps its share α.
    """

    title: ClassVar[str] = "HiRED, even crops"

    def content(self, grid: TileGrid, overview: Tensor) -> list[float]:
        """The candidates of every crop."""
        return [float(cap) for cap in grid.caps[1:]]


@dataclass(frozen=True)
class Plan:
    """All that a call of `eval` measures.

    Attributes:
        methods: each with settings, without budgets; the baseline is always measured.
        budgets: rates and counts.
        ablations: budgets of the ablations; none without them.
        splits: some of `TESTED`.
        posters: pictures per split, each with one question of every kind.
        seed: of the posters and their questions.
        model: a name for `hired.models.load`.
        batch: posters whose questions are answered at once.
        coverage: whether to tell what each lane keeps of what the stock answers looked at.
    """

    methods: tuple[Entry, ...] = tuple(Entry(name) for name in METHODS)
    budgets: tuple[float | int, ...] = BUDGETS
    ablations: tuple[float | int, ...] = ()
    splits: tuple[str, ...] = USUAL
    posters: int = 200
    seed: int = 0
    model: str = "shapes"
    batch: int = 8
    coverage: bool = False

    def __post_init__(self) -> None:
        """Check everything that can be checked without a model."""
        at_least(1, posters=self.posters, batch=self.batch)
        SEED.check("seed", self.seed)
        if unknown := [split for split in self.splits if split not in TESTED]:
            raise SettingError(f"A split is one of {', '.join(TESTED)}; got {unknown[0]!r}.")
        self.methods_lanes()

    def methods_lanes(self) -> dict[str, Selector]:
        """Title -> selector: the baseline, then every method at every budget.

        A method with an exact count keeps everything at 1.0, which is the baseline to the bit: it
        is not measured again.
        """
        lanes = {BASELINE: build(BASELINE)}
        for entry in at_budgets(self.methods, self.budgets):
            selector, budget = entry.selector(), entry.budget
            if not (selector.fixed_count and isinstance(budget, float) and budget == 1.0):
                lanes[lane_title(entry.title, budget)] = selector
        return lanes

    def lanes(self, tower: Tower) -> dict[str, Selector]:
        """Methods and ablations, with the layers and heads that the tower has."""
        lanes = self.methods_lanes()
        for budget in self.ablations:
            for name in ablations(tower):
                changed = EvenCrops(budget) if name == EVEN else _with_budget(name, budget)
                lanes[lane_title(name, budget)] = changed
        return lanes


def ablations(tower: Tower) -> list[str]:
    """HiRED and its changed forms as `parse_method` reads them, and `EVEN`.

    Those of the paper (shares even, patches by another layer, heads not aggregated), the
    release's shares at the same exact count, and every setting in steps.
    """
    last, heads = tower.feature_tap, tower.heads
    layers = sorted({0, last // 2})
    changed = [
        f"init_layer={last}",
        *(f"final_layer={layer}" for layer in layers if layer != last),
        *(f"alpha={alpha:g}" for alpha in ALPHAS),
        "heads=max",
        *(f"heads={head}" for head in sorted({0, heads // 2})),
        "fuse=true",
        "positions=original",
    ]
    alike = ["fastervlm", EVEN, "hired-release:exact=true"]
    return ["hired", *alike, *(f"hired:{change}" for change in changed)]


def _with_budget(name: str, budget: float | int) -> Selector:
    return replace(parse_method(name).selector(), budget=budget)


def lane_title(what: str, budget: float | int | None) -> str:
    """`hired@0.2`, `hired:alpha=0.3@160`, `full`."""
    return what if budget is None else f"{what}@{budget!r}"


def split_title(title: str) -> tuple[str, float | int | None]:
    """A lane's title back into method with settings, and budget."""
    what, at, budget = title.partition("@")
    return what, parse_budget(budget) if at else None
