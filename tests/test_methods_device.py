"""What choosing asks of the device: no float64, which Apple's lacks, and no wait per patch."""

import pytest
import torch
from test_selectors import PINS
from torch.utils._python_dispatch import TorchDispatchMode

from hired.selectors import SELECTORS, build, fitting
from hired.selectors.divprune import most_diverse
from hired.selectors.farthest import pick_on_device
from hired.tiles import TileGrid


class NoDouble(TorchDispatchMode):
    """The meta device stands for one without float64, as Apple's; what leaves it is ones."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default and kwargs.get("device") == torch.device("cpu"):
            return torch.ones(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        out = func(*args, **kwargs)
        if isinstance(out, torch.Tensor) and out.is_meta and out.dtype == torch.float64:
            raise TypeError("This device has no float64.")
        return out


@pytest.mark.parametrize("name", [name for name, one in SELECTORS.items() if one.general])
def test_budgets_need_no_float64_on_the_device(name):
    grid = TileGrid.fit((300, 200), PINS, 84, 14)
    selector = build(name, **fitting(name, {"budget": 20}))
    attention = torch.empty(3, grid.patches, device="meta")
    with NoDouble():
        budgets = selector.budgets(grid, attention)
    assert budgets is None or sum(budgets) == 20


def on_device(rows, count):
    """The way that is taken where the features are on a GPU."""
    return pick_on_device(torch.nn.functional.normalize(rows, dim=-1), count)


class Reads(TorchDispatchMode):
    """Counts how often the CPU reads a number off the device, and waits for it."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("choose", [most_diverse, on_device])
def test_divprune_chooses_without_waiting_for_the_device(choose):
    rows = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    with Reads() as reads:
        chosen = choose(rows, 40).tolist()
    distance = 1 - torch.cosine_similarity(rows[:, None], rows[None], dim=-1)
    for count in range(1, 40):
        nearest = distance[:, chosen[:count]].amin(dim=1)
        nearest[chosen[:count]] = -1
        assert nearest.argmax() == chosen[count]
    assert reads.count == 0 and len(set(chosen)) == 40
