"""Each method's own formula on examples worked out by hand, and what merging may change."""

import math

import pytest
import torch
from conftest import make_image, prompt
from test_selectors import see

from hired.clip import read_tower, split_tiles
from hired.comparison.lane import Prompt, run_lane
from hired.encode import Taps, Vision, encode
from hired.errors import SettingError
from hired.pack import pack
from hired.selectors import SELECTORS, build, candidate_mask, fitting, prumerge
from hired.selectors.divprune import most_diverse
from hired.selectors.globalcom2 import crop_ratios, stretch
from hired.selectors.prumerge import add_neighbours, find_outliers
from hired.selectors.visionzip import mean_by_nearest
from hired.selectors.vispruner import thin_out
from hired.tiles import TileGrid
from hired.wrapper import HiredModel, look

SMALL = TileGrid.single((28, 28), 28, 14)  # one tile of 2 x 2 patches
WIDE = TileGrid.fit((28, 56), [[28, 56]], 28, 14)  # an overview and two crops of 2 x 2
FUSED = {"fuse": True}
MERGING = {"visionzip": {}, "prumerge": {}, "prumerge-plus": {}, "hired": FUSED}
MERGING["hired-release"] = FUSED


def vision(grid, *attention, features=None):
    """One head; a list of N attentions per tile."""
    cls = torch.tensor(attention)[:, None]
    if features is None:
        features = torch.eye(grid.patches).repeat(grid.tiles, 1, 1)
    received = {layer: cls.mean(dim=1) for layer in (0, 1, 2)}
    return Vision(grid, features, {2: cls, 0: cls}, 2, keys=features, received=received)


def kept(selection):
    return [row.nonzero().flatten().tolist() for row in selection.mask]


def test_fastervlm_ranks_by_the_mean_of_the_heads_in_every_tile_alike():
    one = torch.tensor([[[0.9, 0.0, 0.0, 0.5]], [[0.1, 0.2, 0.3, 0.4]], [[0.4, 0.3, 0.2, 0.1]]])
    other = torch.zeros_like(one)
    other[0, 0, 1] = 0.7
    seen = Vision(WIDE, torch.rand(3, 4, 2), {2: torch.cat([one, other], dim=1)}, 2)
    selection = build("fastervlm", budget=6).select(seen)
    assert kept(selection) == [[0, 1], [2, 3], [0, 1]]
    assert torch.allclose(selection.scores[0], torch.tensor([0.45, 0.35, 0.0, 0.25]))


@pytest.mark.parametrize("name", ["fastervlm", "vispruner", "visionzip", "prumerge"])
def test_every_tile_gets_the_same_rate_of_its_candidates(name):
    seen = see((60, 160), seed=3)  # letterboxed: the crops have fewer candidates than the overview
    grid = seen.grid
    budgets = build(name, budget=20).select(seen).budgets
    assert sum(budgets) == 20 and len(set(grid.caps)) > 1
    for budget, cap in zip(budgets, grid.caps, strict=True):
        assert abs(budget - 20 * cap / grid.candidates) < 1


def test_vispruner_removes_what_is_most_like_another():
    rows = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.0]])
    assert sorted(thin_out(rows, 4).tolist()) == [1, 2, 3, 4]  # 0 is the same as 1
    assert sorted(thin_out(rows, 3).tolist()) == [1, 3, 4]  # then 2, at 45° to 3
    assert thin_out(rows, 5).tolist() == [0, 1, 2, 3, 4] and len(thin_out(rows, 0)) == 0


