"""Patches picked by hand: their text, exactly those kept, and every door they travel through."""

import base64
import html
import json
import re
from urllib.parse import parse_qs

import pytest
import torch
from conftest import make_image, make_tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from test_selectors import see, sizes

import hired
from hired.errors import SettingError
from hired.selectors import ByHand, build, candidate_mask, parse
from hired.selectors.by_hand import EXAMPLE, Patches, read_patches, write_patches
from hired.serving.settings import make_selector, offered
from hired.tiles import TileGrid
from hired.web import export, form, pane_state, permalink, pictures
from hired.web.engine import Engine
from hired.web.export import Record
from hired.web.settings import Settings

WIDE = TileGrid.fit((28, 56), [[28, 56]], 28, 14)  # an overview and two crops of 2 x 2
ONE = "1x2x2.I.A~0~."


@st.composite
def picks(draw):
    """Rows, columns and a mask, full of runs as a tile that is dropped by its header makes them."""
    rows, cols = draw(st.one_of(st.just((0, 0)), st.tuples(st.integers(1, 4), st.integers(1, 4))))
    side = draw(st.integers(1, 24))
    runs = st.lists(st.tuples(st.booleans(), st.integers(1, 200)), max_size=30)
    bits = [bit for bit, many in draw(runs) for _ in range(many)]
    total = (1 + rows * cols) * side**2
    mask = torch.tensor((bits + [False] * total)[:total])
    mask[draw(st.integers(0, total - 1))] = True
    return rows, cols, mask.view(1 + rows * cols, -1)


