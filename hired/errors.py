"""What can go wrong, in words a user can act on: what was wrong, what was received, what to do."""

__all__ = ["HiredError", "InputError", "MemoryShortage", "ModelError", "SettingError"]


class HiredError(Exception):
    """Root of every error this package raises on purpose; its message is meant for the user."""


class SettingError(HiredError, ValueError):
    """A setting is out of range or of the wrong type (budget, alpha, layer, heads, …)."""


class InputError(HiredError, ValueError):
    """An image or a question cannot be used."""


class ModelError(HiredError):
    """A model cannot be loaded, or is not one this package can read."""


class MemoryShortage(HiredError):
    """The machine has not enough memory for what was asked."""
