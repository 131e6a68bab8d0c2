"""Features and CLS attention are the stock tower's, and the model is left as it was."""

import inspect

import pytest
import torch
from conftest import make_configs, make_image, make_tiny

from hired.clip import read_tower, split_tiles
from hired.encode import Taps, encode
from hired.errors import InputError, ModelError, SettingError
from hired.selectors import build
from hired.taps import cls_attention, patch_keys, received_attention
from hired.wrapper import look, select


def pixels(processor, *sizes):
    images = [make_image(*size, seed=index) for index, size in enumerate(sizes)]
    inputs = processor.image_processor(images=images, return_tensors="pt")
    return inputs["pixel_values"], inputs.get("image_sizes")


@torch.inference_mode()
def test_cls_attention_is_eager_attention(tiny):
    model, processor = tiny
    values, sizes = pixels(processor, (120, 160))
    tower = read_tower(model)
    layers = range(tower.last_tap + 1)
    seen = encode(tower, [values[0]], [tower.fit(sizes[0])], Taps(), extra_taps=layers)[0]
    eager, _ = make_tiny.__wrapped__()
    eager.set_attn_implementation("eager")
    stock = eager.model.vision_tower(values[0], output_attentions=True, output_hidden_states=True)
    whole = Taps(received=tuple(layers))
    other = encode(tower, [values[0]], [tower.fit(sizes[0])], whole)[0]
    assert not seen.received and not other.cls, "only what is asked for is computed"
    for layer in layers:
        reference = stock.attentions[layer][:, :, 0, 1:]
        assert torch.allclose(seen.cls[layer], reference, atol=1e-6), layer
        received = stock.attentions[layer].mean(dim=(1, 2))[:, 1:]
        assert torch.allclose(other.received[layer], received, atol=1e-6), layer
    assert torch.allclose(seen.features, stock.hidden_states[-2][:, 1:], atol=1e-5)


def test_the_projections_get_contiguous_rows(tiny, monkeypatch):
    """The 8-bit layers' CUDA kernels read memory row by row, whatever the strides say."""
    model, processor = tiny
    values, sizes = pixels(processor, (120, 160))
    tower, asked = read_tower(model), []
    for name in ("q_proj", "k_proj"):
        layer = getattr(tower.blocks[0].self_attn, name)
        forward = layer.forward

        def watch(hidden, forward=forward):
            asked.append(hidden.is_contiguous())
            return forward(hidden)

        monkeypatch.setattr(layer, "forward", watch)
    with torch.inference_mode():
        hidden = tower.norm(tower.embeddings(split_tiles(tower, values, sizes)[0]))
        cls_attention(tower.blocks[0], hidden)
        patch_keys(tower.blocks[0], hidden)
        received_attention(tower.blocks[0], hidden)
    assert len(hidden) > 1 and asked == [True] * 5


@pytest.mark.parametrize("init, final", [(0, None), (2, None), (1, 0), (2, 2), (3, 3), (0, 3)])
@pytest.mark.parametrize("budget", [0.1, 0.5, 3])
def test_planning_first_changes_nothing(tiny, init, final, budget):
    """Overviews first, crops later: the same masks and features as one call over all tiles."""
    model, processor = tiny
    values, sizes = pixels(processor, (120, 160), (84, 252), (300, 90))
    selector = build("hired", budget=budget, init_layer=init, final_layer=final)
    tower = read_tower(model)
    images, grids = split_tiles(tower, values, sizes), [tower.fit(size) for size in sizes]
    whole = encode(tower, images, grids, selector.taps(tower.feature_tap))
    planned = look(read_tower(model), values, sizes, selector)
    for one, (two, selection) in zip(whole, planned, strict=True):
        assert torch.equal(selector.select(one).mask, selection.mask)
        kept = selection.mask
        assert torch.allclose(one.features[kept], two.features[kept], atol=1e-5)


class CountTiles:
    """Tiles that pass the embeddings and each block of a tower."""

    def __init__(self, model):
        tower = model.model.vision_tower
        self.blocks = [0] * len(tower.encoder.layers)
        self.embedded = 0
        self.handles = [tower.embeddings.register_forward_hook(self.embed)]
        for index, block in enumerate(tower.encoder.layers):
            self.handles.append(block.register_forward_hook(self.block(index)))

    def embed(self, module, args, output):
        self.embedded += len(output)

    def block(self, index):
        def count(module, args, output):
            self.blocks[index] += len(output)

        return count

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


