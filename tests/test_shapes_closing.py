"""The vision stage's closing course: what is asked of the CLS attention, and with what noise."""

import pytest
import torch

from hired.shapes.train.assemble import build_model
from hired.shapes.train.batches import Batches
from hired.shapes.train.clip_init import LAYERS, WIDTH, new_tower
from hired.shapes.train.closing import Asking, Noisy, blend, closing, from_patches, plain
from hired.shapes.train.vision_stage import Heads, run, step_loss, to_tensors

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def block():
    torch.manual_seed(0)
    tower = new_tower(0, to_tensors(Batches(50, 16)[0])["pixels"])
    return getattr(tower, "vision_model", tower).encoder.layers[2].self_attn


def test_what_comes_from_patches_leaves_the_cls_token_out(block):
    x = torch.randn(2, 10, WIDTH)
    fetched, values = from_patches(block, x)
    mask = torch.zeros(1, 1, 10, 10)
    mask[..., 0] = float("-inf")
    torch.testing.assert_close(fetched, block(x, attention_mask=mask)[0][:, 0])
    assert values.shape == (2, block.num_heads, 9, block.head_dim)
    assert torch.equal(plain(block, x, x), x[:, 0])


def test_noise_is_as_large_as_its_share_of_a_patch_and_hangs_on_seed_and_step(block):
    x = torch.randn(400, 10, WIDTH)
    clean, values = from_patches(block, x)
    noise = [closing(0.2, *at, CPU).fetch(block, x, x) - clean for at in ((0, 5), (0, 5), (0, 6))]
    assert torch.equal(noise[0], noise[1]) and not torch.equal(noise[0], noise[2])
    weight = block.out_proj.weight.square().sum(1).mean().sqrt()
    one_patch = values.square().mean().sqrt() * weight
    assert noise[0].std().item() == pytest.approx(0.2 * one_patch.item(), rel=0.01)
    silent = Noisy(0.0, torch.Generator())(block, x, x)
    torch.testing.assert_close(silent, clean)


def test_tiles_are_asked_for_what_they_have():
    content = torch.tensor([0, 2, 0, 1])
    assert torch.arange(4)[Asking().tiles(content)].tolist() == [0, 1, 2, 3]
    asking = closing(0.2, 0, 0, CPU)
    assert torch.arange(4)[asking.tiles(content)].tolist() == [1, 3]
    assert torch.arange(4)[asking.tiles(content * 0)].tolist() == [0, 1, 2, 3]


def test_words_have_centres_in_the_closing_course_alone():
    batch = to_tensors(Batches(3, 4, 2)[0])
    assert batch["middle"][2:].sum() > 10 and not batch["middle"][:2].any()
    assert Asking().batch(batch)["centre"] is batch["centre"]
    both = closing(0.2, 0, 0, CPU).batch(batch)["centre"]
    assert torch.equal(both[:2], batch["centre"][:2])
    assert torch.equal(both[2:], batch["middle"][2:]) and both.max() == 1


def test_a_blend_keeps_a_share_of_what_was():
    part = torch.nn.Linear(2, 2)
    before = {name: torch.ones_like(value) for name, value in part.state_dict().items()}
    now = {name: value.clone() for name, value in part.state_dict().items()}
    blend({"part": part}, {"part": before}, 0.25)
    for name, value in part.state_dict().items():
        torch.testing.assert_close(value, 0.75 * now[name] + 0.25)


def test_half_of_a_closing_batch_is_documents():
    few = Batches(3, 8, 6, even=5)
    assert [int((few[n]["texts"].sum(1) > 0).sum()) for n in (4, 5)] == [6, 4]
    assert [int((Batches(3, 8, 0, even=5)[5]["texts"].sum(1) > 0).sum())] == [0]


def test_every_block_learns_from_what_its_attention_fetched():
    torch.manual_seed(0)
    tower, heads = build_model().model.vision_tower, Heads(reads=True)
    batch = to_tensors(Batches(3, 4, 2)[0])
    total, parts = step_loss(tower, heads, batch, LAYERS, closing(0.2, 0, 0, CPU))
    total.backward()
    assert all(value > 0 for value in parts.values())
    for layer in getattr(tower, "vision_model", tower).encoder.layers:
        assert layer.self_attn.q_proj.weight.grad.any()
    states, fetched = run(tower, batch["pixels"], 2)
    assert len(states) == len(fetched) == 2 and fetched[0].shape == (4, WIDTH)
