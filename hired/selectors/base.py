"""The base of every method: settings, scores, an exact selection; and the register of methods.

A new method is one new file here: a frozen dataclass with `name`, `title`, `paper`, `summary`,
its settings as `declared` fields and `scores(vision)`, and `budgets(...)`, `merge(...)` or
`select(...)` where it needs its own. It then appears in the app, the CLI, the tests and the bench
by itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from hired.budget import total_budget
from hired.encode import Taps, Vision
from hired.errors import NotFinite, SettingError
from hired.settings import Budget, Choice, Heads, Setting, declarations, declared
from hired.tiles import TileGrid

SELECTORS: dict[str, type["Selector"]] = {}
NEWLINES = ("none", "rows")
POSITIONS = ("packed", "original")
BUDGET = Budget(
    label="Budget to keep",
    help="what is kept per image: a rate such as 20% or 0.2, or a count such as 640; 1 is one "
    "patch, 1.0 is everything",
)


@dataclass(frozen=True, eq=False)
class Selection:
    """The patches of one image that are kept, and their count in tokens.

    Attributes:
        grid: where the tiles lie.
        mask: bool (T, N) on the CPU, overview first, crops row-major, patches raster. Only
            `hired-release` marks patches that are no candidates; they never reach the model.
        budgets: patches given to each tile.
        newline: the newline policy, "none" or "rows".
        scores: (T, N) float32 on the CPU, what the patches were ranked by.
        features: (T, N, D), to project at the kept places instead of the tower's, for methods
            that merge; None for all others and wherever nothing is dropped.
        positions: "packed", the kept tokens get consecutive position IDs, or "original", every
            token, the text after the image too, has the one of the stock sequence.
    """

    grid: TileGrid
    mask: Tensor
    budgets: list[int]
    newline: str = "none"
    scores: Tensor | None = None
    features: Tensor | None = None
    positions: str = "packed"

    @cached_property
    def kept(self) -> int:
        """Patches that reach the language model."""
        return int((self.mask & candidate_mask(self.grid)).sum())

    def with_features(self, features: Tensor | None) -> "Selection":
        """The same patches with these features, counted only once."""
        if features is self.features:
            return self
        other = copy(self)
        object.__setattr__(other, "features", features)
        return other

    @property
    def nominal(self) -> int:
        """T·N, what a rate is a share of."""
        return self.grid.nominal

    @property
    def stock(self) -> int:
        """Number of visual tokens stock LLaVA would feed, newlines included."""
        return self.grid.stock

    @property
    def everything(self) -> bool:
        """Tell whether every candidate is kept; then the sequence is the stock one."""
        return self.kept == self.grid.candidates

    @property
    def newlines(self) -> int:
        """Newline tokens beside the kept patches; they never count against the budget."""
        rows = self.everything or self.newline == "rows"
        return self.grid.newline_rows if rows else 0

    @property
    def visual_tokens(self) -> int:
        """Tokens of this image in the language model's sequence."""
        return self.kept + self.newlines


