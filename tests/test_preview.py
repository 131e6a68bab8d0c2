"""The cached look: the same selections as the real path, one tower pass per image, bounded."""

import threading

import pytest
import torch
from conftest import make_image

from hired.comparison import preview
from hired.comparison.preview import Preview
from hired.errors import SettingError
from hired.images import open_image
from hired.selectors import SELECTORS, build, fitting
from hired.wrapper import select


@pytest.mark.parametrize("name", SELECTORS)
@pytest.mark.parametrize(("height", "width"), [(300, 400), (150, 700)])
def test_same_selection_as_the_lane(tiny, name, height, width) -> None:
    model, processor = tiny
    image, selector = (
        make_image(height, width),
        build(name, **fitting(name, {"budget": 0.25, "final_layer": 1})),
    )
    pixels = processor.image_processor(images=image, return_tensors="pt")
    expected = select(model, pixels["pixel_values"], pixels["image_sizes"], selector)[0]
    seen = Preview(model, processor).select(image, selector)
    assert torch.equal(seen.mask, expected.mask) and seen.budgets == expected.budgets


def test_one_partition_model(tiny_15) -> None:
    preview = Preview(*tiny_15)
    image = make_image(100, 200)
    assert preview.select(image, build("hired", budget=0.5)).kept == preview.fit(image).nominal // 2


def test_an_image_is_looked_at_once_whoever_asks(tiny, monkeypatch) -> None:
    preview, image = Preview(*tiny), make_image(200, 200)
    passes = []
    encode = preview.encode
    monkeypatch.setattr(preview, "encode", lambda one: passes.append(1) or encode(one))
    budgets = [0.1, 0.2, 0.3, 0.4]
    threads = [
        threading.Thread(target=preview.select, args=(image.copy(), build("hired", budget=b)))
        for b in budgets
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passes) == 1


def test_an_opened_image_is_read_once_until_it_is_drawn_on(tiny, monkeypatch) -> None:
    looked, image = Preview(*tiny), open_image(make_image(90, 90))
    reads = []
    digest = preview._digest
    monkeypatch.setattr(preview, "_digest", lambda one: reads.append(1) or digest(one))
    first = looked.look(image)
    assert looked.look(image) is first and len(reads) == 1
    image.paste("white", (0, 0, 40, 40))
    assert looked.look(image) is not first and len(reads) == 2
    image.paste("black", (0, 0, 40, 40))  # no longer as it was opened: read each time
    assert looked.look(image) is not first and len(reads) == 3
    kept, again = looked._keys, open_image(image)
    looked.look(again)
    assert len(kept) == 2
    del image, again
    assert not kept, "no key outlives its image"


def test_forgets_the_oldest(tiny) -> None:
    preview = Preview(*tiny, capacity=2)
    for seed in range(4):
        preview.look(make_image(90, 90, seed))
    assert len(preview._seen) == 2


def test_attention_is_a_map_per_layer(tiny) -> None:
    preview, image = Preview(*tiny), make_image(200, 200)
    maps = [preview.attention(image, layer) for layer in range(preview.layers)]
    assert all(m.shape == (5, 36) and (m >= 0).all() for m in maps)
    assert not torch.equal(maps[0], maps[1])
    with pytest.raises(SettingError, match="layer"):
        preview.attention(image, preview.layers)
    with pytest.raises(SettingError, match="heads"):
        preview.attention(image, 0, heads=99)


@pytest.mark.parametrize("name", SELECTORS)
def test_same_selection_where_the_overview_gets_nothing(tiny, name) -> None:
    model, processor = tiny
    image = make_image(300, 400)
    pixels = processor.image_processor(images=image, return_tensors="pt")
    seen = Preview(model, processor)
    for budget in (1, 2, 3, 5):
        selector = build(name, **fitting(name, {"budget": budget, "alpha": 0.0}))
        expected = select(model, pixels["pixel_values"], pixels["image_sizes"], selector)[0]
        assert torch.equal(seen.select(image, selector).mask, expected.mask)
