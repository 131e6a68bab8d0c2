"""A method of a new file, with a setting of every kind, each declared once and nowhere else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar
from unittest.mock import MagicMock, patch

from hired.encode import Taps
from hired.selectors import SELECTORS, Selector
from hired.selectors.hired import merge_heads
from hired.settings import Choice, Flag, Heads, Layer, Number, Whole, declared

TEXT = "toy:budget=30,weight=-0.5,rounds=9,order=down,strict=true,depth=2,face=1"
GIVEN = {"weight": -0.5, "rounds": 9, "order": "down", "strict": True, "depth": 2, "face": 1}
HELP = {
    "weight": "how much a patch counts",
    "rounds": "how often it is drawn",
    "order": "which end is kept",
    "strict": "no mercy",
    "depth": "layer that weighs",
    "face": "how heads are joined",
}


@contextmanager
def registered() -> Iterator[type[Selector]]:
    """The toy, in the register of methods for as long as this lasts."""

    @dataclass(frozen=True)
    class Toy(Selector):
        """Keep by a weight."""

        weight: float = declared(
            0.25, Number(low=-1, high=4, step=0.25, label="Weight", help="how much a patch counts")
        )
        rounds: int = declared(
            3, Whole(low=1, high=9, label="Rounds", help="how often it is drawn")
        )
        order: str = declared(
            "up", Choice(choices=("up", "down"), label="Order", help="which end is kept")
        )
        strict: bool = declared(False, Flag(label="Strict", help="no mercy"))
        depth: int = declared(0, Layer(label="Depth", help="layer that weighs"))
        face: str | int = declared("sum", Heads(label="Face", help="how heads are joined"))

        name: ClassVar[str] = "toy"
        title: ClassVar[str] = "Toy"
        paper: ClassVar[str] = "a toy"
        summary: ClassVar[str] = "By a weight."

        def taps(self, feature_tap: int) -> Taps:
            """The layer that weighs."""
            return Taps(final=self.depth)

        def scores(self, vision):
            """The attention of that layer, by the weight."""
            sign = 1 if self.order == "up" else -1
            return sign * self.weight * merge_heads(vision.cls[self.depth], self.face)

    try:
        yield Toy
    finally:
        del SELECTORS["toy"]


@contextmanager
def lmms_model() -> Iterator[Callable[..., Selector]]:
    """The selector that lmms-eval's `--model_args` make, without lmms-eval and without a model."""
    names = ("lmms_eval", "lmms_eval.api", "lmms_eval.api.instance", "lmms_eval.api.model")
    with patch.dict(sys.modules, {name: MagicMock() for name in names}):
        sys.modules["lmms_eval.api.model"].lmms = object
        sys.modules.pop("hired.lmms.model", None)
        module = import_module("hired.lmms.model")
        with (
            patch.object(module, "load", return_value=(None, None)),
            patch.object(module, "HiredModel", side_effect=lambda _, selector: selector),
        ):
            yield lambda **args: module.HiredLmms(**args).wrapped