def test_vispruner_takes_its_important_half_by_attention_first():
    features = torch.tensor([[[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [1.0, 0.2]]])
    seen = vision(SMALL, [0.1, 0.4, 0.2, 0.3], features=features)
    assert kept(build("vispruner", budget=2, important=1.0).select(seen)) == [[1, 3]]
    # 1 is important; of 3, 2, 0 (by attention) the sets are {3, 0} and {2}: both of the first go
    assert kept(build("vispruner", budget=2).select(seen)) == [[1, 2]]
    with pytest.raises(SettingError, match="important"):
        build("vispruner", important=2)


def test_visionzip_adds_the_mean_of_what_comes_to_a_target():
    features = torch.tensor([[[1.0, 0.0], [5.0, 5.0], [2.0, 0.0], [0.0, 4.0]]])
    seen = vision(SMALL, [0.1, 0.4, 0.3, 0.2], features=features)
    selection = build("visionzip", budget=2, contextual=0.5).select(seen)
    assert kept(selection) == [[0, 1]]  # 1 is dominant; 0 the target among 0, 2, 3
    assert selection.features[0, 0].tolist() == [1 + (2 + 0) / 2, 0 + (0 + 4) / 2]
    assert selection.features[0, 1].tolist() == [5, 5]
    added = mean_by_nearest(
        torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]),
        torch.tensor([[9.0, 1.0], [5.0, 0.0], [1.0, 7.0]]),
        torch.tensor([[2.0], [4.0], [10.0]]),
    )
    assert added.tolist() == [[3.0], [10.0], [0.0]]


def test_visionzip_shares_its_budget_as_published():
    seen = see((84, 84), seed=3, single=True)
    attention = seen.cls[2].mean(dim=1)[0]
    selection = build("visionzip", budget=32).select(seen)  # 27 dominant and 5 contextual
    assert selection.mask[0, attention.argsort(descending=True)[:27]].all() and selection.kept == 32


def test_globalcom2_crop_ratios():
    """r_i = R(1 + σ_i − 1/k), σ = softmax(s / 10), s = (0.6, 0.2)."""
    left, right = crop_ratios(WIDE, torch.tensor([0.4, 0.1, 0.2, 0.1]))
    sigma = 1 / (1 + math.exp(-0.04))
    assert (left, right) == (pytest.approx(0.5 + sigma), pytest.approx(1.5 - sigma))
    heavy = build("globalcom2", budget=6).budgets(WIDE, torch.tensor([[900.0, 0, 0, 0]]))
    assert heavy == [2, 3, 1]  # shares 1, 1.5, 0.5 of a third each


def test_globalcom2_adds_global_to_local_attention():
    assert stretch(WIDE, torch.tensor([0.0, 1.0, 0.0, 1.0])).tolist() == [
        [0.0, 0.25, 0.0, 0.25],
        [0.75, 1.0, 0.75, 1.0],
    ]
    seen = vision(WIDE, [0.0, 1.0, 0.0, 1.0], [3.0, 0.0, 4.0, 0.0], [0.0, 0.0, 0.0, 2.0])
    scores = build("globalcom2").scores(seen)
    half = math.sqrt(0.5)
    assert torch.allclose(scores[1], torch.tensor([0.6, half, 0.8, half]))
    norm = math.sqrt(2 * (0.75**2 + 1))
    assert torch.allclose(scores[2], torch.tensor([0.75, 1, 0.75, 1]) / norm + torch.eye(4)[3])


def test_divprune_takes_the_farthest_each_time():
    angles = torch.tensor([0.0, 10.0, 90.0, 180.0]).deg2rad()
    rows = torch.stack([angles.cos(), angles.sin()], dim=1) * torch.tensor([1, 7, 2, 3])[:, None]
    assert most_diverse(rows, 4).tolist() == [3, 0, 2, 1]
    seen = vision(SMALL, [0.9, 0.8, 0.1, 0.0], features=rows[None])
    assert kept(build("divprune", budget=2).select(seen)) == [[0, 3]]


def test_prumerge_adds_neighbours_weighted_by_attention(monkeypatch):
    features = torch.tensor([[1.0], [10.0], [100.0], [1000.0]])
    keys = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.1, 1.0]])
    weights = torch.tensor([0.5, 0.2, 0.1, 0.2])
    kept_ = torch.tensor([0, 1])
    everyone = add_neighbours(features, keys, weights, kept_)
    assert everyone.flatten().tolist() == pytest.approx([1 + 2 + 10 + 200, 10 + 0.5 + 10 + 200])
    monkeypatch.setattr(prumerge, "NEIGHBOURS", 1)
    nearest = add_neighbours(features, keys, weights, kept_)
    assert nearest.flatten().tolist() == pytest.approx([1 + 0.1 * 100, 10 + 0.2 * 1000])


