"""The models that can be loaded by name: what they are, what they weigh, what a device can hold.

The weights follow from the configs: CLIP ViT-L/336 (0.304), projector, embeddings and layers.
"""

from dataclasses import dataclass
from pathlib import Path

from hired.models.quantization import BYTES

EMBEDDED = "shapes"
KNOWS = "this demo's own pictures"
"""All that the embedded model was trained on, in the words of the page and the lists."""
SHAPES = Path(__file__).resolve().parents[2] / "assets" / "shapes"
ROOM_BYTES = 3.9e9  # beside the weights: caches and activations of two lanes, estimated
FULL = {"float32": 4.0, "half": 2.0}  # bytes a weight
PRECISIONS = (*FULL, *BYTES)


@dataclass(frozen=True)
class Entry:
    """One model on the list.

    Attributes:
        words: family and language model.
        weights: how many there are, in thousands of millions.
        linear: how many of them 8 and 4 bits shrink: the language model's linear layers.
        crops: the most partitions an image has beside the overview.
        note: what else to know.
    """

    words: str
    weights: float
    linear: float
    crops: int = 4
    note: str = ""

    @property
    def partitions(self) -> str:
        """Number of tiles an image becomes, the overview among them."""
        return f"3 to {1 + self.crops}" if self.crops else "1"

    @property
    def line(self) -> str:
        """The model in a few words, for a list."""
        said = [self.note] * bool(self.note) + ["one partition, no crops"] * (not self.crops)
        size = f"{self.words}, {self.bytes_in('half') / 1e9:.0f} GB"
        return f"{size}: {', '.join(said)}" if said else size

    def bytes_in(self, precision: str) -> float:
        """Bytes of the weights in one of `PRECISIONS`; on the hub they lie in half."""
        if precision in FULL:
            return self.weights * 1e9 * FULL[precision]
        kept = (self.weights - self.linear) * FULL["half"]
        return (kept + self.linear * BYTES[precision]) * 1e9

    def needs(self, precision: str) -> float:
        """Bytes that two lanes of it take on a device."""
        return self.bytes_in(precision) + ROOM_BYTES

    def fitting(self, free: float) -> str | None:
        """The best precision in which `free` bytes are enough for two lanes, or None."""
        return next((one for one in PRECISIONS if self.needs(one) <= free), None)


UNTRIED = "not tried here"
LISTED = {
    "llava-hf/llava-v1.6-mistral-7b-hf": Entry("LLaVA-NeXT, Mistral 7B", 7.57, 6.98),
    "llava-hf/llava-v1.6-vicuna-7b-hf": Entry(
        "LLaVA-NeXT, Vicuna 7B", 7.06, 6.48, note="the paper's model"
    ),
    "llava-hf/llava-v1.6-vicuna-13b-hf": Entry("LLaVA-NeXT, Vicuna 13B", 13.35, 12.69),
    "llava-hf/llama3-llava-next-8b-hf": Entry("LLaVA-NeXT, Llama 3 8B", 8.36, 6.98),
    "llava-hf/llava-1.5-7b-hf": Entry("LLaVA-1.5, Vicuna 7B", 7.06, 6.48, 0),
    "llava-hf/llava-1.5-13b-hf": Entry("LLaVA-1.5, Vicuna 13B", 13.35, 12.69, 0),
    "xtuner/llava-phi-3-mini-hf": Entry("LLaVA-1.5, Phi-3 mini", 4.14, 3.62, 0, UNTRIED),
    "bczhou/tiny-llava-v1-hf": Entry("LLaVA-1.5, TinyLlama", 1.41, 0.97, 0, UNTRIED),
}
ALLOWED = {
    EMBEDDED: f"embedded 168-px LLaVA-NeXT that knows {KNOWS} and nothing else",
    **{name: entry.line for name, entry in LISTED.items()},
}
