"""Tiles -> patch features and the CLS attention of two layers, in one pass over a stock tower.

Knows nothing of methods: it is told which layers to tap and, optionally, how to plan budgets
from the overview before the crops are encoded. The tower's blocks are called one after the other
up to the feature layer; those after it are not run.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hired.clip import Tower, join_tiles
from hired.errors import InputError, NotFinite
from hired.stock import device_of
from hired.taps import cls_attention, patch_keys, received_attention
from hired.tiles import TileGrid

Plan = Callable[[TileGrid, Tensor | None], list[int] | None]


@dataclass(frozen=True)
class Taps:
    """The ViT layers that a method reads.

    Attributes:
        init: CLS attention of the overview, before the crops are encoded (budgets).
        final: CLS attention of every tile.
        keys: attention keys of every patch, for methods that merge by their similarity.
        received: attention that every patch receives from all tokens, which takes whole maps.
    """

    init: int | None = None
    final: int | None = None
    keys: int | None = None
    received: tuple[int, ...] = ()


@dataclass(frozen=True)
class Vision:
    """The tower's output for one image.

    Attributes:
        grid: where the tiles lie.
        features: (T, N, D), input of the projector; zeros for a tile that was not encoded.
        cls: layer -> CLS attention (T, H, N), float32; zeros where it was not computed.
        feature_tap: the layer whose output is `features`, HiRED's default l_final.
        budgets: what the plan gave each tile, if there was one.
        keys: (T, N, D) attention keys of the layer asked for, if one was; zeros for a tile that
            was not encoded.
        received: layer -> attention received by every patch (T, N), float32, of the layers asked
            for; zeros for a tile that was not encoded.
    """

    grid: TileGrid
    features: Tensor
    cls: dict[int, Tensor]
    feature_tap: int
    budgets: tuple[int, ...] | None = None
    keys: Tensor | None = None
    received: Mapping[int, Tensor] = field(default_factory=dict)


def encode(
    tower: Tower,
    images: Sequence[Tensor],
    grids: Sequence[TileGrid],
    taps: Taps,
    plan: Plan | None = None,
    extra_taps: Sequence[int] = (),
) -> list[Vision]:
    """Run the tower once over all tiles of some images.

    Args:
        images: tiles of each image, (T, 3, S, S).
        grids: one per image.
        taps: layers to read.
        plan: called with each grid and its overview's init-layer CLS attention (H, N) before
            the crops are encoded; a tile it gives no budget is not encoded. Without a plan all
            tiles go through in one stock-shaped call.
        extra_taps: further layers to read of every tile (heat maps).

    Raises:
        SettingError: a tap is out of range.
    """
    for layer in (taps.init, taps.final, taps.keys, *taps.received):
        tower.check_layer("A layer that is read", layer)
    layers = _given(taps.final, *extra_taps)
    with torch.inference_mode():
        if plan is not None and taps.init is not None:
            traces = [_Trace(tower, layers, taps) for _ in range(2)]
            return _encode_planned(tower, images, grids, taps.init, traces, plan)
        trace = _Trace(tower, layers | _given(taps.init), taps)
        budgets = [plan(grid, None) if plan else None for grid in grids]
        wanted = [_wanted(grid, shares) for grid, shares in zip(grids, budgets, strict=True)]
        pixels = [
            tiles if len(some) == grid.tiles else tiles[some]
            for tiles, some, grid in zip(images, wanted, grids, strict=True)
        ]
        trace.finish(trace.embed(torch.cat(pixels)), 0)
        order = [(image, tile) for image, some in enumerate(wanted) for tile in some]
        return _collect(tower, grids, trace, order, budgets)


@contextmanager
def naming_layer(tower: Tower, pixel_values: Any) -> Iterator[None]:
    """Say in which layer NaN or infinity came up, should any come up inside.

    Costs nothing until then: the values are checked where they are read anyway, and only a
    failure is looked for layer by layer, in a second pass over `pixel_values`: tiles (…, 3, S, S),
    or a list of such.

    Raises:
        NotFinite: naming the first layer at fault.
        InputError: the pixels themselves hold NaN or infinity.
    """
    try:
        yield
    except NotFinite as error:
        if error.named:
            raise
        tiles = join_tiles(tower, pixel_values).flatten(0, -4)
        if not tiles.isfinite().all():
            raise InputError(
                "pixel_values hold NaN or infinity. Pass them as the processor returned them."
            ) from error
        with torch.inference_mode():
            place = _first_overflow(tower, tiles)
        raise NotFinite.at(place, tower.dtype) from error


def _first_overflow(tower: Tower, pixels: Tensor) -> str:
    """The first place on the way of some tiles (tiles, 3, S, S) that is not finite, in words."""
    for tile in pixels.split(1):
        hidden = _Trace(tower, set(), Taps()).embed(tile)
        for index in range(tower.depth + 1):
            if not hidden.isfinite().all():
                return f"Layer {index - 1} of the vision tower" if index else "The patch embedding"
            if index <= tower.last_tap:
                attention = cls_attention(tower.blocks[index], hidden)
                if not attention.isfinite().all():
                    return f"The attention of layer {index} of the vision tower"
            if index < tower.depth:
                hidden = tower.blocks[index](hidden, None)
    return "The projector behind the vision tower"


def _encode_planned(
    tower: Tower,
    images: Sequence[Tensor],
    grids: Sequence[TileGrid],
    init: int,
    traces: "list[_Trace]",
    plan: Plan,
) -> list[Vision]:
    """Overviews up to the init tap, plan, then every tile that has a budget the rest of the way.

    Nothing is computed twice: the overviews wait at the tap and the crops catch up with them.
    """
    trace, behind = traces
    overviews = torch.stack([tiles[0] for tiles in images])
    waiting = trace.run(trace.embed(overviews), 0, init)
    attention = cls_attention(tower.blocks[init], waiting)
    budgets = [plan(grid, seen) for grid, seen in zip(grids, attention, strict=True)]
    wanted = [_wanted(grid, shares) for grid, shares in zip(grids, budgets, strict=True)]

    stay = [image for image, some in enumerate(wanted) if 0 in some]
    order = [(image, 0) for image in stay]
    trace.keep(stay)
    hidden = waiting[stay]
    crops = [(image, tile) for image, some in enumerate(wanted) for tile in some if tile > 0]
    if crops:
        pixels = torch.stack([images[image][tile] for image, tile in crops])
        hidden = torch.cat([hidden, behind.run(behind.embed(pixels), 0, init)])
        trace.join(behind)
        order += crops
    trace.finish(hidden, init)
    return _collect(tower, grids, trace, order, budgets, (init, attention))


def _wanted(grid: TileGrid, budgets: Sequence[int] | None) -> list[int]:
    """The tiles that have to be encoded: all without budgets, else those with a share."""
    return [tile for tile in range(grid.tiles) if budgets is None or budgets[tile] > 0]


def _given(*layers: int | None) -> set[int]:
    return {layer for layer in layers if layer is not None}


class _Trace:
    """The taps, keys and features of some tiles on their way through the blocks."""

    def __init__(self, tower: Tower, layers: set[int], taps: Taps) -> None:
        self.tower = tower
        self.layers = layers
        self.taps = taps
        self.cls: dict[int, Tensor] = {}  # layer -> (tiles, H, N)
        self.keys: dict[int, Tensor] = {}  # layer -> (tiles, N, D), at most one
        self.received: dict[int, Tensor] = {}  # layer -> (tiles, N)
        self.features: dict[int, Tensor] = {}  # hidden_states index -> (tiles, N, D)

    @property
    def seen(self) -> tuple[dict[int, Tensor], ...]:
        """All that is noted per tile."""
        return self.cls, self.keys, self.received, self.features

    def embed(self, pixels: Tensor) -> Tensor:
        """(tiles, 3, S, S) -> (tiles, 1 + N, D)."""
        device = device_of(self.tower.embeddings.patch_embedding) or pixels.device
        return self.tower.norm(self.tower.embeddings(pixels.to(device, self.tower.dtype)))

    def read(self, hidden: Tensor, index: int) -> None:
        """Note what is wanted of the input of block `index`."""
        if index in self.layers:
            self.cls[index] = cls_attention(self.tower.blocks[index], hidden)
        if index == self.taps.keys:
            self.keys[index] = patch_keys(self.tower.blocks[index], hidden)
        if index in self.taps.received:
            self.received[index] = received_attention(self.tower.blocks[index], hidden)
        if index in self.tower.feature_layers:
            self.features[index] = hidden[:, 1:]

    def run(self, hidden: Tensor, start: int, stop: int) -> Tensor:
        """Blocks start..stop - 1."""
        for index in range(start, stop):
            self.read(hidden, index)
            hidden = self.tower.blocks[index](hidden, None)
        return hidden

    def finish(self, hidden: Tensor, start: int) -> None:
        """The rest of the way, the output of the last block included."""
        self.read(self.run(hidden, start, self.tower.depth), self.tower.depth)

    def keep(self, rows: list[int]) -> None:
        """Drop the tiles that go no further."""
        for seen in self.seen:
            for layer in seen:
                seen[layer] = seen[layer][rows]

    def join(self, other: "_Trace") -> None:
        """Append the tiles of another trace that has come equally far."""
        for mine, theirs in zip(self.seen, other.seen, strict=True):
            for layer in mine:
                mine[layer] = torch.cat([mine[layer], theirs[layer]])


def _collect(
    tower: Tower,
    grids: Sequence[TileGrid],
    trace: _Trace,
    order: list[tuple[int, int]],
    budgets: Sequence[list[int] | None],
    overview: tuple[int, Tensor] | None = None,
) -> list[Vision]:
    """Sort the traced tiles back to their images; rows of tiles not encoded are zero."""
    chosen = [trace.features[layer] for layer in tower.feature_layers]
    features = chosen[0] if len(chosen) == 1 else torch.cat(chosen, dim=-1)
    visions = []
    for image, grid in enumerate(grids):
        rows = [row for row, (owner, _) in enumerate(order) if owner == image]
        tiles = [order[row][1] for row in rows]
        cls, keys, received = (
            {layer: _scatter(seen, rows, tiles, grid) for layer, seen in noted.items()}
            for noted in (trace.cls, trace.keys, trace.received)
        )
        if overview is not None and (0 not in tiles or overview[0] not in cls):
            layer, attention = overview
            seen = _scatter(attention, [image], [0], grid)
            cls[layer] = torch.cat([seen[:1], cls.get(layer, seen)[1:]])
        plan = budgets[image]
        shares = None if plan is None else tuple(plan)
        seen = _scatter(features, rows, tiles, grid)
        key = next(iter(keys.values()), None)
        visions.append(Vision(grid, seen, cls, tower.feature_tap, shares, key, received))
    return visions


def _scatter(source: Tensor, rows: list[int], tiles: list[int], grid: TileGrid) -> Tensor:
    if tiles == list(range(grid.tiles)) and rows == list(range(rows[0], rows[0] + len(rows))):
        return source[rows[0] : rows[0] + len(rows)]
    target = source.new_zeros(grid.tiles, *source.shape[1:])
    target[tiles] = source[rows]
    return target