def test_tiles_without_budget_and_blocks_after_the_feature_are_not_run(tiny):
    model, processor = tiny
    values, sizes = pixels(processor, (168, 168))
    cases = {
        build("full"): [5, 5, 5, 0],
        build("hired", budget=0.2, alpha=1.0): [1, 1, 1, 0],
        build("hired", budget=0.2, alpha=1.0, init_layer=2): [1, 1, 1, 0],
        build("hired", budget=0.5): [5, 5, 5, 0],
        build("spatial", budget=1): [1, 1, 1, 0],
        build("random", budget=1): [1, 1, 1, 0],
    }
    for selector, expected in cases.items():
        with CountTiles(model) as count:
            select(model, values, sizes, selector)
        assert count.blocks == expected, selector
    with CountTiles(model) as count:
        selection = select(model, values, sizes, build("hired", budget=2, alpha=0.0))[0]
    assert selection.kept == 2
    assert count.blocks[0] == sum(budget > 0 for budget in selection.budgets)


def state(model):
    """All that a hook, a patch or a stray attribute would change."""
    modules = list(model.modules())
    return (
        [type(module) for module in modules],
        [sorted(vars(module)) for module in modules],
        [inspect.signature(module.forward) for module in modules],
        [
            [len(hooks) for name, hooks in sorted(vars(module).items()) if name.endswith("_hooks")]
            for module in modules
        ],
        {name: tensor.clone() for name, tensor in model.state_dict().items()},
    )


def same(before, after):
    return before[:4] == after[:4] and all(
        torch.equal(tensor, after[4][name]) for name, tensor in before[4].items()
    )


def test_the_model_is_left_as_it_was(tiny):
    model, processor = make_tiny.__wrapped__()
    values, sizes = pixels(processor, (120, 160))
    before = state(model)
    select(model, values, sizes, build("hired"))
    assert same(before, state(model))
    with pytest.raises((RuntimeError, ValueError)):  # inside the tower: pixels of the wrong size
        select(model, values[..., :70], sizes, build("hired"))
    assert same(before, state(model))


def test_layers_and_heads_that_do_not_exist(tiny):
    model, processor = tiny
    values, sizes = pixels(processor, (120, 160))
    for settings in ({"init_layer": 4}, {"final_layer": 9}):
        with pytest.raises(SettingError, match=r"0 to 3; got [49]"):
            select(model, values, sizes, build("hired", **settings))
    with pytest.raises(SettingError, match=r"0 to 3; got 4"):
        select(model, values, sizes, build("hired", heads=4))


def test_pixels_must_fit_their_sizes(tiny):
    model, processor = tiny
    values, sizes = pixels(processor, (168, 168))
    with pytest.raises(InputError, match="as the processor returned them"):
        select(model, values[:, :3], sizes, build("hired"))
    with pytest.raises(InputError, match="image_sizes is missing"):
        select(model, values, None, build("hired"))


def test_flat_pixels_are_taken_too(tiny):
    model, processor = tiny
    values, sizes = pixels(processor, (84, 168), (168, 168))
    flat = torch.cat([values[0][:3], values[1][:5]])
    for one, two in zip(
        select(model, values, sizes, build("hired")),
        select(model, flat, sizes, build("hired")),
        strict=True,
    ):
        assert torch.equal(one.mask, two.mask)


def test_other_models_are_refused(tiny):
    from transformers import LlamaForCausalLM, LlavaConfig, SiglipVisionConfig
    from transformers import LlavaForConditionalGeneration as Llava

    clip, text = make_configs("llama", layers=2, vocabulary=32)
    with pytest.raises(ModelError, match="llava_next or llava"):
        read_tower(LlamaForCausalLM(text))
    shared = ("hidden_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size")
    siglip = SiglipVisionConfig(**{name: getattr(clip, name) for name in shared})
    with pytest.raises(ModelError, match="CLS"):
        read_tower(Llava(LlavaConfig(vision_config=siglip, text_config=text)))


def test_a_list_may_hold_each_image_with_its_padding(tiny):
    """As vLLM hands them over: what a batch was padded with is not looked at."""
    model, processor = tiny
    tower, selector = read_tower(model), build("hired", budget=0.2)
    images = [make_image(168, 168), make_image(84, 168)]
    inputs = processor.image_processor(images=images, return_tensors="pt")
    values, sizes = inputs["pixel_values"], inputs["image_sizes"]
    assert [image.shape[0] for image in split_tiles(tower, list(values), sizes)] == [5, 3]
    mine = look(tower, list(values), sizes, selector)
    for (_, one), (_, other) in zip(mine, look(tower, values, sizes, selector), strict=True):
        assert torch.equal(one.mask, other.mask)
