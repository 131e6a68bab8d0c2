"""The live preview as HTML: the picture with its read-out, and the small pictures of the panes.

Of patches picked by hand the picture is an editor. Nothing in it depends on which are picked: the
browser knows, draws and tells them (`by_hand.js`), so a pick shows at once and the picture is not
sent again.
"""

import base64
import io
import json
from collections.abc import Sequence

from PIL import Image

from hired.budget import show_budget
from hired.comparison.layout import Layout, as_image, cut_words
from hired.comparison.overlay import (
    count_difference,
    count_tiles,
    describe_attention,
    describe_kept,
    draw_attention,
    draw_difference,
    draw_kept,
    tile_name,
)
from hired.images import frames_words
from hired.selectors import Selection, Selector, as_selector, build
from hired.selectors.by_hand import ByHand
from hired.selectors.hired import HiRED
from hired.tiles import TileGrid
from hired.web.engine import Loaded
from hired.web.form import fit_lane
from hired.web.markup import fill
from hired.web.pane_state import budget_words, title_of
from hired.web.settings import Settings

KEPT, INIT, FINAL = "Kept tokens", "Init-layer attention", "Final-layer attention"
DIFFERENCE = "Difference"  # of two panes that drop something
MODES = (KEPT, INIT, FINAL, DIFFERENCE)
LAYOUTS = 4  # kept at once, 12 MB each and their images
_layouts: dict[tuple[int, TileGrid], Layout] = {}


def dropping(settings: Settings) -> list[int]:
    """The panes that drop anything."""
    return [index for index, lane in enumerate(settings.lanes) if lane.name != "full"]


def pair_of(panes: Sequence[int], seen: int) -> tuple[int, int]:
    """The pane that is edited and the first other one among `panes`, in their order."""
    one = seen if seen in panes else panes[0]
    two = next(index for index in panes if index != one)
    return min(one, two), max(one, two)


def shown_lane(settings: Settings) -> int:
    """The pane whose selection the preview shows at first: the first that drops anything."""
    return next(iter(dropping(settings)), 0)


def select(loaded: Loaded, image: Image.Image, settings: Settings) -> list[Selection]:
    """Selections of all panes on an image.

    Raises:
        SettingError: a layer or head does not exist in this model.
    """
    return [loaded.preview.select(image, lane) for lane in settings.lanes]


def lay_out(image: Image.Image, grid: TileGrid) -> Layout:
    """The layout of an image; those of the last few are kept, as a moving slider draws again."""
    key = id(image), grid
    known = _layouts.get(key)
    if known is None or known.image is not image:
        known = _layouts[key] = Layout(image, grid)
        while len(_layouts) > LAYOUTS:
            _layouts.pop(next(iter(_layouts)), None)
    return known


def preview(
    loaded: Loaded,
    image: Image.Image,
    lane: Selector,
    selection: Selection,
    mode: str,
    title: str,
) -> str:
    """The picture of one mode with the partitions of a pane's selection and their numbers."""
    layout = lay_out(image, selection.grid)
    if mode == KEPT:
        picture, words = draw_kept(layout, selection), describe_kept(selection)
        caption = f"{title}: what the model will read"
    else:
        name = "final" if mode == FINAL else "init"
        feature = loaded.preview.feature_tap
        layer = getattr(lane.taps(feature), name)
        if layer is None:  # for a method that reads no such attention
            layer = getattr(HiRED().taps(feature), name)
        attention = loaded.preview.attention(image, layer, lane.joined_heads).numpy()
        picture = draw_attention(layout, selection.grid, attention)
        words = describe_attention(selection.grid, attention)
        caption = f"CLS attention of layer {layer}: bright is where the model looks"
    for more in (cut_words(selection.grid), frames_words(image)):
        caption = f"{caption}. {more}" if more else caption
    return _figure(layout, selection, picture, words, caption)


def difference(
    image: Image.Image, pair: tuple[Selection, Selection], titles: tuple[str, str]
) -> str:
    """Picture of where two panes differ in what they keep, with the three counts."""
    layout = lay_out(image, pair[0].grid)
    both, one, two = count_difference(*pair)
    width, height = layout.size
    return fill(
        "pictures", "difference", source=data_uri(draw_difference(layout, *pair)),
        width=width, height=height, both=both, one=one, two=two, first=titles[0], second=titles[1],
    )  # fmt: skip


def _figure(
    layout: Layout, selection: Selection, picture: Image.Image, words: str, caption: str
) -> str:
    width, height = layout.size
    tiles = [
        {
            **tile,
            "words": f"{tile['name']}: {tile['kept']} of {tile['candidates']} kept, "
            f"{tile['share']:.0%} of all",
            "left": f"{100 * left / width:.3f}",
            "top": f"{100 * top / height:.3f}",
            "width": f"{100 * wide / width:.3f}",
            "height": f"{100 * high / height:.3f}",
        }
        for (left, top, wide, high), tile in zip(layout.boxes, count_tiles(selection), strict=True)
    ]
    return fill(
        "pictures", "partitions", width=width, height=height, source=data_uri(picture), alt=words,
        caption=caption, tiles=tiles,
    )  # fmt: skip


def data_uri(picture: Image.Image) -> str:
    """A picture as WebP inside the page."""
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=82, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def small(image: Image.Image, edge: int = 120) -> str:
    """An image of at most `edge` px a side inside the page."""
    shown = image.copy()
    shown.thumbnail((edge, edge))
    return data_uri(shown)


