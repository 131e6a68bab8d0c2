"""Parts of every figure. Every line has a marker of its own, so that colour is not needed."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # half a second, when something is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Paul Tol's "bright" and "muted" sets; HiRED's own blue first.
COLOURS = ("#0050a0", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee", "#882255", "#999933",
           "#44aa99", "#cc6677", "#555555", "#ddaa33", "#117733", "#332288")  # fmt: skip
MARKERS = "oDsv^PX<>*hpd8"


def clear_frame(axes: "Axes") -> None:
    """Leave out the lines at the top and on the right."""
    axes.spines[["top", "right"]].set_visible(False)


def to_svg(figure: "Figure") -> bytes:
    """A figure as a file's content; the same figure gives the same bytes."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "hired"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def save(figure: "Figure", path: Path, dpi: int = 150) -> Path:
    """Write a figure to a file, whose ending says the format; make its folder if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".svg":
        path.write_bytes(to_svg(figure))
    else:
        figure.savefig(path, dpi=dpi)
    return path
