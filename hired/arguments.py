"""The options a caller hands to `generate`, checked and completed before anything runs.

Knows the options of transformers, nothing of images or methods.
"""

import inspect
from collections.abc import Container, Mapping
from copy import copy, deepcopy
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, GenerationConfig
from transformers.utils import TransformersKwargs

from hired.errors import InputError, SettingError

PARTS = {"tokenizer", "assistant_tokenizer"}  # taken by `generate` without being in its signature
CACHES = ("cache", "past_key_values")


def check_options(model: Any, options: Mapping[str, Any], refused: Container[str] = ()) -> None:
    """Raise SettingError for options that `model.generate` would not take, and for refused ones.

    Args:
        model: a stock model; only read.
        options: keywords for its `generate`.
        refused: names that the caller's caller may not use; None counts as not used.
    """
    known = {
        *PARTS,
        *CACHES,
        *TransformersKwargs.__optional_keys__,
        *inspect.signature(model.generate).parameters,
        *inspect.signature(model.forward).parameters,
        *vars(GenerationConfig()),
    }
    for name, value in options.items():
        if value is not None and name not in known:
            raise SettingError(
                f"generate of this model takes no {name!r}. Check its spelling, or leave it out."
            )
        if value is not None and name in refused:
            raise SettingError(
                f"{name} cannot be given here: it would not fit the shortened prompt."
            )
    _check_values(options)


def _check_values(options: Mapping[str, Any]) -> None:
    """Raise SettingError for values that a shortened prompt cannot go with."""
    if options.get("vision_feature_select_strategy") not in (None, "default"):
        raise SettingError(
            f"vision_feature_select_strategy is 'default' here (patches only); got "
            f"{options['vision_feature_select_strategy']!r}. CLS is what patches are ranked by, "
            f"and no patch itself."
        )
    for name in CACHES:
        cache = options.get(name)
        if cache is not None and not (isinstance(cache, Cache) and cache.get_seq_length() == 0):
            raise SettingError(
                f"{name} is a new Cache of transformers here, or left out; got one that holds a "
                f"prompt, or a {type(cache).__name__}. Pass the whole conversation in input_ids."
            )
    for name in ("stopping_criteria", "logits_processor"):
        if not isinstance(options.get(name), list | None):
            raise SettingError(f"{name} is a list; got {options[name]!r}. Write [{name}].")