def test_prumerge_finds_outliers():
    values = torch.tensor([1.0, 2, 3, 4, 5, 6, 7, 8, 9])  # quartiles 3 and 7: the fence is at 13
    assert not find_outliers(values).any()
    values[8] = 13.0
    assert not find_outliers(values).any()
    values[8] = 13.1
    assert find_outliers(values).nonzero().flatten().tolist() == [8]


def spiky(*spikes, size=(84, 84), single=True):
    seen = see(size, seed=4, single=single)  # all zero
    for layer in seen.cls.values():
        for spike in spikes:
            layer[spike] = 1.0
    return seen


def test_adaptive_prumerge_keeps_as_much_as_stands_out():
    found = {"hired-release", "prumerge-adaptive", "prumerge-plus-adaptive"}
    assert {name for name, cls in SELECTORS.items() if not cls.fixed_count} == found
    one, two = ((0, slice(None), patch) for patch in (7, 20))
    assert kept(build("prumerge-adaptive").select(spiky(one))) == [[7]]
    assert kept(build("prumerge-adaptive").select(spiky(one, two))) == [[7, 20]]
    assert build("prumerge-adaptive").select(spiky()).kept == 1
    # + adds every 36 // 1 // 3 = 12th patch, or every 36 // 2 // 3 = 6th
    assert kept(build("prumerge-plus-adaptive").select(spiky(one))) == [[0, 7, 12, 24]]
    assert kept(build("prumerge-plus-adaptive").select(spiky(one, two))) == [
        [0, 6, 7, 12, 18, 20, 24, 30]
    ]


def test_adaptive_prumerge_never_keeps_the_letterbox():
    for seed in range(20):
        seen = see((60, 160), seed)
        for name in ("prumerge-adaptive", "prumerge-plus-adaptive"):
            selection = build(name).select(seen)
            assert selection.kept == int(selection.mask.sum()) == sum(selection.budgets) >= 1