@dataclass(frozen=True)
class Selector(ABC):
    """A training-free, prompt-free way to choose patches inside an exact budget.

    Attributes:
        budget: what is kept per image: a rate (float in (0, 1]) or a count (int >= 1).
        newline: "none", or "rows" for one newline token per unpadded canvas row. A selection
            that keeps every candidate has all of them whatever this says.
        positions: "packed" as the paper has it, or "original": kept tokens and the text after them
            keep the positions of the stock sequence (arXiv 2506.21873).
    """

    budget: float | int = declared(0.2, BUDGET)
    newline: str = declared(
        "none",
        Choice(
            choices=NEWLINES,
            label="Newlines",
            help="none, or rows: one newline token per row of the unpadded image",
        ),
        kw_only=True,
    )
    positions: str = declared(
        "packed",
        Choice(
            choices=POSITIONS,
            label="Positions",
            help="packed: kept tokens get consecutive position IDs, as the paper has it; original: "
            "each keeps that of the stock sequence, and so does the text after them",
        ),
        kw_only=True,
    )

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    summary: ClassVar[str]
    fixed_count: ClassVar[bool] = True  # the count depends on image size and settings only
    general: ClassVar[bool] = True  # for any image; else sweeps and servers leave it out
    unused: ClassVar[tuple[str, ...]] = ()  # inherited settings that play no part

    def __init_subclass__(cls) -> None:
        """Register every subclass that has a name."""
        super().__init_subclass__()
        if "name" in vars(cls):
            SELECTORS[cls.name] = cls

    def __post_init__(self) -> None:
        """Check every setting by its declaration."""
        for name, setting in declarations(type(self)).items():
            object.__setattr__(self, name, setting.check(name, getattr(self, name)))

    @classmethod
    def settings(cls) -> dict[str, Setting]:
        """The settings by name: the declared fields that play a part."""
        return {key: one for key, one in declarations(cls).items() if key not in cls.unused}

    def check_model(self, layers: int, heads: int) -> None:
        """Raise SettingError for a layer or head that a vision tower with so many lacks."""
        there = {"layer": layers, "head": heads}
        for name, setting in self.settings().items():
            value, count = getattr(self, name), there.get(setting.numbers)
            if count is not None and isinstance(value, int) and value >= count:
                raise SettingError(
                    f"{name} must be a {setting.numbers} of this vision tower that runs, 0 to "
                    f"{count - 1}; got {value}."
                )

    @property
    def joined_heads(self) -> str | int:
        """The way its setting joins the attention heads; their sum for a method without one."""
        known = (key for key, one in self.settings().items() if isinstance(one, Heads))
        return next((getattr(self, key) for key in known), "sum")

    @property
    def text(self) -> str:
        """The method with its settings as every door reads it: `hired:budget=10%,alpha=0.3`.

        Settings at their defaults are left out; `hired.selectors.parse` gives an equal selector.
        """
        usual = type(self)()
        given = [
            f"{key}={setting.write(getattr(self, key))}"
            for key, setting in self.settings().items()
            if repr(getattr(self, key)) != repr(getattr(usual, key))
        ]
        return f"{self.name}:{','.join(given)}" if given else self.name

    def taps(self, feature_tap: int) -> Taps:
        """The ViT layers this method reads, given the layer that feeds the projector."""
        return Taps()

    def total(self, grid: TileGrid) -> int:
        """B: patches to keep of an image, min(B, candidates)."""
        return total_budget(self.budget, grid.nominal, grid.candidates)

    def budgets(self, grid: TileGrid, overview: Tensor | None) -> list[int] | None:
        """Patches for each tile, from the overview's init-layer CLS attention (H, N).

        None when they follow from the scores of all tiles together: the best `total` win.
        """
        return None

    def shares(self, vision: Vision) -> list[int] | None:
        """`budgets` of what was seen: those planned before the crops were encoded, if any were."""
        if vision.budgets is not None:
            return list(vision.budgets)
        init = self.taps(vision.feature_tap).init
        return self.budgets(vision.grid, None if init is None else vision.cls[init][0])

    @abstractmethod
    def scores(self, vision: Vision) -> Tensor:
        """Feature importance of every patch, (T, N); higher is kept first."""

    def merge(self, vision: Vision, selection: Selection) -> Tensor | None:
        """Features (T, N, D) to project instead of the tower's; None to leave them as they are.

        Asked only when something is dropped.
        """
        return None

    def finish(self, vision: Vision, selection: Selection) -> Selection:
        """The selection with its merged features, if the method merges and something is dropped."""
        if selection.everything:
            return selection
        return selection.with_features(self.merge(vision, selection))

    def select(self, vision: Vision) -> Selection:
        """Keep the best patches of each tile inside its budget; ties to the lower raster index."""
        grid = vision.grid
        scores = read_finite(self.scores(vision))
        budgets = self.shares(vision)
        if budgets is None:
            mask = keep_best(scores.view(1, -1), [self.total(grid)], grid).view_as(scores)
            budgets = mask.sum(dim=1).tolist()
        else:
            mask = keep_best(scores, budgets, grid)
        return self.finish(
            vision,
            Selection(grid, mask, budgets, self.newline, scores, positions=self.positions),
        )


def read_finite(values: Tensor) -> Tensor:
    """Read a selection's scores from the device, once, as float32 on the CPU.

    Raises:
        NotFinite: NaN or infinity is among it, and a ranking by it would be arbitrary.
    """
    values = values.float().cpu()
    if not values.isfinite().all():
        raise NotFinite(
            "The attention that ranks the patches holds NaN or infinity. Load the model in "
            "bfloat16 or float32."
        )
    return values


def region_sums(grid: TileGrid, overview: Tensor) -> list[float]:
    """The overview's attention (N,) inside the region each crop shows, T - 1 sums.

    Patches on a boundary count by the area that lies inside, so a letterboxed image and an odd
    grid are treated like any other.
    """
    attention = read_finite(overview).double().view(grid.side, grid.side)  # MPS has no float64
    sums = []
    for index in range(1, grid.tiles):
        rows, cols = (attention.new_tensor(share) for share in grid.overlap(index))
        sums.append(float(rows @ attention @ cols))
    return sums


def keep_best(scores: Tensor, budgets: Sequence[int], grid: TileGrid) -> Tensor:
    """The `budgets[t]` best candidates of each row of `scores` as a bool mask.

    A stable sort, not `topk`: equal scores keep the lower index on every device.
    """
    open_ = candidate_mask(grid).view_as(scores)
    ranked = scores.masked_fill(~open_, -torch.inf).argsort(dim=1, descending=True, stable=True)
    mask = torch.zeros_like(open_)
    for row, budget in enumerate(budgets):
        mask[row, ranked[row, :budget]] = True
    return mask


def candidate_mask(grid: TileGrid) -> Tensor:
    """Patches of the real image, bool (T, N): the overview, and of the crops what unpad leaves."""
    mask = torch.zeros(grid.tiles, grid.side, grid.side, dtype=torch.bool)
    for index in range(grid.tiles):
        top, bottom, left, right = grid.window(index)
        mask[index, top:bottom, left:right] = True
    return mask.flatten(1)
