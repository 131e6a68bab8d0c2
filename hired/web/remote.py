"""Two servers behind the page, in place of a model on this machine.

Knows no gradio. What servers do not tell is unknown, and shown as that.
"""

from collections.abc import Generator, Sequence
from typing import Any, NoReturn

from PIL import Image

from hired.comparison.lane import Lane
from hired.comparison.preview import Preview
from hired.comparison.stream import Step
from hired.errors import ModelError
from hired.models.allowed import EMBEDDED
from hired.selectors import Selector
from hired.serving.client import Endpoint
from hired.serving.remote import Pair, compare_remote
from hired.web.engine import Engine, Loaded
from hired.web.markup import fill
from hired.web.pictures import data_uri

UNKNOWN = "unknown"
UNSEEN = "The servers tell neither which patches they keep nor where the model looks."
SIDE = 1280  # pixels of the picture shown at most; WebP has none beyond 16383
MOST = 64  # layers offered in the form; a server refuses those it has not


class Servers:
    """Stock server and one with HiRED, asked as one model.

    Attributes:
        pair: the two.
        models: what they serve.
    """

    def __init__(self, baseline_url: str, hired_url: str, key: str | None = None) -> None:
        self.pair = Pair(Endpoint(baseline_url, key), Endpoint(hired_url, key))
        self.models = ("", "")

    def load(self) -> Loaded:
        """Ask both for the name of their model.

        Raises:
            ModelError: one of them cannot be reached.
        """
        self.models = self.pair.models()
        return Loaded(None, None, Unseen(), describe(self.models, self.pair), self)

    def compare(
        self, image: Image.Image, question: str, lanes: Sequence[Lane], **options: Any
    ) -> Generator[Step]:
        """`hired.compare`, answered by the servers."""
        return compare_remote(self.pair, self.models, image, question, lanes, **options)


class Unseen(Preview):
    """Stands where a model's preview would be: nothing can be looked at from here."""

    def __init__(self) -> None:
        self.layers, self.heads = MOST, 0

    def fit(self, image: Image.Image) -> NoReturn:
        """Raise ModelError: only the server knows."""
        raise ModelError(UNSEEN)

    def look(self, image: Image.Image, *received: int) -> NoReturn:
        """Raise ModelError: only the server knows."""
        raise ModelError(UNSEEN)

    def select(self, image: Image.Image, selector: Selector) -> NoReturn:
        """Raise ModelError: only the server knows."""
        raise ModelError(UNSEEN)

    def attention(self, image: Image.Image, layer: int, heads: str | int = "sum") -> NoReturn:
        """Raise ModelError: only the server knows."""
        raise ModelError(UNSEEN)


def attach(engine: Engine, servers: Servers) -> None:
    """Let the servers answer in place of a model of this machine."""
    engine.name, engine.servers, engine.may_switch = "servers", servers, False


def describe(models: tuple[str, str], pair: Pair) -> dict[str, Any]:
    """Description of the two for the page; the keys of `hired.models.load.describe`."""
    name = models[0] if models[0] == models[1] else " | ".join(models)
    known = {
        "name": name,
        "origin": "embedded" if set(models) == {EMBEDDED} else "remote",
        "family": "LLaVA on two servers",
        "device": "two servers",
        "device_name": f"{pair.baseline.root} and {pair.hired.root}",
        "dtype": f"dtype {UNKNOWN}",
        "quantization": None,
        "quantized_tower": False,
        "resting_bytes": None,
    }
    shape = ("tile", "patch", "vision_layers", "vision_heads", "vision_width")
    return known | dict.fromkeys((*shape, "text_layers", "text_heads", "text_width"), UNKNOWN)


def plain_picture(image: Image.Image) -> str:
    """The image as it is, and why nothing is drawn on it."""
    width, height = image.size
    small = image.copy()
    small.thumbnail((SIDE, SIDE))
    return fill(
        "pictures", "plain", width=width, height=height, source=data_uri(small), words=UNSEEN
    )