def test_prumerge_plus_is_a_quarter_outliers_and_an_even_rest():
    seen = spiky((0, slice(None), 7), (0, slice(None), 20))
    rest = [index for index in range(36) if index not in (7, 20)]
    even = [rest[(2 * step + 1) * 34 // 12] for step in range(6)]
    assert kept(build("prumerge-plus", budget=8).select(seen)) == [sorted([7, 20, *even])]


@pytest.mark.parametrize("name", ["hired", "hired-release"])
def test_the_fused_token_is_the_weighted_mean_of_what_is_dropped(name):
    features = torch.tensor([[[1.0, 0.0], [0.0, 6.0], [3.0, 0.0], [0.0, 12.0]]])
    seen = vision(SMALL, [0.4, 0.3, 0.2, 0.1], features=features)
    settings = {"budget": 2, "alpha": 1.0}
    selection = build(name, fuse=True, **settings).select(seen)
    assert kept(selection) == [[0, 1]]  # 1 is the weakest kept: it joins 2 and 3
    expected = [0.2 * 3 / 0.6, (0.3 * 6 + 0.1 * 12) / 0.6]
    assert selection.features[0, 1].tolist() == pytest.approx(expected)
    assert selection.features[0, 0].tolist() == [1, 0]
    plain = build(name, **settings).select(seen)
    assert plain.features is None and torch.equal(plain.mask, selection.mask)
    blank = build(name, fuse=True, **settings).select(vision(SMALL, [0.0] * 4, features=features))
    assert blank.features.isfinite().all() and not torch.equal(blank.features, features)


@pytest.mark.parametrize("name", MERGING)
def test_merging_changes_kept_features_only_and_nothing_of_what_was_seen(name):
    for seed in (1, 2, 3, 5, 6):  # those without attention have nothing to weigh with
        seen = see((60, 160), seed)
        before = seen.features.clone()
        selection = build(name, budget=30, **MERGING[name]).select(seen)
        assert torch.equal(seen.features, before)
        assert selection.features.shape == before.shape
        assert torch.equal(selection.features[~selection.mask], before[~selection.mask])
        assert not torch.equal(selection.features, before)
        assert not (selection.mask & ~candidate_mask(seen.grid)).any() or name == "hired-release"


def inputs_of(processor, *sizes):
    images = [make_image(*size, seed=index) for index, size in enumerate(sizes)]
    return processor(images=images, text=[prompt()] * len(sizes), return_tensors="pt", padding=True)


def packed_by(model, inputs, selector):
    seen = look(read_tower(model), inputs["pixel_values"], inputs["image_sizes"], selector)
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    return pack(model, ids, mask, *zip(*seen, strict=True)), seen


@pytest.mark.parametrize("name", [name for name, cls in SELECTORS.items() if cls.fixed_count])
def test_everything_kept_is_the_stock_sequence_under_every_method(tiny, name):
    model, processor = tiny
    inputs = inputs_of(processor, (120, 168), (84, 252))
    stock, _ = packed_by(model, inputs, build("full"))
    settings = fitting(name, {"budget": 1.0, "fuse": name == "hired"})
    ours, _ = packed_by(model, inputs, build(name, **settings))
    for one, two in zip(stock.features, ours.features, strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("name", MERGING)
@torch.inference_mode()
def test_merged_features_are_what_is_projected(tiny, name):
    model, processor = tiny
    selector = build(name, budget=0.2, **MERGING[name])
    packed, ((seen, selection),) = packed_by(model, inputs_of(processor, (168, 168)), selector)
    project = model.model.multi_modal_projector
    merged, plain = (project(f[selection.mask]).sum(0) for f in (selection.features, seen.features))
    assert torch.allclose(packed.features[0].sum(0), merged, atol=1e-4)
    assert not torch.allclose(merged, plain, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in SELECTORS if name not in ("full", "random")])
def test_a_batch_answers_like_its_prompts_alone_under_every_method(tiny, name):
    model, processor = tiny
    sizes = [(168, 168), (84, 252), (120, 168)]
    wrapped = HiredModel(
        model, build(name, **fitting(name, {"budget": 0.3, **MERGING.get(name, {})}))
    )
    together = wrapped.generate(**inputs_of(processor, *sizes), max_new_tokens=3)
    for index, size in enumerate(sizes):
        image = make_image(*size, seed=index)
        inputs = processor(images=image, text=prompt(), return_tensors="pt")
        alone = wrapped.generate(**inputs, max_new_tokens=3)
        assert torch.equal(alone[0, -3:], together[index, -3:])


def test_a_lane_of_copies_is_measured_and_hands_on_no_features(tiny):
    told = {}
    for batch in (1, 3):
        asked = Prompt(*tiny, make_image(168, 168), "what ?", {"max_new_tokens": 3}, batch)
        run_lane(asked, build("visionzip"), lambda **news: told.update(news), lambda: False, False)
        assert told["selection"].kept == told["metrics"].visual_tokens == 36
        assert told["selection"].features is None
        told[batch] = told["metrics"].kv_cache_bytes
    assert told[3] == 3 * told[1]


@torch.inference_mode()
def test_keys_are_those_of_the_layer_planned_or_not(tiny):
    model, processor = tiny
    inputs, tower = inputs_of(processor, (168, 168)), read_tower(model)
    images = split_tiles(tower, inputs["pixel_values"], inputs["image_sizes"])
    grids = [tower.fit(size) for size in inputs["image_sizes"]]
    caught = []
    layer = model.model.vision_tower.encoder.layers[2].self_attn.k_proj
    handle = layer.register_forward_hook(lambda module, args, output: caught.append(output))
    try:
        model.model.vision_tower(images[0])
    finally:
        handle.remove()
    assert encode(tower, images, grids, Taps(final=2))[0].keys is None
    for plan, init in ((None, None), (lambda *_: [3, 1, 1, 1, 1], 0), (lambda *_: [1] * 5, 3)):
        keys = encode(tower, images, grids, Taps(init, 2, keys=2), plan)[0].keys
        assert torch.allclose(keys, caught[0][:, 1:], atol=1e-5)
    skipped = encode(tower, images, grids, Taps(0, 2, keys=2), lambda *_: [3, 0, 1, 1, 1])[0].keys
    assert not skipped[1].any() and torch.allclose(skipped[2], caught[0][2, 1:], atol=1e-5)
