"""The picture as an editor of patches: what the browser needs to draw and change it (`by_hand.js`).

Nothing here depends on which patches are picked: the browser knows, draws and tells them, so a pick
shows at once and the picture is not sent again.
"""

import base64
import json
from collections.abc import Sequence

from PIL import Image

from hired.comparison.layout import as_image, cut_words
from hired.comparison.overlay import tile_name
from hired.images import frames_words
from hired.selectors import HiRED, Selection, Selector, as_selector, build
from hired.selectors.by_hand import ByHand
from hired.web.engine import Loaded
from hired.web.form import fit_lane
from hired.web.markup import fill
from hired.web.pane_state import budget_words, title_of
from hired.web.pictures import data_uri, lay_out


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
    """What is wrong in the picture's place, and a way on where patches were picked by hand."""
    return fill("pictures", "fault", words=told, again=f"{ByHand.name}:" in panes)


def _order(selection: Selection) -> str:
    """Every patch of all tiles, the strongest first: uint32 as base64, little-endian."""
    assert selection.scores is not None
    ranks = selection.scores.flatten().argsort(descending=True, stable=True).numpy()
    return base64.b64encode(ranks.astype("<u4").tobytes()).decode()
