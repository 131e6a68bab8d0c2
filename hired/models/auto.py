"""The choice of a model that suits the machine."""

from dataclasses import dataclass

from hired.models.allowed import EMBEDDED, KNOWS, LISTED
from hired.models.hardware import free_bytes, name_device, pick_device

REAL = "llava-hf/llava-v1.6-mistral-7b-hf"
WHOLE_BYTES, QUANTIZED_BYTES = (LISTED[REAL].needs(one) for one in ("half", "4bit"))


@dataclass(frozen=True)
class Choice:
    """A model, its quantization, and why, in words for the page."""

    name: str
    quantization: str | None
    words: str


def choose(device: str = "auto") -> Choice:
    """The largest model that `device` can hold.

    Raises:
        ModelError: no such device.
    """
    place = pick_device(device)
    if place.type == "cpu":
        return Choice(
            EMBEDDED, None, f"No GPU here, so the small embedded model answers: it knows {KNOWS}."
        )
    room = free_bytes(place)
    there = f"{name_device(place)} with {room / 1e9:.0f} GB free"
    if room >= WHOLE_BYTES:
        return Choice(REAL, None, f"{there}: LLaVA-NeXT-7B in half precision.")
    if room >= QUANTIZED_BYTES and place.type == "cuda":
        return Choice(REAL, "4bit", f"{there}: LLaVA-NeXT-7B in 4 bits.")
    return Choice(EMBEDDED, None, f"{there} is too little for LLaVA-NeXT-7B: the embedded model.")


def real_model() -> str:
    """Tell what a model for photographs and documents needs, in a sentence before its command."""
    return (
        f"For photographs and documents run a real model, LLaVA-NeXT-7B, on a GPU with "
        f"{WHOLE_BYTES / 1e9:.0f} GB free, or {QUANTIZED_BYTES / 1e9:.0f} GB in 4 bits:"
    )
