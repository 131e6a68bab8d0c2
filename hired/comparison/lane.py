"""One lane of a comparison: a selector on its way through all the stages, measured.

Runs to its end in the calling thread and tells how far it is; nothing it does touches the model.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import torch
from PIL import Image
from transformers.generation import GenerationMode

from hired.arguments import CACHES, check_options, greedy, read_config
from hired.clip import Tower, read_tower
from hired.encode import naming_layer
from hired.errors import HiredError, InputError, MemoryShortage, SettingError
from hired.generate import devices_of, generate
from hired.inputs import Inputs, prepare
from hired.metrics import MemoryProbe, Metrics, Stopwatch, release_memory, summarise
from hired.models.hardware import explain_unsupported, is_shortage
from hired.pack import Packed, pack
from hired.phases import PREFILL, PREPROCESS
from hired.selectors import Selector, as_selector
from hired.wrapper import look

log = logging.getLogger(__name__)

# Options of `generate` that a lane fills in itself.
OWN = {
    "attention_mask", "custom_generate", "image_sizes", "input_ids", "inputs", "inputs_embeds",
    "labels", "mm_encoder_outputs", "pixel_values", "position_ids", "return_dict_in_generate",
    "streamer", "vision_feature_layer", "vision_feature_select_strategy",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Lane:
    """One side of a comparison.

    Attributes:
        name: what the user calls it.
        selector: the method and its settings.
        stop: set it to end this lane within one token.
    """

    name: str
    selector: Selector
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Read a selector that is a line of text, such as `hired:budget=20%`."""
        object.__setattr__(self, "selector", as_selector(self.selector))


