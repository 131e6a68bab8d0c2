"""Pictures of a selection: where tiles lie, what is dimmed, and the same in words."""

import numpy as np
import pytest
from conftest import PATCH, TILE, make_image
from PIL import Image
from transformers import CLIPImageProcessorPil, LlavaProcessor
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from hired.comparison.layout import DIM, HATCH, PADDING, Layout, cut_words
from hired.comparison.overlay import (
    HEAT,
    count_tiles,
    describe_attention,
    describe_kept,
    draw_attention,
    draw_kept,
    draw_plain,
    tile_name,
)
from hired.comparison.preview import Preview
from hired.errors import InputError
from hired.selectors import build, candidate_mask
from hired.tiles import TileGrid
from hired.web import pictures
from hired.web.pictures import LAYOUTS, lay_out
from hired.wrapper import select

SIZES = [(300, 400), (150, 700), (700, 150), (84, 84)]


@pytest.fixture(scope="module")
def looker(tiny):
    return Preview(*tiny)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_kept_patches_keep_their_pixels_and_dropped_ones_do_not(looker, height, width) -> None:
    image = make_image(height, width)
    selection = looker.select(image, build("hired", budget=0.3))
    layout = Layout(image, selection.grid)
    plain, drawn = (np.asarray(p) for p in (draw_plain(layout), draw_kept(layout, selection)))
    assert plain.shape == drawn.shape == (layout.size[1], layout.size[0], 4)
    shown = candidate_mask(selection.grid)
    for (left, top, wide, _), row, real in zip(layout.boxes, selection.mask, shown, strict=True):
        edge = wide / selection.grid.side
        for index, kept in enumerate(row.tolist()):
            if not real[index]:  # the letterbox is plain in both
                continue
            y, x = divmod(index, selection.grid.side)
            inside = (  # away from the lines around patches and crops
                slice(round(top + y * edge + 4), round(top + (y + 1) * edge - 4)),
                slice(round(left + x * edge + 4), round(left + (x + 1) * edge - 4)),
            )
            assert np.array_equal(plain[inside], drawn[inside]) == kept


