"""`hired-release` is the release's selection, bit for bit, on what was recorded from it."""

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlavaNextForConditionalGeneration

from hired.clip import read_tower
from hired.encode import encode
from hired.selectors import build
from hired.wrapper import select

GOLDENS = Path(__file__).parent / "goldens"
CASES = json.loads((GOLDENS / "cases.json").read_text())


@lru_cache(maxsize=1)
def model():
    return LlavaNextForConditionalGeneration.from_pretrained(GOLDENS / "model").eval()


@lru_cache(maxsize=1)
def seen(size, partitions, seed):
    """One tower pass per image; the settings only change what is made of it."""
    pixels = np.random.default_rng(seed).standard_normal(
        (partitions, 3, 336, 336), dtype=np.float32
    )
    tower, selector = read_tower(model()), build("hired-release")
    grid = tower.fit(size)
    taps = selector.taps(tower.feature_tap)
    return encode(tower, [torch.from_numpy(pixels)], [grid], taps)[0], pixels


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["key"])
def test_goldens(case):
    vision, _ = seen(tuple(case["image_size"]), case["partitions"], case["pixel_seed"])
    selection = build("hired-release", budget=case["budget"], alpha=case["alpha"]).select(vision)
    packed = np.load(GOLDENS / "masks.npz")[case["key"]]
    mask = np.unpackbits(packed, axis=1)[:, :576].astype(bool)
    assert [vision.grid.rows, vision.grid.cols] == case["grid"]
    assert np.array_equal(selection.mask.numpy(), mask)
    assert selection.budgets == case["kept"]


def test_the_public_door_gives_the_same_mask():
    case = CASES[8]  # 480x640 at 20 %
    vision, pixels = seen(tuple(case["image_size"]), case["partitions"], case["pixel_seed"])
    selector = build("hired-release", budget=case["budget"], alpha=case["alpha"])
    batch = torch.from_numpy(pixels)[None]
    selection = select(model(), batch, torch.tensor([case["image_size"]]), selector)[0]
    assert torch.equal(selection.mask, selector.select(vision).mask)
    assert selection.kept < sum(selection.budgets)  # the letterbox took some
    assert selection.visual_tokens == selection.kept


def test_exact_keeps_the_shares_and_loses_nothing():
    case = CASES[8]
    vision, _ = seen(tuple(case["image_size"]), case["partitions"], case["pixel_seed"])
    selection = build("hired-release", budget=0.2, exact=True).select(vision)
    assert selection.kept == sum(selection.budgets) == 576


def test_all_salience_in_one_quadrant():
    """Defect 2: Eq. 1 gives the quadrant's crop nearly all, the release two bands of rows."""
    grid = read_tower(model()).fit((672, 672))
    overview = torch.full((16, 24, 24), 0.01)
    overview[:, :12, :12] = 1.0
    overview = overview.flatten(1)
    ours = build("hired").content(grid, overview)
    release = build("hired-release").content(grid, overview)
    assert ours[0] / sum(ours) == pytest.approx(0.97, abs=0.01)
    assert release[0] < 0.5 * sum(release) and release[1] == pytest.approx(release[0], rel=0.01)


def test_nothing_is_never_kept():
    for settings in ({"budget": 1}, {"budget": 1, "alpha": 0.0}, {"budget": 3, "alpha": 1.0}):
        vision, _ = seen((600, 600), 5, 1000)
        assert build("hired-release", **settings).select(vision).kept >= 1