class Preparation:
    """Pixels and token ids of one prompt, made by the first lane that asks and read by all.

    Attributes:
        seconds: what making them took; every lane would pay it alone, so all count it.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inputs: Inputs | None = None
        self._lock = threading.Lock()

    def take(self, make: Callable[[], Inputs]) -> Inputs:
        """The inputs that `make` gave the first lane."""
        with self._lock:
            if self._inputs is None:
                begin = perf_counter()
                self._inputs = make()
                self.seconds = perf_counter() - begin
            return self._inputs


@dataclass(frozen=True)
class Prompt:
    """The question that every lane is asked, checked beforehand and prepared once for all.

    `batch` asks it that many times at once, each copy prepared and looked at on its own. The
    metrics of such a run are those of one copy, except bytes, which are of the whole batch.
    """

    model: Any
    processor: Any
    image: Image.Image
    question: str
    generate_kwargs: dict[str, Any]
    batch: int = 1
    prepared: Preparation = field(default_factory=Preparation, compare=False)


def check_lanes(tower: Tower, lanes: Sequence[Lane]) -> None:
    """Raise SettingError for a layer or head that is not there, before anything runs."""
    for lane in lanes:
        lane.selector.check_model(tower.last_tap + 1, tower.heads)


def check_generation(model: Any, options: Mapping[str, Any]) -> None:
    """Raise SettingError for options of `generate` that a lane cannot obey, before anything runs.

    A lane streams one answer token by token and measures its cache. It takes stopping criteria
    and logits processors beside its own; they see the sequence as the model does.
    """
    otherwise = "For that use HiredModel(model, selector).generate."
    if taken := options.keys() & {*OWN, *CACHES}:
        raise SettingError(f"A lane streams its own answer and takes no {min(taken)}. {otherwise}")
    check_options(model, options)
    config = read_config(model, greedy(options))
    mode = config.get_generation_mode(options.get("assistant_model"))
    if mode not in (GenerationMode.GREEDY_SEARCH, GenerationMode.SAMPLE):
        raise SettingError(
            f"A lane chooses its tokens one by one, greedy or sampled, and times each; the options "
            f"ask for {mode.value.replace('_', ' ')}. {otherwise}"
        )
    if (config.num_return_sequences or 1) > 1:
        raise SettingError(
            f"A lane streams one answer, so num_return_sequences is 1 here; got "
            f"{config.num_return_sequences}. {otherwise}"
        )
    if config.use_cache is False or config.cache_implementation not in (None, "dynamic"):
        asked = "use_cache=False" if config.use_cache is False else config.cache_implementation
        raise SettingError(
            f"A lane measures its KV cache, so use_cache is True here and the cache is dynamic; "
            f"got {asked}. {otherwise}"
        )


Tell = Callable[..., None]  # phase=, token=, selection=, metrics=, error=


def run_lane(
    prompt: Prompt, selector: Selector, tell: Tell, stopped: Callable[[], bool], contended: bool
) -> None:
    """Take one prompt through all stages; ends with phase "done", "stopped" or "failed".

    Args:
        prompt: the question and the shared model.
        selector: the method and its settings.
        tell: called with what is new: `phase`, `token`, `selection`, `metrics`, `error`.
        stopped: asked between stages and after every token.
        contended: whether other lanes run meanwhile.
    """
    try:
        metrics = _measure(prompt, selector, tell, stopped, contended)
    except Exception as error:  # one lane's failure is told, the others go on
        tell(phase="failed", error=explain(error))
    else:
        tell(phase="stopped" if stopped() else "done", metrics=metrics)
        return
    with suppress(RuntimeError):  # CUDA may be past help; the lanes after it say so themselves
        release_memory()  # the error held what the lane had


class Beside:
    """Work that goes on beside the lanes, as it waited long enough for their end."""

    def __init__(self) -> None:
        self._begun = self._over = 0
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[None]:
        """One piece of such work."""
        with self._lock:
            self._begun += 1
        try:
            yield
        finally:
            with self._lock:
                self._over += 1

    @property
    def mark(self) -> int | None:
        """A number that stays the same while there is none of it; None while there is some."""
        with self._lock:
            return self._begun if self._begun == self._over else None


BESIDE = Beside()


def explain(error: Exception) -> str:
    """An error in words for the user; unexpected ones go to the log with their trace."""
    if isinstance(error, HiredError):
        return str(error)
    if is_shortage(error):
        return str(
            MemoryShortage(
                "The device ran out of memory in this lane. Lower the budget or the number of "
                "new tokens, use a smaller image, or load the model in 8 or 4 bits."
            )
        )
    if unsupported := explain_unsupported(error):
        return unsupported
    log.error("a lane failed", exc_info=error)
    return f"Something went wrong in this lane ({type(error).__name__}); see the log for details."


def _measure(
    prompt: Prompt, selector: Selector, tell: Tell, stopped: Callable[[], bool], contended: bool
) -> Metrics | None:
    tower = read_tower(prompt.model)
    device, *others = devices_of(prompt.model)
    tell(phase=PREPROCESS.name)
    alone = BESIDE.mark
    inputs = prompt.prepared.take(lambda: _prepare(prompt, tower, device))
    if stopped():
        return None
    named = naming_layer(tower, inputs.pixel_values)
    with MemoryProbe(device, split=bool(others)) as probe, torch.inference_mode(), named:
        watch = Stopwatch(device, *others, **{PREPROCESS.name: prompt.prepared.seconds})

        def timed(name: str) -> AbstractContextManager[None]:
            if watch.phase_now is None:  # what is planned inside the vision pass is not told
                tell(phase=name)
            return watch.phase(name)

        pixels = inputs.pixel_values, inputs.image_sizes
        seen = look(tower, *pixels, selector, grid=inputs.grid, timed=timed)
        visions, selections = zip(*seen, strict=True)
        # A picture keeps it for long, and merged features would stay on the device with it.
        tell(phase=PREFILL.name, selection=selections[0].with_features(None))
        if stopped():
            return None
        packed = pack(prompt.model, inputs.input_ids, inputs.attention_mask, visions, selections)
        _check_length(prompt, packed)
        answer = generate(
            prompt.model,
            packed,
            lambda token, _: tell(token=token),
            stopped,
            **prompt.generate_kwargs,
        )
    contended = contended or alone is None or alone != BESIDE.mark
    return summarise(watch, probe, selections[0], inputs.prompt_tokens, answer, contended)


def _prepare(prompt: Prompt, tower: Tower, device: torch.device) -> Inputs:
    """The prompt as the model takes it, once or as a batch of copies."""
    parts = [
        prepare(prompt.processor, tower.fit, prompt.image, prompt.question, device)
        for _ in range(prompt.batch)
    ]
    if len(parts) == 1:
        return parts[0]
    sizes = [part.image_sizes for part in parts if part.image_sizes is not None]
    return Inputs(
        torch.cat([part.input_ids for part in parts]),
        torch.cat([part.attention_mask for part in parts]),
        torch.cat([part.pixel_values for part in parts]),
        torch.cat(sizes) if sizes else None,
        parts[0].prompt_tokens,
        parts[0].grid,
    )


def _check_length(prompt: Prompt, packed: Packed) -> None:
    limit = getattr(prompt.model.config.get_text_config(), "max_position_embeddings", None)
    new = prompt.generate_kwargs["max_new_tokens"]
    places = packed.position_ids
    length = packed.input_ids.shape[1] if places is None else int(places.max()) + 1
    if limit is not None and length + new > limit:
        raise InputError(
            f"The prompt has {length} tokens, images included, and the answer may have {new} "
            f"more; this model reads at most {limit}. Shorten the question, lower the budget or "
            f"the number of new tokens."
        )
