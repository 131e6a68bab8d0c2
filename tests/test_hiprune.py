"""HiPrune's three kinds of patches, worked out by hand, and what its maps cost whom."""

import pytest
import torch
from conftest import make_image
from test_methods import kept
from test_select_times import Largest

from hired import taps
from hired.comparison.preview import Preview, from_arrays, to_arrays
from hired.encode import Taps, Vision
from hired.errors import SettingError
from hired.selectors import build, parse
from hired.selectors.hiprune import neighbours
from hired.taps import received_attention
from hired.tiles import TileGrid
from hired.wrapper import select

SINGLE = TileGrid.single((84, 84), 84, 14)  # one tile of 6 x 6 patches


def see(middle, deep):
    """A tile whose patches received this, by index, in layers 1 and 2; nothing elsewhere."""
    received = {layer: torch.zeros(1, 36) for layer in (1, 2)}
    for layer, given in ((1, middle), (2, deep)):
        for patch, score in given.items():
            received[layer][0, patch] = score
    return Vision(SINGLE, torch.rand(1, 36, 4), {}, 2, received=received)


def test_anchors_then_their_neighbours_then_registers():
    seen = see({14: 0.9, 3: 0.1}, {0: 0.5, 35: 0.4, 15: 0.3, 7: 0.2})
    lane = build("hiprune", budget=10, object_share=0.5)  # round(10 · 0.5 / 5) = 1 anchor
    assert kept(lane.select(seen)) == [[0, 1, 2, 7, 8, 13, 14, 15, 20, 35]]
    assert kept(build("hiprune", budget=10, object_share=0.0).select(seen)) == [
        [0, 1, 2, 3, 4, 5, 6, 7, 15, 35]
    ]


def test_too_many_buffers_give_way_to_the_budget():
    seen = see({14: 0.9, 21: 0.8}, {0: 0.5, 15: 0.3})
    lane = build("hiprune", budget=8, object_share=1.0)  # 2 anchors, and neighbours for 10
    assert kept(lane.select(seen)) == [[8, 13, 14, 15, 20, 21, 22, 27]]
    lane = build("hiprune", budget=3, object_share=1.0)
    assert kept(lane.select(seen)) == [[8, 14, 15]]


@pytest.mark.parametrize(
    ("patch", "around"),
    [(0, [0, 1, 6]), (5, [4, 5, 11]), (6, [0, 6, 7, 12]), (14, [8, 13, 14, 15, 20])],
)
def test_neighbours_stay_in_the_picture(patch, around):
    mask = torch.zeros(2, 36, dtype=torch.bool)
    mask[1, patch] = True
    found = neighbours(mask, 6)
    assert not found[0].any() and found[1].nonzero().flatten().tolist() == around


@pytest.mark.parametrize(
    ("feature_tap", "layers"), [(22, (8, 22)), (23, (8, 23)), (2, (1, 2)), (0, (0, 0))]
)
def test_layers_are_as_deep_as_the_papers(feature_tap, layers):
    assert build("hiprune").taps(feature_tap) == Taps(received=layers)
    lane = build("hiprune", object_layer=3, deep_layer=1)
    assert lane.taps(feature_tap).received == (3, 1)


def test_a_layer_that_is_not_there_is_refused(tiny):
    with pytest.raises(SettingError, match="0 to 3; got 7"):
        Preview(*tiny).select(make_image(90, 90), build("hiprune", object_layer=7))


def test_previews_read_whole_maps_only_once_a_method_asks(tiny, monkeypatch):
    preview, image = Preview(*tiny), make_image(120, 160)
    passes, encode = [], preview.encode

    def count(one, *received):
        passes.append(received)
        return encode(one, *received)

    monkeypatch.setattr(preview, "encode", count)
    preview.select(image, build("hired"))
    assert passes == [()] and preview.knows(image) and not preview.knows(image, 1)
    shown = preview.select(image, build("hiprune"))
    for lane in ("hiprune:budget=30%", "hiprune:object_layer=2", "hired"):
        preview.select(image, parse(lane))
    assert passes == [(), (1, 2)] and preview.knows(image, 2, 1)
    preview.select(image, build("hiprune", object_layer=0))
    assert passes[2:] == [(0, 1, 2)], "what was asked before is not forgotten"
    pixels = tiny[1].image_processor(images=image, return_tensors="pt")
    [expected] = select(tiny[0], pixels["pixel_values"], pixels["image_sizes"], build("hiprune"))
    assert torch.equal(shown.mask, expected.mask)
    there = from_arrays(to_arrays(preview.look(image)))
    assert torch.equal(build("hiprune").select(there).mask, shown.mask)


def test_no_map_is_ever_whole(tiny, monkeypatch):
    block, tokens = tiny[0].model.vision_tower.encoder.layers[0], 40 * taps.ROWS
    hidden = torch.randn(1, tokens, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(), Largest() as seen:
        found = received_attention(block, hidden)
    heads = block.self_attn.num_heads
    assert seen.numbers <= heads * taps.ROWS * tokens < heads * tokens**2 / 30
    monkeypatch.setattr(taps, "ROWS", tokens)
    with torch.inference_mode():
        assert torch.allclose(received_attention(block, hidden), found, atol=1e-7)