def greedy(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that decode greedily unless they, or a `generation_config` among them, say other.

    A configuration takes the options in: transformers warns of both beside each other.

    Raises:
        SettingError: transformers refuses a value.
    """
    usual = {"do_sample": False, "num_beams": 1}
    given = options.get("generation_config")
    if not isinstance(given, GenerationConfig):
        return usual | dict(options)
    config = deepcopy(given)
    missing = {name: value for name, value in usual.items() if getattr(given, name) is None}
    return _update(config, missing | dict(options)) | {"generation_config": config}


def _update(config: GenerationConfig, options: Mapping[str, Any]) -> dict[str, Any]:
    """Write options into a configuration; those that are none of its are returned."""
    try:
        return config.update(**{k: v for k, v in options.items() if k != "generation_config"})
    except (ValueError, TypeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise SettingError(f"The options for generate cannot be used: {reason}.") from error


def read_config(model: Any, options: Mapping[str, Any]) -> GenerationConfig:
    """The configuration that `model.generate(**options)` works with; a copy.

    Options come before a `generation_config` among them, and that before the model's own. What
    was not set is None.

    Raises:
        SettingError: transformers refuses a value.
    """
    given = options.get("generation_config")
    if not isinstance(given, GenerationConfig | None):
        raise SettingError(f"generation_config is a GenerationConfig; got {type(given).__name__}.")
    config = GenerationConfig() if given is None else deepcopy(given)
    config.update(
        **model.generation_config.to_dict(), defaults_only=True, allow_custom_entries=True
    )
    _update(config, options)
    return config


def check_cache(config: GenerationConfig, placed: bool) -> None:
    """Check that there is a KV cache where tokens are `placed` with gaps between their positions.

    Raises:
        SettingError: there is none.
    """
    if placed and config.use_cache is False:
        raise SettingError(
            "positions='original' takes a KV cache: without one, stock transformers reads gaps "
            "between positions as borders between prompts. Got use_cache=False; pass "
            "use_cache=True, or positions='packed'."
        )


def read_prompt(
    input_ids: Any, attention_mask: Any, config: GenerationConfig, vocabulary: int
) -> tuple[Tensor, Tensor]:
    """Ids and mask (B, L) on the CPU, checked, the mask worked out where it is missing.

    Args:
        input_ids, attention_mask: as the caller passed them.
        config: see `read_config`.
        vocabulary: rows of the token embedding.

    Raises:
        InputError: they are not what processors return, or padding cannot be told from text.
    """
    ids = input_ids.cpu() if isinstance(input_ids, Tensor) else input_ids
    mask = attention_mask.cpu() if isinstance(attention_mask, Tensor) else attention_mask
    _check_ids(ids, vocabulary)
    mask = _complete_mask(ids, config) if mask is None else mask
    _check_mask(mask, ids)
    return ids, mask


def _check_ids(ids: Any, vocabulary: int) -> None:
    whole = isinstance(ids, Tensor) and ids.dtype in (torch.long, torch.int)
    if not whole or ids.dim() != 2 or not ids.numel():
        raise InputError(
            f"input_ids is a tensor of whole numbers, (prompts, tokens); got {_shown(ids)}. Call "
            f"the processor with return_tensors='pt'."
        )
    lowest, highest = (int(value) for value in ids.aminmax())
    if lowest < 0 or highest >= vocabulary:
        raise InputError(
            f"input_ids lie from {lowest} to {highest}; this model knows the tokens 0 to "
            f"{vocabulary - 1}. Use the model's own processor."
        )


def _check_mask(mask: Any, ids: Tensor) -> None:
    if not isinstance(mask, Tensor) or mask.shape != ids.shape:
        raise InputError(
            f"attention_mask is a tensor shaped like input_ids, {tuple(ids.shape)}; got "
            f"{_shown(mask)}. Pass both as the processor returned them."
        )
    if not ((mask == 0) | (mask == 1)).all():
        raise InputError("attention_mask holds 0 for padding and 1 for all else; got other values.")
    if not mask.bool().any(dim=1).all():
        raise InputError("attention_mask leaves a prompt without any token. Check the padding.")


def _complete_mask(input_ids: Tensor, config: GenerationConfig) -> Tensor:
    """The attention mask (B, L) of prompts that came without one.

    As stock code does, every pad token is padding, on the left and on the right. Where the pad
    token is also one that ends or begins text, stock code takes padding for text; here that is
    refused, unless there is one prompt or none that begins or ends with it.

    Raises:
        InputError: what is padding cannot be told.
    """
    ends = [config.eos_token_id] if isinstance(config.eos_token_id, int) else config.eos_token_id
    pad = config.pad_token_id
    if pad is not None and pad not in {*(ends or ()), config.bos_token_id}:
        return (input_ids != pad).to(torch.long)
    if len(input_ids) > 1 and (pad is None or (input_ids[:, [0, -1]] == pad).any()):
        raise InputError(
            f"attention_mask is missing, and what is padding cannot be told from input_ids: the "
            f"pad token of this model is {pad}, its end token {config.eos_token_id}. Pass all "
            f"that the processor returned."
        )
    return torch.ones_like(input_ids)


def shorten_lengths(
    options: dict[str, Any], config: GenerationConfig, length: int, shorter: int
) -> dict[str, Any]:
    """Options whose total lengths count the model's prompt, as they counted the caller's.

    Args:
        options: for `model.generate`.
        config: what they come to, with the model's own configuration.
        length, shorter: tokens of the caller's prompt and of the model's.

    Raises:
        SettingError: `max_length` leaves no room for an answer.
    """
    if config.max_new_tokens is None and (config.max_length or length + 1) <= length:
        raise SettingError(
            f"max_length is {config.max_length}, and the prompt alone has {length} tokens, images "
            f"included. Raise it, or set max_new_tokens instead."
        )
    options = dict(options)
    given = copy(options.get("generation_config"))
    for name in ("max_length", "min_length"):
        total = getattr(config, name)
        if total is None:
            continue
        total = max(total - (length - shorter), 0)
        if given is None:
            options[name] = total
        else:  # transformers warns of options beside a configuration
            options.pop(name, None)
            setattr(given, name, total)
    return options if given is None else options | {"generation_config": given}


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"
