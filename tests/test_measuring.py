"""What a comparison measures: one preparation for all lanes, warm kernels, tokens when known."""

import copy
import threading
from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter, sleep

import pytest
import torch
from conftest import make_image

from hired.clip import read_tower
from hired.comparison import run as engine
from hired.comparison.lane import Lane, Prompt
from hired.comparison.preview import Preview
from hired.comparison.run import compare, plan_warm_up
from hired.comparison.stream import follow
from hired.errors import ModelError, SettingError
from hired.generate import Answer, LogitsWatch, TokenStamper, devices_of, input_device
from hired.metrics import model_ttft
from hired.selectors import build
from hired.taps import cls_attention, received_attention

IMAGE, QUESTION = make_image(120, 160), "what is in the picture ?"
LANES = [Lane("a", build("full")), Lane("b", build("hired")), Lane("c", build("spatial"))]


def run(tiny, lanes=LANES, **options):
    last = {}
    for step in compare(*tiny, IMAGE, QUESTION, lanes, max_new_tokens=3, **options):
        last[step.lane] = step
    return [last[index] for index in range(len(lanes))]


@pytest.mark.parametrize("race", [False, True])
def test_the_image_is_prepared_once_and_counted_in_every_lane(tiny, monkeypatch, race):
    processor, times = copy.copy(tiny[1]), []
    stock = processor.image_processor

    class Counting(type(stock)):
        def __call__(self, *args, **kwargs):
            times.append(perf_counter())
            sleep(0.2)
            return super().__call__(*args, **kwargs)

    counting = copy.copy(stock)
    counting.__class__ = Counting
    processor.image_processor = counting
    ends = run((tiny[0], processor), warm_up=False, race=race)
    assert len(times) == 1
    metrics = [end.metrics for end in ends]
    assert len({one.preprocess_s for one in metrics}) == 1 and metrics[0].preprocess_s > 0.2
    for one in metrics:
        assert one.ttft_s == pytest.approx(one.preprocess_s + one.model_ttft_s)
        assert one.model_ttft_s == pytest.approx(one.vision_s + one.select_s + one.prefill_s)
        assert one.total_s == pytest.approx(one.ttft_s + one.decode_s)
    assert model_ttft({"vision_s": None, "select_s": None, "prefill_s": None}) is None


def plan(tiny, device, lanes=LANES, image=IMAGE):
    prompt = Prompt(*tiny, image, QUESTION, {"max_new_tokens": 64, "min_new_tokens": 64})
    return plan_warm_up(prompt, lanes, torch.device(device))


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_an_accelerator_is_warmed_with_each_selector_once_per_shape(tiny, device):
    planned = plan(tiny, device)
    assert [selector for _, _, selector in planned] == [lane.selector for lane in LANES]
    assert all(one.generate_kwargs == {"max_new_tokens": 2} for _, one, _ in planned)
    assert all(one.image is IMAGE for _, one, _ in planned)
    prompt = Prompt(*tiny, IMAGE, QUESTION, {})
    [(_, one, _), *_] = plan_warm_up(prompt, LANES, torch.device(device))
    assert one.prepared is not prompt.prepared, "or its first, cold seconds would count"
    keys = [key for key, _, _ in planned]
    assert len(set(keys)) == 3
    assert keys == [key for key, _, _ in plan(tiny, device)]
    assert not set(keys) & {key for key, _, _ in plan(tiny, device, image=make_image(90, 300))}
    other = [Lane("b", build("hired", budget=0.4))]
    assert not set(keys) & {key for key, _, _ in plan(tiny, device, other)}


def test_a_large_model_on_a_cpu_reads_a_few_tokens_of_one_tile(tiny, monkeypatch):
    assert [selector.name for _, _, selector in plan(tiny, "cpu")] == ["full", "hired"]
    monkeypatch.setattr(engine, "SMALL_BYTES", 0)
    [(_, prompt, _)] = plan(tiny, "cpu")
    assert prompt.image.size == (84, 84) and prompt.prepared is not plan(tiny, "cpu")[0][1].prepared
    fresh = copy.deepcopy(tiny[0]), tiny[1]
    shapes = []
    hooks = [
        fresh[0].model.vision_tower.embeddings.register_forward_pre_hook(
            lambda _, args: shapes.append(len(args[0]))
        ),
        fresh[0]
        .model.language_model.layers[0]
        .register_forward_pre_hook(lambda _, args: shapes.append(args[0].shape[1])),
    ]
    engine._warm_up(Prompt(*fresh, IMAGE, QUESTION, {"max_new_tokens": 9}), LANES, lambda: False)
    for hook in hooks:
        hook.remove()
    tiles, prefill, step = shapes
    assert (tiles, step) == (1, 1) and prefill < 30


