"""Errors in words a user can act on: what was wrong, what was received, what to do."""

__all__ = [
    "HiredError", "InputError", "MemoryShortage", "ModelError", "NotFinite", "SettingError",
    "at_least",
]  # fmt: skip


class HiredError(Exception):
    """Root of every error this package raises on purpose; its message is meant for the user."""


class SettingError(HiredError, ValueError):
    """A setting is out of range or of the wrong type (budget, alpha, layer, heads, …)."""


class InputError(HiredError, ValueError):
    """An image or a question cannot be used."""


class ModelError(HiredError):
    """A model cannot be loaded, or is not one this package can read."""


class NotFinite(ModelError):
    """A model computed NaN or infinity: what would follow from it is no answer.

    Attributes:
        named: whether the message names the place where it came up first.
    """

    def __init__(self, message: str, named: bool = False) -> None:
        super().__init__(message)
        self.named = named

    @classmethod
    def at(cls, place: str, dtype: object) -> "NotFinite":
        """An error that names a place, such as "Layer 3 of the vision tower"."""
        return cls(
            f"{place} gives NaN or infinity in {str(dtype).removeprefix('torch.')}. Load the model "
            f"in bfloat16 or float32, without quantization; if it does so there too, its weights "
            f"are damaged: download them again.",
            named=True,
        )


class MemoryShortage(HiredError):
    """The machine has not enough memory for what was asked."""


def at_least(low: int, **given: int) -> None:
    """Raise SettingError for the first of some counts, by their names, that is below `low`."""
    for name, value in given.items():
        if value < low:
            raise SettingError(f"{name} is at least {low}; got {value}.")