def test_everything_kept_is_the_plain_picture(looker) -> None:
    image = make_image(168, 168)
    selection = looker.select(image, build("full"))
    assert draw_kept(image, selection).tobytes() == draw_plain(image, selection.grid).tobytes()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_attention_is_brightest_where_it_is_highest(looker, height, width) -> None:
    image = make_image(height, width)
    grid = looker.fit(image)
    weights = np.zeros((grid.tiles, grid.patches))
    weights[0, grid.patches // 2] = 1.0
    layout = Layout(image, grid)
    drawn = np.asarray(draw_attention(layout, grid, weights))[..., :3].mean(axis=2)
    edge = layout.boxes[0][2] / grid.side
    y, x = divmod(grid.patches // 2, grid.side)
    spot = drawn[int(y * edge) + 2 : int((y + 1) * edge), int(x * edge) + 2 : int((x + 1) * edge)]
    rest = drawn[: int(y * edge), : layout.boxes[0][2]]
    assert spot.min() > rest.max()


def test_heat_is_legible_without_colour() -> None:
    luminance = HEAT @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(luminance) > 5).all()


def test_counts_add_up_and_are_said_in_words(looker) -> None:
    selection = looker.select(make_image(300, 400), build("hired", budget=0.2))
    tiles = count_tiles(selection)
    assert sum(tile["kept"] for tile in tiles) == selection.kept == 36
    assert sum(tile["share"] for tile in tiles) == pytest.approx(1.0)
    assert [tile["candidates"] for tile in tiles] == list(selection.grid.caps)
    words = describe_kept(selection)
    assert words.startswith("36 of 180 patches are kept")
    for tile in tiles:
        assert f"{tile['name']} {tile['kept']} of {tile['candidates']}" in words


def test_release_counts_what_reaches_the_model(looker) -> None:
    selection = looker.select(make_image(150, 700), build("hired-release", budget=0.6))
    assert sum(tile["kept"] for tile in count_tiles(selection)) == selection.kept
    assert selection.kept < int(selection.mask.sum())


def test_attention_in_words_names_the_quarter(looker) -> None:
    grid = looker.fit(make_image(168, 168))
    weights = np.zeros((grid.tiles, grid.side, grid.side))
    weights[0, 0, -1] = 1.0
    words = describe_attention(grid, weights)
    assert "top right 100%" in words and "overview, row 1, column 6 of 6" in words


def test_tiles_have_names(looker) -> None:
    grid = looker.fit(make_image(168, 168))
    names = [tile_name(grid, index) for index in range(grid.tiles)]
    assert names == ["overview", "crop 1,1", "crop 1,2", "crop 2,1", "crop 2,2"]


CROP = {"size": {"shortest_edge": TILE}, "crop_size": {"height": TILE, "width": TILE}}
SQUARES = {
    "stock": (CLIPImageProcessorPil, CROP),
    "larger, then cropped": (CLIPImageProcessorPil, {**CROP, "size": {"shortest_edge": 112}}),
    "squeezed": (CLIPImageProcessorPil, {**CROP, "size": {"height": TILE, "width": TILE}}),
    "padded": (LlavaImageProcessorPil, {**CROP, "do_pad": True}),
    "cropped as they are": (CLIPImageProcessorPil, {**CROP, "do_resize": False}),
}


def slope(height: int, width: int) -> Image.Image:
    """Red rises from left to right and green from top to bottom, so a pixel tells its place."""
    rows, cols = np.mgrid[0:height, 0:width].astype(float)
    red, green = 40 + 200 * (cols + 0.5) / width, 40 + 200 * (rows + 0.5) / height
    return Image.fromarray(np.stack([red, green, 0 * red], axis=2).round().astype(np.uint8))


@pytest.mark.parametrize("kind", SQUARES)
@pytest.mark.parametrize(("height", "width"), [(100, 200), (200, 100), (90, 400), (120, 120)])
def test_one_square_is_drawn_as_the_model_sees_it(tiny_15, kind, height, width) -> None:
    """The picture's square equals the pixels that the processor hands to the model."""
    model, stock = tiny_15
    cls, settings = SQUARES[kind]
    images = cls(**settings, do_normalize=False)
    processor = LlavaProcessor(images, stock.tokenizer, PATCH, "default")
    image = slope(height, width)
    seen = images(images=image, return_tensors="np")["pixel_values"][0].transpose(1, 2, 0) * 255
    looker = Preview(model, processor)
    layout = Layout(image, looker.fit(image))
    picture = np.asarray(draw_plain(layout))
    (left, top, wide, high) = layout.boxes[0]
    square = Image.fromarray(picture[top : top + high, left : left + wide, :3])
    drawn = np.asarray(square.resize((TILE, TILE), Image.Resampling.BOX), dtype=float)
    assert np.median(np.abs(drawn - seen)[2:-2, 2:-2]) <= 2
    cut = {"padded", "squeezed"}.isdisjoint({kind}) and (
        height != width or kind not in ("stock", "padded")
    )
    assert bool(cut_words(looker.fit(image))) == cut == (layout.size != (wide, high))
    if cut:  # what is cut off is there, without colour
        outside = np.ones(picture.shape[:2], dtype=bool)
        outside[top : top + high, left : left + wide] = False
        assert (np.ptp(picture[outside, :3].astype(int), axis=1) <= 30).all()


@pytest.mark.parametrize(("height", "width"), [(1, 4), (4, 1), (2000, 1), (1, 4000), (3, 1200)])
def test_a_very_thin_picture_is_drawn_or_refused_but_breaks_nothing(tiny_15, height, width) -> None:
    looker, image = Preview(*tiny_15), slope(height, width)
    shown = draw_plain(Layout(image, looker.fit(image)))
    assert min(shown.size) >= 1
    assert looker.select(image, build("hired", budget=5)).kept == 5


@pytest.mark.parametrize(("height", "width"), [(1, 20_000), (20_000, 1), (2, 40_000)])
def test_a_picture_that_would_be_huge_is_refused_before_it_is(tiny_15, height, width) -> None:
    """Its shorter edge is brought to the tile's, whatever that makes of the longer one."""
    looker, image = Preview(*tiny_15), Image.new("RGB", (width, height))
    for look in (looker.fit, looker.look):
        with pytest.raises(InputError, match=r"megapixels\. Cut a part out"):
            look(image)


def test_a_cut_is_said_with_its_share_and_its_sides(tiny_15) -> None:
    looker = Preview(*tiny_15)
    selection = looker.select(make_image(100, 200), build("hired", budget=0.5))
    assert "50 % of it, on the left and right, was cut off" in describe_kept(selection)
    assert "at the top and bottom" in cut_words(looker.fit(make_image(400, 100)))
    assert cut_words(looker.fit(make_image(100, 100))) == ""


def test_a_selection_of_a_users_own_code_is_drawn_in_the_middle(tiny_15) -> None:
    """There no image size is known: the crop of the stock processor is taken for granted."""
    model, processor = tiny_15
    image = slope(100, 200)
    pixels = processor.image_processor(images=image, return_tensors="pt")["pixel_values"]
    [bare] = select(model, pixels, None, build("hired", budget=0.5))
    known = Preview(model, processor).select(image, build("hired", budget=0.5))
    assert draw_kept(image, bare).tobytes() == draw_kept(image, known).tobytes()


def dim(tile, kept, inside):
    """A tile with what is dropped dimmed, hatched and outlined, worked out pixel by pixel."""
    edge = len(tile)
    cell = np.arange(edge) * len(kept) // edge
    mask, real = (cells[cell][:, cell] for cells in (kept, inside))
    out = 0.22 * tile.mean(axis=2, keepdims=True) + 0.78 * np.array(DIM)
    out[np.add.outer(np.arange(edge), np.arange(edge)) % 9 == 0] = HATCH
    out[~real] = PADDING
    out[mask] = tile[mask]
    border = np.zeros_like(mask)
    border[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    border[1:] |= mask[1:] != mask[:-1]
    out[border] = 0.25 * out[border] + 0.75 * 255
    return out.astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_layout_that_drew_before_draws_the_same_pixels(looker, height, width) -> None:
    image = make_image(height, width)
    layout = lay_out(image, looker.fit(image))
    for budget in (0.4, 0.1, 1.0, 0.4):
        selection = looker.select(image, build("hired", budget=budget))
        assert lay_out(image, selection.grid) is layout
        drawn = np.asarray(draw_kept(layout, selection))
        assert np.array_equal(drawn, np.asarray(draw_kept(image, selection)))
        cells = (layout.grid.tiles, layout.grid.side, layout.grid.side)
        masks = selection.mask.numpy().reshape(cells)
        candidates = candidate_mask(layout.grid).numpy().reshape(cells)
        for box, tile, kept, inside in zip(
            layout.boxes, layout.tiles, masks, candidates, strict=True
        ):
            left, top, edge, _ = box
            part = slice(2, edge - 2)  # without the lines between crops
            shown = drawn[top : top + edge, left : left + edge, :3]
            assert np.array_equal(shown[part, part], dim(tile, kept, inside)[part, part])


def test_few_layouts_are_kept_and_none_for_another_image() -> None:
    grid = TileGrid.single((84, 84), 84, 14)
    images = [make_image(84, 84) for _ in range(LAYOUTS + 3)]
    for image in images:
        assert lay_out(image, grid).image is image
        assert len(pictures._layouts) <= LAYOUTS
    assert lay_out(images[-1], grid) is lay_out(images[-1], grid)