def test_a_warm_up_that_fails_is_made_again(tiny, monkeypatch):
    fresh = copy.deepcopy(tiny[0]), tiny[1]
    prompt = Prompt(*fresh, IMAGE, QUESTION, {"max_new_tokens": 2})
    asked = []

    def fail(prompt, selector, tell, stopped, contended):
        asked.append(selector.name)
        tell(phase="failed" if len(asked) == 1 else "done")

    monkeypatch.setattr(engine, "run_lane", fail)
    for _ in range(3):
        engine._warm_up(prompt, LANES, lambda: False)
    assert asked == ["full", "hired", "full"], "each until it was done, and no more"


def test_a_warm_up_or_lane_that_breaks_leaves_no_lane_unended():
    def broken(*_):
        raise RuntimeError("CUDA error: device-side assert")

    def work(selector, tell, stopped, contended):
        if selector.name == "full":
            broken()
        tell(phase="done")

    ends = {step.lane: step for step in follow(LANES[:2], work, "".join, warm_up=broken)}
    assert [LANES[lane].selector.name for lane in ends] == ["full", "hired"]
    assert [step.phase for step in ends.values()] == ["failed", "done"]
    assert "RuntimeError" in ends[0].error


def test_lanes_do_not_race_on_mps(tiny, monkeypatch):
    monkeypatch.setattr(engine, "input_device", lambda model: torch.device("mps"))
    with pytest.raises(SettingError, match="one after the other"):
        compare(*tiny, IMAGE, QUESTION, LANES, race=True)


def test_a_token_is_stamped_after_the_device_has_it():
    class Slow:
        """Token ids of a device that needs a moment."""

        device = torch.device("cpu")

        def __getitem__(self, place):
            assert place == (0, -1)
            sleep(0.05)
            return torch.tensor(7)

        def __len__(self):
            return 1

    answer, heard = Answer(), []
    stamper = TokenStamper(
        answer,
        lambda *told: heard.append(told),
        threading.Event().is_set,
        LogitsWatch(None, None),  # it has seen no logits yet
    )
    begin = perf_counter()
    assert stamper(Slow(), None).tolist() == [False]
    assert answer.tokens == [7] and answer.stamps[0] - begin >= 0.05
    assert heard == [(7, answer.stamps[0])]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_attention_of_half_precision_is_scored_in_float32(tiny, dtype):
    model = copy.deepcopy(tiny[0]).to(dtype)
    block = read_tower(model).blocks[0]
    hidden = torch.randn(2, 37, 64, generator=torch.Generator().manual_seed(0)).to(dtype)
    with torch.inference_mode():
        found = cls_attention(block, hidden)
        attention, normed = block.self_attn, block.layer_norm1(hidden)
        split = (2, -1, attention.num_heads, attention.head_dim)
        query = attention.q_proj(normed[:, :1]).view(split).transpose(1, 2).double()
        keys = attention.k_proj(normed).view(split).transpose(1, 2).double()
        exact = ((query @ keys.mT) * attention.scale).softmax(-1)[..., 0, 1:]
    assert (found.double() - exact).abs().max() < 1e-7
    with torch.inference_mode():
        received = received_attention(block, hidden)
        queries = attention.q_proj(normed).view(split).transpose(1, 2).double()
        whole = ((queries @ keys.mT) * attention.scale).softmax(-1)
    assert (received.double() - whole.mean(dim=(1, 2))[:, 1:]).abs().max() < 1e-7


def test_a_model_without_its_weights_is_refused_in_a_sentence(tiny):
    with torch.device("meta"):
        empty = type(tiny[0])(tiny[0].config)
    with pytest.raises(ModelError, match="hold no values"):
        read_tower(empty)
    model = copy.deepcopy(tiny[0])
    model.lm_head.to("meta")
    with pytest.raises(ModelError, match=r"1 weights .*lm_head"):
        compare(model, tiny[1], IMAGE, QUESTION, LANES)


def test_an_offloaded_part_is_where_it_is_computed(tiny):
    from accelerate import cpu_offload

    model = cpu_offload(copy.deepcopy(tiny[0]), torch.device("cpu"))
    assert model.lm_head.weight.is_meta
    assert input_device(model) == torch.device("cpu")
    assert devices_of(model) == (torch.device("cpu"), torch.device("meta"))
    assert read_tower(model).depth == read_tower(tiny[0]).depth


@pytest.mark.parametrize(("device", "patience"), [("cpu", 10.0), ("mps", None)])
def test_a_preview_on_mps_waits_to_the_end_and_comes_to_the_cpu(
    tiny, monkeypatch, device, patience
):
    from hired.web import engine as page

    waited, vision = [], Preview(*tiny).encode(IMAGE)
    vision = replace(vision, features=vision.features.half())

    @contextmanager
    def turn(seconds):
        waited.append(seconds)
        yield

    monkeypatch.setattr(page, "device_turn", turn)
    monkeypatch.setattr(Preview, "encode", lambda self, image: vision)
    preview = page.AsidePreview(*tiny)
    preview.device = torch.device(device)
    seen = preview.look(IMAGE)
    assert waited == [patience] and seen.grid == vision.grid
    # What crosses over comes as float32; on every other device it stays as it is.
    assert (seen is vision) == (device == "cpu")
    assert torch.equal(seen.features, vision.features.float())
