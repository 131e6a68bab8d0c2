"""HiRED: drop visual tokens before the language model sees them, inside an exact budget.

Importing this package does nothing: torch and transformers are loaded by the first name used.

Shape letters, used in every docstring and comment:
`B` batch · `T` tiles of an image, the overview first · `N` patches per tile · `H` attention heads ·
`D` vision width · `E` language width · `L` sequence length · `K` kept patches.
"""

import importlib
from typing import Any

_HOMES = {
    "HiredError": "errors",
    "InputError": "errors",
    "MemoryShortage": "errors",
    "ModelError": "errors",
    "SettingError": "errors",
    "TileGrid": "tiles",
    "Selection": "selectors",
    "Selector": "selectors",
    "SELECTORS": "selectors",
    "HiRED": "selectors",
    "ByHand": "selectors",
    "select": "wrapper",
    "HiredModel": "wrapper",
    "Lane": "comparison.lane",
    "Step": "comparison.stream",
    "compare": "comparison.run",
    "explain": "comparison.explain",
    "load": "models.load",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Resolve a public name from the module that owns it, on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'hired' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"hired.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
