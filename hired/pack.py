"""Kept patches -> projector -> the language model's sequence, placeholders cut to fit.

Knows the stock projector and packing, nothing of how patches were chosen. The kept tokens are a
subsequence of the stock sequence, overview first, then the crops in raster order of the canvas.
Their positions are consecutive, or those they have in that sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from hired.ambient import on_cpu
from hired.encode import Vision
from hired.errors import InputError
from hired.selectors import Selection
from hired.stock import read_parameter, unwrap
from hired.tiles import TileGrid

NEWLINE = -1


@dataclass(frozen=True)
class Packed:
    """A batch ready for the language model.

    Attributes:
        input_ids: (B, L), left-padded, as many placeholders as there are features.
        attention_mask: (B, L).
        features: (K, E) of each image, newline embeddings included, in prompt order.
        finite: whether no feature is NaN or infinite, () on their device; None without images.
        position_ids: (B, L) in the stock sequence, 0 on padding; None where they count up.
    """

    input_ids: Tensor
    attention_mask: Tensor
    features: list[Tensor]
    finite: Tensor | None = None
    position_ids: Tensor | None = None

    def extras(self, device: torch.device) -> dict[str, Tensor]:
        """Further arguments for `generate` and a forward pass, beside ids, mask and features."""
        places = self.position_ids
        return {} if places is None else {"position_ids": places.to(device)}


@on_cpu
def pack(
    model: Any,
    input_ids: Tensor,
    attention_mask: Tensor | None,
    visions: Sequence[Vision],
    selections: Sequence[Selection],
) -> Packed:
    """Project the kept patches and cut the prompt's placeholders to their number.

    Args:
        model: a stock LLaVA model; only read.
        input_ids: (B, L) with one placeholder per *stock* visual token, as processors make it.
        attention_mask: (B, L), or None for a batch without padding.
        visions, selections: one per image, in prompt order.

    Raises:
        InputError: the placeholders do not match the images.
    """
    with torch.inference_mode():
        features = project(model, visions, selections)
    stock = [selection.stock for selection in selections]
    kept = [len(feature) for feature in features]
    ids, mask = shrink(input_ids, attention_mask, stock, kept, *_special_ids(model))
    image_id = model.config.image_token_id
    positions = place_tokens(ids, mask, selections, image_id)
    finite = None
    if features:  # read with the first token, so that nothing waits for it
        finite = torch.stack([part.isfinite().all() for part in features]).all()
    return Packed(ids, mask, features, finite, positions)


def project(model: Any, visions: Sequence[Vision], selections: Sequence[Selection]) -> list[Tensor]:
    """(K, E) of each image: projected patches and newlines in sequence order.

    When every candidate of every image is kept, projector and packing are called exactly as the
    stock model calls them, so the result is equal to the bit. A selection that brings features
    of its own (merged tokens) has them projected in place of the tower's.
    """
    if not visions:
        return []
    body = unwrap(model).model
    if all(selection.everything for selection in selections):
        projected = body.multi_modal_projector(_side_by_side([one.features for one in visions]))
        tiles = projected.split([vision.grid.tiles for vision in visions])
        if not hasattr(body, "image_newline"):
            return [tile[0] for tile in tiles]
        sizes = torch.tensor([vision.grid.image_size for vision in visions])
        return body.pack_image_features(
            list(tiles), sizes, "default", image_newline=read_parameter(body, "image_newline")
        )[0]
    return project_kept(body, visions, selections)


def _side_by_side(features: Sequence[Tensor]) -> Tensor:
    """All tiles, (sum of T, N, D), in memory as the stock tower leaves them: a tile's rows behind
    that of its CLS token. Some CPUs round a product in half precision by its layout.
    """
    if len(features) == 1:
        return features[0]
    return torch.cat([pad(one, (0, 0, 1, 0)) for one in features])[:, 1:]


def project_kept(
    body: Any, visions: Sequence[Vision], selections: Sequence[Selection]
) -> list[Tensor]:
    """(K, E) of each image, only what is kept going through the projector, in one call.

    Args:
        body: has `multi_modal_projector`, and `image_newline` where the model has newlines.
        visions, selections: one per image.
    """
    orders = [sequence(selection) for selection in selections]
    sources = [
        vision.features if selection.features is None else selection.features
        for vision, selection in zip(visions, selections, strict=True)
    ]
    kept = [
        source.flatten(0, 1)[order[order != NEWLINE].to(source.device)]
        for source, order in zip(sources, orders, strict=True)
    ]
    projected = body.multi_modal_projector(torch.cat(kept)).split([len(part) for part in kept])
    return [
        _with_newlines(body, part, order) for part, order in zip(projected, orders, strict=True)
    ]


def sequence(selection: Selection) -> Tensor:
    """Flat patch indices t·N + j in sequence order, -1 for a newline: (K,) on the CPU."""
    grid = selection.grid
    order = canvas_order(grid)
    if not selection.newlines:
        order = order[order != NEWLINE]
    keep = torch.cat([selection.mask.flatten(), torch.ones(1, dtype=torch.bool)])  # [-1]: newline
    return order[keep[order]]


def stock_places(selection: Selection) -> Tensor:
    """The place of each token of `sequence` among the image's stock tokens: (K,) on the CPU."""
    order = canvas_order(selection.grid)
    keep = torch.cat([selection.mask.flatten(), torch.tensor([selection.newlines > 0])])
    return keep[order].nonzero()[:, 0]  # [-1]: newline


