"""The farthest point again and again, with as few distances as the choice needs.

The choice is that of the whole matrix of distances 1 − cosine (n, n), never built: memory grows
with n. On a CPU a distance is computed only where it can decide, by products of whole blocks: what
remains is their arithmetic (`python -m hired bench select` prints bare products beside it). On a
device, where every look at a number waits for it, each chosen row's distances are computed as it
is chosen.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROWS = 128  # compared with all others at once, while the first point is looked for
POOL, AHEAD = 64, 256  # points that must be up to date, and that are brought up to date with them

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


def pick_farthest(unit: Tensor, count: int) -> Tensor:
    """Indices of `count` rows in the order they are chosen; on the CPU.

    The first is the row whose nearest neighbour is farthest away, then always the one farthest
    from its nearest among those chosen; equal ones by the lower index (DivPrune, Alvar et al.
    2025, arXiv 2503.02175, Algorithm 1).

    Args:
        unit: (n, D) float32, rows of length 1, or 0.
        count: at least 1, at most n.
    """
    if unit.device.type == "cpu":
        return torch.from_numpy(_Race(unit.numpy(), count).run())
    return pick_on_device(unit, count)


def pick_on_device(unit: Tensor, count: int) -> Tensor:
    """The same where reading a number makes the CPU wait: waited for once, at the end."""
    nearest = []
    for begin in range(0, len(unit), 1024):
        block = 1 - unit[begin : begin + 1024] @ unit.T
        block.diagonal(begin).fill_(torch.inf)
        nearest.append(block.amin(dim=1))
    chosen = [torch.cat(nearest).argmax(dim=0, keepdim=True)]
    farness = torch.full_like(unit[:, 0], torch.inf)
    for _ in range(count - 1):
        distance = 1 - unit @ unit.index_select(0, chosen[-1])[0]
        farness = torch.minimum(farness, distance).index_fill_(0, chosen[-1], -torch.inf)
        chosen.append(farness.argmax(dim=0, keepdim=True))
    return torch.cat(chosen).cpu()


@dataclass
class _Race:
    """A choice in progress.

    A distance to the nearest chosen row can only shrink as more are chosen, so an old one is an
    upper bound: a row behind with it need not be looked at again (lazy greedy, Minoux 1978).

    Attributes:
        unit: (n, D).
        count: rows to choose.
    """

    unit: Floats
    count: int

    def run(self) -> Indices:
        """The chosen rows in order."""
        self.chosen = np.empty(self.count, np.int64)
        self.rows = np.empty((self.count, self.unit.shape[1]), np.float32)  # the chosen ones
        self.done = 0  # chosen so far
        first = loneliest(self.unit)
        self.bound = 1 - similarity(self.unit[first : first + 1], self.unit)[0]
        self.seen = np.ones(len(self.unit), np.int64)  # how many of the chosen the bound knows
        self._take(np.array([first]), self.unit[first : first + 1])
        while self.done < self.count:
            self._advance()
        return self.chosen

    def _take(self, indices: Indices, rows: Floats) -> None:
        """Choose these, in order."""
        end = self.done + len(indices)
        self.chosen[self.done : end], self.rows[self.done : end] = indices, rows
        self.bound[indices] = -np.inf
        self.done = end

    def _advance(self) -> None:
        """Choose among the front rows, all up to date, until one behind them may be farther."""
        order = self._front()
        fresh = self.seen[order] == self.done
        size = len(order) if fresh.all() else int(fresh.argmin())
        if len(order) < len(self.unit):
            size = min(size, len(order) - 1)  # the last one stands for those behind it
        pool = order[:size]
        limit = self.bound[order[size]] if size < len(order) else -np.inf
        rows = self.unit[pool]
        between, farness = 1 - similarity(rows, rows), self.bound[pool]
        picked: list[int] = []
        while self.done + len(picked) < self.count:
            best = int(farness.argmax())
            if picked and farness[best] <= limit:
                break
            picked.append(best)
            np.minimum(farness, between[best], out=farness)
            farness[picked] = -np.inf
        self._take(pool[picked], rows[picked])
        self.bound[pool], self.seen[pool] = farness, self.done

    def _front(self) -> Indices:
        """The `AHEAD` rows of the largest bounds, the best `POOL` of them up to date."""
        while True:
            order = largest(self.bound, AHEAD)
            if (self.seen[order[:POOL]] == self.done).all():
                return order
            stale = order[self.seen[order] < self.done]
            since = int(self.seen[stale].min())
            nearest = 1 - similarity(self.unit[stale], self.rows[since : self.done]).max(axis=1)
            self.bound[stale] = np.minimum(self.bound[stale], nearest)
            self.seen[stale] = self.done


def loneliest(unit: Floats) -> int:
    """The row whose nearest other row is farthest away; equal ones by the lower index.

    The largest similarity seen so far is a lower bound of the true one: rows whose bound is
    above the best true one need not be compared with all others.
    """
    count = len(unit)
    bound, true = np.full(count, -np.inf, np.float32), np.zeros(count, bool)
    rows = np.arange(count)[:: max(1, count // ROWS)][:ROWS]
    while True:
        alike = similarity(unit[rows], unit)
        alike[np.arange(len(rows)), rows] = -np.inf
        np.maximum(bound, alike.max(axis=0), out=bound)
        bound[rows], true[rows] = alike.max(axis=1), True
        best = bound[true].min()
        rows = np.flatnonzero(~true & (bound <= best))
        if not len(rows):
            return int(np.flatnonzero(true & (bound == best))[0])
        rows = rows[largest(-bound[rows], ROWS)]


def largest(values: Floats, count: int) -> Indices:
    """Indices of the largest values, falling, equal ones by the lower index."""
    if count >= len(values):
        return np.argsort(-values, kind="stable")
    edge = np.partition(values, -count)[-count]
    above = np.flatnonzero(values > edge)
    kept = np.concatenate([above, np.flatnonzero(values == edge)[: count - len(above)]])
    return kept[np.lexsort((kept, -values[kept]))]


def similarity(left: Floats, right: Floats) -> Floats:
    """(a, D) and (b, D) -> (a, b), by torch, which has the faster product and obeys its threads."""
    return (torch.from_numpy(left) @ torch.from_numpy(right).T).numpy()
