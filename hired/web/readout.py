"""The line over the picture: how many visual tokens a budget leaves of this image, and why."""

from collections.abc import Sequence

from hired.budget import show_budget
from hired.selectors import Selection
from hired.web.render import render


def readout(
    selection: Selection,
    budget: float | int | None,
    title: str = "It",
    others: Sequence[tuple[str, Selection]] = (),
) -> str:
    """What a budget means for this image: tokens read instead of stock's, the sum on demand.

    `budget` is None where a method finds its own count; `title` names the pane, `others` the
    counts of the panes that the picture does not show. A count beyond what the image has is
    capped aloud.
    """
    read, stock = selection.visual_tokens, selection.stock
    counted = "1 token" if read == 1 else f"{read:,} tokens"
    words = f"{title} reads {counted} instead of {stock:,} ({_percent(read, stock)})"
    told = [f"{name} {one.visual_tokens:,}" for name, one in others]
    return render(
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
