"""The settings of a server and a request as one selector, refused where vLLM cannot reserve for it.

Knows nothing of vLLM. A server reserves a request's place before it has seen a pixel, so only
methods whose count follows from image size and settings are offered.
"""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hired.errors import SettingError
from hired.selectors import SELECTORS, Selector, build, settings_of

KEY = "hired"  # of the server's --hf-overrides, and of a request's mm_processor_kwargs
Settings = dict[str, Any]


def offered() -> tuple[str, ...]:
    """The methods whose number of visual tokens a server can tell beforehand."""
    return tuple(
        name for name, method in SELECTORS.items() if method.fixed_count and method.general
    )


def resolve(server: Mapping[str, Any] | None, request: Mapping[str, Any] | None) -> Settings:
    """Every setting of one request: the request's over the server's over the method's own.

    Where a request names another method, the server's settings hold as far as that method has them.
    Equal requests give equal settings however they were said, so they share cache entries, and
    different ones never do.

    Args:
        server: `method` and its settings, from the server's configuration.
        request: the same, from the request.

    Raises:
        SettingError: no such method or setting, a value out of range, or a count that depends on
            the image's content.
    """
    usual = _checked("the server's configuration", server)
    asked = _checked("mm_processor_kwargs", request)
    if "method" in asked:  # the server's settings are those of its own method
        known = settings_of(asked["method"])
        usual = {name: value for name, value in usual.items() if name in known}
    return settings_from(make_selector(usual | asked))


def make_selector(settings: Mapping[str, Any]) -> Selector:
    """The selector of some settings.

    Raises:
        SettingError: see `resolve`.
    """
    given = dict(settings)
    name = given.pop("method", "hired")
    settings_of(name)  # no such method
    if name not in offered():
        why = (
            "that depends on the image's content"
            if SELECTORS[name].general
            else "of patches picked on one image"
        )
        raise SettingError(
            f"{name!r} keeps a number of tokens {why}, and a server has to reserve them for any "
            f"image, before it sees the image. Use one of: {', '.join(offered())}."
        )
    selector = build(name, **given)
    if selector.positions != "packed":
        raise SettingError(
            "vLLM counts the positions of a prompt itself and takes none for the tokens kept of an "
            "image, so a server has positions=packed only. Use hired.HiredModel for original ones."
        )
    return selector


def settings_from(selector: Selector) -> Settings:
    """The settings that make this selector again."""
    return {"method": selector.name, **{key: getattr(selector, key) for key in selector.settings()}}


def to_tensor(settings: Settings) -> Tensor:
    """Settings as JSON in a uint8 tensor, the only kind of value that reaches a vLLM worker."""
    return torch.frombuffer(bytearray(json.dumps(settings).encode()), dtype=torch.uint8)


def from_tensor(packed: Tensor) -> Settings:
    """Settings back from `to_tensor`."""
    return json.loads(bytes(packed.flatten().tolist()))


def _checked(where: str, given: Mapping[str, Any] | None) -> Settings:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise SettingError(
            f"{KEY!r} in {where} is an object such as "
            f'{{"budget": 0.2, "alpha": 0.5}}; got {given!r}.'
        )
    return dict(given)
