"""The fast choices are those of the plain ones, in memory that grows with the patches alone."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize
from torch.utils._python_dispatch import TorchDispatchMode

from hired.bench import select_times
from hired.bench.plan import METHODS
from hired.bench.select_times import describe_selecting, make_record, measure_selecting
from hired.cli import main
from hired.errors import SettingError
from hired.selectors import build, settings_of
from hired.selectors.divprune import most_diverse
from hired.selectors.farthest import ROWS, largest, pick_farthest, pick_on_device
from hired.selectors.vispruner import STEP, thin_out


def farthest_by_matrix(features, count):
    """DivPrune as its paper writes it: all distances first."""
    unit = normalize(features, dim=-1)
    distance = 1 - unit @ unit.T
    distance.fill_diagonal_(torch.inf)
    chosen = [distance.amin(dim=1).argmax()]
    nearest = distance[chosen[0]].clone()
    for _ in range(count - 1):
        nearest[chosen[-1]] = -torch.inf
        chosen.append(nearest.argmax())
        nearest = torch.minimum(nearest, distance[chosen[-1]])
    return torch.stack(chosen)


def thin_out_by_lists(features, wanted):
    """VisPruner's rounds, both sets cut out of the matrix anew each time."""
    unit = normalize(features, dim=-1)
    alike, left = unit @ unit.T, torch.arange(len(features))
    while len(left) > wanted:
        first, second = left[::2], left[1::2]
        nearest = alike[first][:, second].amax(dim=1)
        drop = min(STEP, len(left) - wanted, len(first))
        stay = nearest.argsort(descending=True, stable=True)[drop:]
        left = torch.cat([first[stay], second])
    return left


def draw(count, width, seed, kinds=0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, width, generator=generator)
    if kinds:
        centres = torch.randn(kinds, width, generator=generator)
        features = centres[torch.arange(count) % kinds] + 0.3 * features
    return features


@given(st.integers(2, 900), st.integers(3, 40), st.integers(0, 99), st.integers(0, 9), st.data())
@settings(max_examples=60, deadline=None)
def test_farthest_points_are_those_of_the_whole_matrix(count, width, seed, kinds, data):
    wanted = data.draw(st.integers(1, count))
    features = draw(count, width, seed, kinds).double()  # so that no two distances round alike
    expected = farthest_by_matrix(features, wanted)
    chosen = most_diverse(features.float(), wanted)
    unit = normalize(features, dim=-1)
    distance = 1 - unit @ unit.T
    alone = (distance + torch.diag(torch.full((count,), torch.inf))).amin(dim=1)
    if chosen[0] != expected[0]:  # equal as far as float32 can tell the distances apart
        assert abs(alone[chosen[0]] - alone[expected[0]]) < 1e-5
        wanted = 1
    for place in range(1, wanted):
        ours, theirs = (distance[order[place], order[:place]].min() for order in (chosen, expected))
        if not torch.equal(chosen[: place + 1], expected[: place + 1]):
            assert abs(ours - theirs) < 1e-5
            break
    assert len(set(chosen.tolist())) == len(expected)


@pytest.mark.parametrize("kinds", [0, 7])
@pytest.mark.parametrize("choose", [pick_farthest, pick_on_device])
def test_farthest_points_of_a_real_size(choose, kinds):
    features = draw(1500, 64, 3, kinds)
    expected = farthest_by_matrix(features, 600)
    assert torch.equal(choose(normalize(features, dim=-1), 600), expected)


@pytest.mark.parametrize("value", [0.0, 1.0, torch.nan, torch.inf])
def test_rows_that_are_all_alike_are_chosen_once_each(value):
    features = draw(400, 8, 0)
    features[50:] = value
    for choose in (most_diverse, lambda f, n: pick_on_device(normalize(f).nan_to_num(0.0), n)):
        chosen = choose(features, 390).tolist()
        assert sorted(set(chosen)) == sorted(chosen) and len(chosen) == 390
    assert most_diverse(torch.zeros(400, 8), 300).tolist() == list(range(300))


@pytest.mark.parametrize(("count", "wanted"), [(576, 60), (301, 300), (100, 1)])
def test_vispruner_thins_out_as_from_lists(count, wanted):
    features = draw(count, 32, 1, 9)
    assert torch.equal(thin_out(features, wanted), thin_out_by_lists(features, wanted))


def test_largest_takes_the_lower_index_of_equals():
    values = torch.tensor([1.0, 3, 2, 3, 2, 2, 0]).numpy()
    assert largest(values, 4).tolist() == [1, 3, 2, 4] and largest(values, 9).tolist()[-1] == 6


class Largest(TorchDispatchMode):
    """The most numbers a tensor had that an operation gave."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.numbers = max(self.numbers, out.numel())
        return out


@pytest.mark.parametrize("choose", [pick_farthest, pick_on_device])
def test_no_matrix_of_all_pairs_is_built(choose):
    unit = normalize(draw(6000, 4, 0), dim=-1)
    with Largest() as seen:
        choose(unit, 900)
    assert seen.numbers <= 1024 * 6000 < 6000**2 / 5
    assert choose is pick_on_device or seen.numbers <= 2 * ROWS * 6000


def test_select_times_are_recorded_for_every_method(tmp_path, capsys, monkeypatch):
    rows = list(measure_selecting((), 0.2, 2, edges=(1,), width=16))
    floors = [row for row in rows if "floor" in row]
    assert len(floors) == 4 and all(min(row["select_s"]) > 0 for row in floors)
    everything, rows = rows, [row for row in rows if "method" in row]
    assert {row["method"] for row in rows} == {*METHODS, "full"}
    assert {row["content"] for row in rows} == {"noise", "scenes"}
    threads = torch.get_num_threads()
    for row in rows:
        assert row["patches"] == 1152 and len(row["select_s"]) == 2 and min(row["select_s"]) > 0
        if "budget" in settings_of(row["method"]):
            assert row["kept"] == 230
    table = describe_selecting(make_record(everything, "command"))
    assert "| all pairs of a tile | " in table and "| all against the kept | " in table
    assert "| Method | 1,152 patches, noise | 1,152 patches, scenes |" in table
    assert all(f"`{name}`" in table for name in METHODS) and "one thread" in table
    assert torch.get_num_threads() == threads
    monkeypatch.setattr(select_times, "EDGES", (1,))
    monkeypatch.setattr(measure_selecting, "__defaults__", ((1,), 16))
    out = tmp_path / "select.json"
    argv = ["bench", "select", "--methods", "hired", "--repeats", "1", "--out", str(out)]
    assert main(argv) == 0
    record = json.loads(out.read_text())
    assert [row["method"] for row in record["rows"] if "method" in row] == ["hired", "hired"]
    assert "bench" in record["command"] or record["command"]
    assert "| `hired` |" in capsys.readouterr().out


def test_select_times_refuse_in_words():
    with pytest.raises(SettingError, match="got 0"):
        next(measure_selecting((), 0.2, 0))
    with pytest.raises(SettingError, match="method is one of"):
        next(measure_selecting(("fastest",), 0.2, 1))


def test_centred_divprune_takes_the_mean_off_first():
    vision = select_times.draw_vision(1, "scenes", 16)
    features = vision.features.flatten(0, 1)
    expected = most_diverse(features - features.mean(dim=0), 100)
    chosen = build("divprune", budget=100, centred=True).select(vision)
    assert set(chosen.mask.flatten().nonzero().flatten().tolist()) == set(expected.tolist())
    plain = build("divprune", budget=100).select(vision)
    assert not torch.equal(plain.mask, chosen.mask)