SMALL_WIDE, SMALL_HIGH = 148, 96  # pixels of a small picture at most, on screen


def draw_small(image: Image.Image, selections: Sequence[Selection]) -> str:
    """The style sheet with a picture of what every pane keeps of an image."""
    sources, wide, high = [], SMALL_WIDE, SMALL_HIGH
    for kept in selections:
        picture = draw_kept(lay_out(image, kept.grid), kept)
        scale = min(SMALL_WIDE / picture.width, SMALL_HIGH / picture.height)
        wide, high = round(picture.width * scale), round(picture.height * scale)
        twice = picture.resize((2 * wide, 2 * high), Image.Resampling.BOX, reducing_gap=2.0)
        sources.append(data_uri(twice))
    return fill("pictures", "small", sources=sources, wide=wide, high=high)


def readout(
    selection: Selection,
    budget: float | int | None,
    title: str = "It",
    others: Sequence[tuple[str, Selection]] = (),
) -> str:
    """Read-out of a budget on this image: tokens read instead of stock's, the sum on demand.

    `budget` is None where a method finds its own count; `title` names the pane, `others` the
    counts of the panes that the picture does not show. A count beyond what the image has is
    capped aloud.
    """
    read, stock = selection.visual_tokens, selection.stock
    counted = "1 token" if read == 1 else f"{read:,} tokens"
    words = f"{title} reads {counted} instead of {stock:,} ({_percent(read, stock)})"
    told = [f"{name} {one.visual_tokens:,}" for name, one in others]
    return fill(
        "pictures",
        "readout",
        words=words,
        others=", ".join(told),
        capped=_capped(selection, budget),
        details=count(selection, budget),
    )


def count(selection: Selection, budget: float | int | None) -> str:
    """The sum behind the number of tokens: budget, tiles, patches that show only border, newlines.

    The budget is of the whole image, not of each tile.
    """
    grid = selection.grid
    own = "No budget" if selection.everything else "Its own count"
    asked = own if budget is None else show_budget(budget)
    views = "1 view" if grid.tiles == 1 else f"{grid.tiles} views (the whole image and its crops)"
    words = [
        f"{asked}: {selection.kept:,} of the {selection.nominal:,} patches of this image are kept, "
        f"all tiles together: {views} of {grid.patches:,} patches each."
    ]
    border = selection.nominal - grid.candidates
    if border:
        words.append(f"{border:,} patches show only the border around the image; none is kept.")
    breaks = selection.stock - grid.candidates
    if breaks:
        words.append(f"Stock reads {grid.candidates:,} patches and {breaks:,} newline tokens.")
    if selection.everything:
        words.append("Everything is kept, newlines too.")
    elif selection.newlines:
        words.append(f"{selection.newlines:,} newline tokens are kept beside the patches.")
    return " ".join(words)


def _capped(selection: Selection, budget: float | int | None) -> str:
    most = selection.grid.candidates
    if not isinstance(budget, int) or budget <= most:
        return ""
    return f"{budget:,} asked, but this image has only {most:,} patches: all are kept."


def _percent(part: int, whole: int) -> str:
    """`26 %`; never rounded to nothing or to all."""
    share = 100 * part / whole if whole else 100.0
    digits = 1 if share < 1 or 99 < share < 100 else 0
    return f"{share:.{digits}f} %"


def edit(loaded: Loaded, image: Image.Image, lanes: Sequence[Selector], start: str) -> str:
    """The editor of one image.

    Args:
        loaded: what looks at it.
        image: RGB.
        lanes: of all panes; each that is not picked by hand can be a start.
        start: the lane started from, whose scores say which patch is the weakest.

    Raises:
        SettingError: a layer or head does not exist in this model.
    """
    grid = loaded.preview.fit(image)
    layout = lay_out(image, grid)
    first = fit_lane(as_selector(start), loaded.preview.layers, loaded.preview.heads)
    choices = {lane.text: lane for lane in (first, *lanes, build("full"))}
    starts = [lane for lane in choices.values() if not isinstance(lane, ByHand)]
    kept = [loaded.preview.select(image, lane) for lane in starts]
    ranked = kept[0] if first.name != "full" else loaded.preview.select(image, HiRED())
    names = [tile_name(grid, index) for index in range(grid.tiles)]
    width, height = layout.size
    data = {
        "cut": [grid.rows, grid.cols, grid.side],
        "boxes": layout.boxes,
        "windows": [grid.window(index) for index in range(grid.tiles)],
        "names": names,
        "start": start,
        "starts": [ByHand.from_selection(one).patches for one in kept],
        "order": _order(ranked),
    }
    return fill(
        "pictures", "editor",
        data=json.dumps(data), title=ByHand.title, width=width, height=height, names=names,
        more=" ".join(filter(None, (cut_words(grid), frames_words(image)))),
        plain=data_uri(as_image(layout.plain)), dropped=data_uri(as_image(layout.dropped)),
        starts=[f"{title_of(one.text)} {budget_words(one)}".strip() for one in starts],
    )  # fmt: skip


def offer_restart(told: str, panes: str) -> str:
    """Error in the picture's place, with a way on where patches were picked by hand."""
    return fill("pictures", "fault", words=told, again=f"{ByHand.name}:" in panes)


def _order(selection: Selection) -> str:
    """Every patch of all tiles, the strongest first: uint32 as base64, little-endian."""
    assert selection.scores is not None
    ranks = selection.scores.flatten().argsort(descending=True, stable=True).numpy()
    return base64.b64encode(ranks.astype("<u4").tobytes()).decode()