def place_tokens(
    input_ids: Tensor, mask: Tensor, selections: Sequence[Selection], image_id: int
) -> Tensor | None:
    """Stock positions of shortened prompts, (B, L), 0 on padding; None where none are asked for.

    Args:
        input_ids, mask: (B, L) as `shrink` gives them.
        selections: one per image, in prompt order.
        image_id: the placeholder.
    """
    if not any(one.positions == "original" and not one.everything for one in selections):
        return None
    steps = mask.cpu().long().clone()  # from each token to the one before it in the stock sequence
    visual = (input_ids.cpu() == image_id) & (steps > 0)
    rows, columns = visual.nonzero(as_tuple=True)
    start = 0
    for one in selections:
        places = stock_places(one)
        end = start + len(places)
        if one.positions == "original" and len(places):
            row, mine = rows[start], columns[start:end]
            steps[row, mine] += places.diff(prepend=torch.tensor([-1])) - 1
            if mine[-1] + 1 < steps.shape[1]:
                steps[row, mine[-1] + 1] += one.stock - 1 - places[-1]
        start = end
    return ((steps.cumsum(1) - 1) * mask.cpu()).to(input_ids.device)


def canvas_order(grid: TileGrid) -> Tensor:
    """Every candidate in stock order: the overview, then the unpadded canvas row by row.

    Flat indices t·N + j; -1 where stock LLaVA-NeXT ends a canvas row with a newline.
    """
    overview = torch.arange(grid.patches)
    if grid.tiles == 1:
        return overview
    side = grid.side
    crops = torch.arange(grid.patches, grid.nominal).view(grid.rows, grid.cols, side, side)
    canvas = crops.transpose(1, 2).reshape(grid.rows * side, grid.cols * side)
    top, bottom, left, right = grid.unpadded
    canvas = pad(canvas[top:bottom, left:right], (0, 1), value=NEWLINE)
    return torch.cat([overview, canvas.flatten()])


def _with_newlines(body: Any, projected: Tensor, order: Tensor) -> Tensor:
    newline = (order == NEWLINE).to(projected.device)
    if len(projected) == len(order):
        return projected
    packed = projected.new_empty(len(order), projected.shape[-1])
    packed[~newline] = projected
    packed[newline] = read_parameter(body, "image_newline").to(projected)
    return packed


def _special_ids(model: Any) -> tuple[int, int]:
    pads = (model.generation_config.pad_token_id, model.config.get_text_config().pad_token_id, 0)
    return model.config.image_token_id, next(pad for pad in pads if pad is not None)


def shrink(
    input_ids: Tensor,
    attention_mask: Tensor | None,
    stock: Sequence[int],
    kept: Sequence[int],
    image_id: int,
    pad_id: int,
) -> tuple[Tensor, Tensor]:
    """Keep the first `kept[i]` of the `stock[i]` placeholders of each image and pad left again.

    Raises:
        InputError: the prompts do not hold exactly the placeholders of these images.
    """
    device = input_ids.device
    input_ids = input_ids.cpu()  # one wait for the device, not one per prompt and image
    mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask.cpu()
    rows, image = [], 0
    for ids, real in zip(input_ids, mask.bool(), strict=True):
        ids = ids[real]
        places = (ids == image_id).nonzero().squeeze(1)
        keep = torch.ones_like(ids, dtype=torch.bool)
        start = 0
        while start < len(places) and image < len(stock):
            keep[places[start + kept[image] : start + stock[image]]] = False
            start += stock[image]
            image += 1
        if start != len(places):
            _refuse(len(places), stock)
        rows.append(ids[keep])
    if image != len(stock):
        _refuse(int((input_ids == image_id).sum()), stock)
    length = max(len(row) for row in rows)
    padding = input_ids[mask == 0]  # the caller's own: penalties for repetition see it
    pad_id = int(padding[0]) if len(padding) else pad_id
    ids = torch.stack(
        [torch.nn.functional.pad(r, (length - len(r), 0), value=pad_id) for r in rows]
    )
    lengths = torch.tensor([len(row) for row in rows])
    real = torch.arange(length) >= length - lengths[:, None]
    return ids.to(device), real.to(device, mask.dtype)


def _refuse(found: int, stock: Sequence[int]) -> None:
    raise InputError(
        f"The prompt holds {found} image placeholders, but its images need {list(stock)}. Pass "
        f"input_ids, pixel_values and image_sizes from one call of the model's own processor."
    )