@given(picks())
@settings(max_examples=150, deadline=None)
def test_a_text_is_exactly_its_patches_and_the_only_one(picked):
    rows, cols, mask = picked
    text = write_patches(rows, cols, mask)
    back = read_patches(text)
    assert back[:2] == (rows, cols) and torch.equal(back[2], mask)
    lane = ByHand(patches=text)
    assert lane.patches == text and lane.budget == int(mask.sum())
    assert len(text) <= 10 + sum(1 + -(-mask.shape[1] // 6) for _ in mask)
    told = parse(lane.text)
    assert told == lane and told.text == lane.text == f"hand:patches={text}"
    found, changed = permalink.from_query({"lane": ["full", lane.text]})
    assert found.lanes[1] == lane and not changed


@given(size=sizes, seed=st.integers(0, 50), single=st.booleans(), share=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_exactly_what_was_picked_is_kept(size, seed, single, share):
    vision = see(size, seed, single)
    grid = vision.grid
    draw = torch.rand(grid.tiles, grid.patches, generator=torch.Generator().manual_seed(seed))
    mask = (draw < share) & candidate_mask(grid)
    mask[0, seed % grid.patches] = True
    lane = ByHand.of(grid, mask)
    selection = lane.select(vision)
    assert torch.equal(selection.mask, mask) and selection.kept == lane.budget == lane.total(grid)
    assert selection.budgets == mask.sum(dim=1).tolist() == lane.budgets(grid, None)


@pytest.mark.parametrize("name", ["hired", "hired-release", "visionzip", "random", "full"])
def test_what_another_method_keeps_is_a_start(name):
    vision = see((60, 160), seed=3)
    kept = build(name).select(vision)
    again = ByHand.from_selection(kept).select(vision)
    assert torch.equal(again.mask, kept.mask & candidate_mask(kept.grid)) and again.features is None
    rows = build("hired", newline="rows", positions="original").select(vision)
    own = ByHand.from_selection(rows)
    assert (own.newline, own.positions) == ("rows", "original")


def test_untouched_it_keeps_everything():
    vision = see((60, 160), seed=3)
    assert parse("hand").select(vision).everything and ByHand().text == "hand"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("patches", "begin with rows x columns"),
        ("2x2", "begin with rows x columns"),
        ("0x0x0.A", "say how an image is cut"),
        ("0x3x2.8", "say how an image is cut"),
        ("50x50x3.8", "say how an image is cut"),
        ("1x1x4.A", "say 2 tiles after '1x1x4'"),
        ("0x0x2.8.8", "say 1 tiles after '0x0x2'"),
        ("0x0x2.?", "are letters, digits"),
        ("0x0x2.8~", "are letters, digits"),
        ("0x0x2.88", "at most 1 characters a tile of 4 patches; tile 1 has more"),
        ("0x0x2.8~9999~", "at most 1 characters a tile"),
        ("0x0x2._", "are 4 a tile; tile 1 says more"),
        ("2x2x2.....", "No patch is picked. Keep at least one"),
        ("0x0x2.8~0~", "No patch is picked"),
        ("8" * 12_001, "at most 12000 characters; got 12001"),
        (3, "patches is empty for all, or as the page"),
    ],
)
def test_a_broken_text_is_refused_in_words(text, why):
    with pytest.raises(SettingError, match=why):
        ByHand(patches=text)


def test_another_grid_and_another_border_are_refused_in_words():
    lane = parse(f"hand:patches={ONE}")
    assert lane.text == "hand:patches=1x2x2.I..", "the shortest text of the same patches"
    tall = TileGrid.fit((56, 28), [[56, 28]], 28, 14)
    with pytest.raises(SettingError, match=r"1 x 2 crops of 2 x 2 .* into an overview and 2 x 1"):
        lane.mask(tall)
    with pytest.raises(SettingError, match=r"an overview of 2 x 2 patches\. Pick them"):
        lane.mask(TileGrid.single((28, 28), 28, 14))
    flat = TileGrid.fit((84, 400), [[168, 168]], 84, 14)
    everything = torch.ones(flat.tiles, flat.patches, dtype=torch.bool)
    border = int((~candidate_mask(flat)).sum())
    with pytest.raises(SettingError, match=f"{border} of the picked patches lie in the border"):
        ByHand.of(flat, everything)
    for wrong in (everything[:2], everything.float()):
        with pytest.raises(SettingError, match=r"mask is bool \(5, 36\), tiles x patches; got"):
            ByHand.of(flat, wrong)
    with pytest.raises(SettingError, match="No patch is picked"):
        ByHand.of(flat, ~everything)


@pytest.mark.parametrize("positions", ["packed", "original"])
@pytest.mark.parametrize("kind", ["llava_next", "llava"])
def test_the_model_reads_what_was_picked_and_several_images_alike(kind, positions):
    model, processor = make_tiny(kind)
    images = [make_image(160, 168), make_image(160, 168, seed=1)]
    inputs = processor(
        images=images, text=["<image> what is it ?"] * 2, return_tensors="pt", padding=True
    )
    given = inputs["pixel_values"], inputs.get("image_sizes")
    method = f"hired:budget=10%,positions={positions}"
    seen = hired.select(model, *given, method)
    lane = ByHand.from_selection(seen[0])
    again = hired.select(model, *given, lane)
    assert all(torch.equal(one.mask, seen[0].mask) for one in again)
    alike = hired.HiredModel(model, method).generate(**inputs, max_new_tokens=3)
    picked = hired.HiredModel(model, lane).generate(**inputs, max_new_tokens=3)
    assert torch.equal(alike[0], picked[0]), "the same patches, the same answer"


def test_it_is_left_out_where_pictures_differ():
    from hired.bench.plan import METHODS
    from hired.web.sweep import axes

    assert "hand" not in METHODS and "hand" not in offered() and "patches" not in axes()
    with pytest.raises(SettingError, match=r"'hand' keeps .* picked on one image.*Use one of"):
        make_selector({"method": "hand"})


def test_two_panes_are_told_apart_by_how_many_they_keep():
    lanes = [f"hand:patches={ONE}", f"hand:patches={EXAMPLE}"]
    assert pane_state.name_lanes(lanes) == ["By hand 1 patches", "By hand 16 patches"]
    assert pane_state.name_lanes(["full", lanes[0]])[1] == "By hand"
    assert Patches(label="", help="").tell("patches", "") == "all patches"


def test_it_comes_back_from_a_link_a_file_and_the_form():
    lane = parse(f"hand:patches={EXAMPLE},newline=rows,positions=original")
    wanted = Settings(("full", lane, "hired"))
    query = permalink.to_query(wanted)
    assert "%" not in query
    back, changed = permalink.from_query({"lane": parse_qs(query)["lane"]})
    assert back == wanted and not changed
    broken, changed = permalink.from_query({"lane": ["full", "hand:patches=1x2"]})
    assert broken.lanes[1] == build("hand") and changed == ["patches=1x2 of hand"]
    assert form.read(**form.write(wanted)) == wanted
    done = [pane_state.PaneState(text, "done", "yes") for text in wanted.texts]
    about = dict.fromkeys(("model", "device", "dtype", "quantization", "date"), "") | {
        "versions": {}
    }
    kept = Record("q", {"name": "a", "width": 9, "height": 9}, wanted, done, about)
    again = export.from_json(export.to_json(kept))
    assert again.settings == wanted and [view.lane for view in again.views] == list(wanted.texts)
    assert EXAMPLE in export.to_csv(kept) and EXAMPLE in export.to_markdown(kept)
    assert json.loads(form.describe_methods(3, 4))["methods"]["hand"]["settings"]["patches"] == {
        "label": "Patches", "help": "The picked patches; empty for all of them.", "usual": "",
        "kind": "text",
    }  # fmt: skip


def test_the_editor_is_the_same_whatever_is_picked_and_knows_what_to_start_from(tiny):
    image, loaded = make_image(120, 160), Engine.holding(*tiny).get()
    kept = loaded.preview.select(image, parse("hired:budget=20"))
    one, other = ByHand.from_selection(kept), ByHand()
    shown, again = (
        pictures.edit(loaded, image, [build("full"), lane, build("random")], "hired:budget=20")
        for lane in (one, other)
    )
    assert shown == again
    found = json.loads(html.unescape(re.search(r'data-hand="(.*?)"', shown)[1]))
    assert found["start"] == "hired:budget=20" and found["starts"][0] == one.patches
    names = re.findall(r'data-start="[0-9]">(.*?)<', shown)
    assert names == ["HiRED 20 patches", "All tokens (stock)", "Random 20 %"]
    order = torch.frombuffer(bytearray(base64.b64decode(found["order"])), dtype=torch.int32)
    assert sorted(order.tolist()) == list(range(kept.mask.numel()))
    ranked = kept.scores.flatten()[order.long()]
    assert (ranked.diff() <= 0).all(), "the strongest first"


@pytest.mark.parametrize("start", [None, 3, "nothing", "hand", f"hand:patches={EXAMPLE}", "hired"])
def test_a_start_that_is_none_is_hired(start):
    panes = json.dumps({"lanes": ["full", "hand"], "start": start})
    assert form.start_of(panes) == "hired"
    panes = json.dumps({"lanes": ["full", f"hand:patches={ONE}"], "start": "random:budget=9"})
    assert form.start_of(panes) == "random:budget=9"
    assert "Start again" in pictures.offer_restart("broken", panes)
    assert "Start again" not in pictures.offer_restart("broken", json.dumps({"lanes": ["full"]}))
