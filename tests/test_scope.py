"""SCOPE's greedy choice against its definition, and where the definition leaves it open."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_methods import SMALL, kept, vision

from hired.selectors import build
from hired.selectors.scope import most_covering


def by_definition(features, saliency, count):
    """Every gain from the covers anew, at every step."""
    unit = torch.nn.functional.normalize(features, dim=-1)
    alike = (unit @ unit.T).clamp(min=0).double()
    cover, chosen = torch.zeros(len(alike), dtype=torch.float64), []
    for _ in range(count):
        gains = (alike - cover[:, None]).clamp(min=0).sum(dim=0) * saliency.double()
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
        cover = torch.maximum(cover, alike[chosen[-1]])
    return chosen


@given(st.integers(2, 200), st.integers(0, 99), st.data())
@settings(max_examples=40, deadline=None)
def test_the_choice_is_the_definitions(count, seed, data):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, 12, generator=generator)
    saliency = torch.rand(count, generator=generator) + 0.01
    wanted = data.draw(st.integers(1, max(1, count // 2)))
    ours, theirs = (
        most_covering(features, saliency, wanted).tolist(),
        by_definition(features, saliency, wanted),
    )
    assert ours == theirs


def test_by_hand():
    """1 and 2 cover each other; 0 and 3 only themselves, and 3 is seen more."""
    features = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]])
    saliency = torch.tensor([0.1, 0.3, 0.2, 0.4])
    assert most_covering(features, saliency, 3).tolist() == [1, 3, 0]  # 0.6, 0.4; then 2 gains 0
    seen = vision(SMALL, saliency.tolist(), features=features[None])
    assert kept(build("scope", budget=3).select(seen)) == [[0, 1, 3]]
    assert most_covering(features, saliency, 4).tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("saliency", [torch.zeros(9), torch.arange(9.0)])
def test_nothing_left_to_cover_or_to_see_still_fills_the_budget(saliency):
    order = most_covering(torch.ones(9, 4), saliency, 9).tolist()
    assert sorted(order) == list(range(9))
    assert order[0] == int(saliency.argmax())


def test_features_that_are_no_numbers_are_not_chosen_twice():
    features = torch.full((9, 4), torch.nan)
    assert sorted(most_covering(features, torch.ones(9), 5).tolist()) == [0, 1, 2, 3, 4]
