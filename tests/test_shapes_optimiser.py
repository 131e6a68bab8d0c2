"""Muon and AdamW as one optimiser, attention by plain products, and batches that come twice."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hired.shapes.train.attention import SLICE, attend
from hired.shapes.train.optimiser import MUON_SHARE, Optimiser
from hired.shapes.train.vision_stage import twice


def layers():
    torch.manual_seed(0)
    return nn.ModuleDict(
        {"fc1": nn.Linear(6, 4), "q_proj": nn.Linear(6, 4), "embedding": nn.Embedding(5, 6)}
    )


def test_each_parameter_is_trained_by_one_of_the_two():
    model = layers()
    optimiser = Optimiser(model.named_parameters(), ("fc1",), ("q_proj",), decay=0.02)
    adam, muon = optimiser.parts
    trained = [p for part in optimiser.parts for g in part.param_groups for p in g["params"]]
    assert {id(p) for p in trained} == {id(p) for p in model.parameters()}
    assert len(trained) == len(optimiser.parameters) == len(list(model.parameters()))
    assert [p.shape for p in muon.param_groups[0]["params"]] == [(4, 6)]
    optimiser.rate(0.1)
    rates = {id(p): (g["lr"], g["weight_decay"]) for g in adam.param_groups for p in g["params"]}
    assert rates[id(model["q_proj"].weight)] == pytest.approx((0.02, 0.02))
    assert rates[id(model["q_proj"].bias)] == pytest.approx((0.02, 0.0))
    assert rates[id(model["embedding"].weight)] == pytest.approx((0.1, 0.0))
    assert muon.param_groups[0]["lr"] == pytest.approx(0.1 * MUON_SHARE)


def test_a_step_turns_all_directions_of_a_matrix_alike():
    model = nn.ModuleDict({"fc1": nn.Linear(8, 8, bias=False)})
    before = model["fc1"].weight.detach().clone()
    optimiser = Optimiser(
        [*model.named_parameters(), ("b", nn.Parameter(torch.zeros(1)))], ("fc1",)
    )
    optimiser.rate(0.01)
    one = torch.outer(torch.arange(8.0), torch.ones(8)) + 0.3 * torch.eye(8)
    (model["fc1"].weight * one).sum().backward()
    optimiser.step(longest=1.0)
    lengths = torch.linalg.svdvals(before * (1 - 0.02 * 0.02) - model["fc1"].weight.detach())
    steepest, flattest = torch.linalg.svdvals(one)[[0, -1]]
    assert steepest / flattest > 50
    assert lengths[0] / lengths[-1] < 3
    optimiser.zero_grad()
    assert model["fc1"].weight.grad is None


@pytest.mark.parametrize("length", [1, SLICE, 2 * SLICE + 7])
def test_causal_products_are_what_torch_computes(length):
    check((length, length), None)


def test_masked_products_are_what_torch_computes():
    hidden = torch.rand(2, 1, 9, 30) < 0.4
    check((9, 30), torch.zeros(2, 1, 9, 30).double().masked_fill_(hidden, float("-inf")))


def check(lengths, mask):
    torch.manual_seed(0)
    asked, known = lengths
    query, key, value = (
        torch.randn(2, 3, n, 8, dtype=torch.double, requires_grad=True)
        for n in (asked, known, known)
    )
    pull = torch.randn(2, asked, 24).double()
    ours = attend(query, key, value, mask)
    stock = F.scaled_dot_product_attention(query, key, value, mask, is_causal=mask is None)
    stock = stock.transpose(1, 2).flatten(2)
    torch.testing.assert_close(ours, stock)
    pulls = [torch.autograd.grad(out, (query, key, value), pull) for out in (ours, stock)]
    torch.testing.assert_close(*pulls)


def test_products_stay_in_the_half_precision_of_autocast():
    x, weight = torch.randn(1, 2, 5, 8), torch.randn(8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        value = x @ weight
        assert attend(x, x, value, None).dtype == torch.bfloat16


def test_every_batch_comes_twice():
    seen = [int(batch["n"]) for batch in twice(({"n": torch.tensor(n)} for n in range(7)), 3)]
    assert seen == [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 6]
