"""ZeroGPU: a GPU that is there only inside one decorated generator, which runs in a forked process.

Nothing but plain values crosses the fork; the model is what the fork inherits. Everywhere else
`spaces` is missing or inert, `BORROWED` is false and nothing here is used.
"""

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from gradio.exceptions import Error
from PIL import Image

from hired.comparison.lane import Lane
from hired.comparison.preview import Preview, from_arrays, to_arrays
from hired.comparison.run import compare
from hired.comparison.stream import Step
from hired.encode import Vision
from hired.errors import HiredError
from hired.metrics import Metrics
from hired.phases import FINAL, WAITING
from hired.selectors import parse

BORROWED = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
# Of a 7B model on what a Space is lent, half an RTX Pro 6000 (48 GB); estimated, not measured.
START_S, LANE_S, TOKEN_S = 8.0, 2.5, 0.04  # weights to the GPU; warm-up and prefill; a token
QUOTA_S = 120  # of GPU a visitor without an account has in a day
FACTOR = 1.5  # a second on that GPU counts as this many
LONGEST_S = int(QUOTA_S / FACTOR)

_held: list[Any] = []  # model, processor; filled before the first fork


def hold(model: Any, processor: Any) -> None:
    """Keep the model where a forked process finds it."""
    _held[:] = [model, processor]


def estimate(task: str, *asked: Any) -> int:
    """Seconds of GPU to ask for; what was asked says how much there is to do."""
    if task == "look":
        return int(START_S + LANE_S)
    _, _, lanes, options = asked
    tokens = options["max_new_tokens"]
    return min(LONGEST_S, int(START_S + len(lanes) * (LANE_S + tokens * TOKEN_S)))


def decorated(function: Callable[..., Generator[Any]]) -> Callable[..., Generator[Any]]:
    """`spaces.GPU` where the package is installed, else the function itself."""
    try:
        import spaces
    except ImportError:
        return function
    return spaces.GPU(duration=estimate)(function)


@decorated
def work(task: str, *asked: Any) -> Generator[Any]:
    """The one function that touches the GPU on a Space: plain values in, plain values out.

    `work("look", picture, *received)` gives `to_arrays` of a picture; `work("compare", picture,
    question, lanes, options)` the steps of a comparison as dictionaries. A picture is (mode, size,
    bytes), a lane its name and its method in one line.
    """
    model, processor = _held
    image = Image.frombytes(*asked[0])
    if task == "look":
        yield to_arrays(Preview(model, processor).encode(image, *asked[1:]))
        return
    _, question, lanes, options = asked
    try:
        chosen = [Lane(name, parse(text)) for name, text in lanes]
        with closing(compare(model, processor, image, question, chosen, **options)) as steps:
            for step in steps:
                plain = {name: getattr(step, name) for name in _PLAIN}
                yield plain | {"metrics": step.metrics.as_dict() if step.metrics else None}
    except HiredError as error:  # ZeroGPU would hand on the name of its class alone
        yield {"refused": str(error)}


_PLAIN = ("lane", "phase", "text", "new_tokens", "elapsed_s", "error")


def borrow(
    image: Image.Image, question: str, lanes: Sequence[Lane], **options: Any
) -> Generator[Step]:
    """`hired.compare` on a borrowed GPU. A stop ends all lanes: the worker hears only the end."""
    stop = options.pop("stop", None)
    told = [(lane.name, lane.selector.text) for lane in lanes]
    latest = {index: Step(index) for index in range(len(lanes))}
    phase, failure = "stopped", None
    try:
        with closing(work("compare", _plain(image), question, told, options)) as steps:
            for plain in steps:
                if "refused" in plain:
                    raise HiredError(plain["refused"])
                metrics = plain.pop("metrics")
                step = Step(**plain, metrics=Metrics(**metrics) if metrics else None)
                latest[step.lane] = step
                yield step
                if (stop and stop.is_set()) or any(lane.stop.is_set() for lane in lanes):
                    break
    except Error as error:
        if all(step.phase == WAITING for step in latest.values()):
            raise _explain(error) from error
        phase, failure = "failed", str(_explain(error))  # what was said until then stays
    for step in latest.values():
        if step.phase not in FINAL:
            yield replace(step, phase=phase, error=failure)


def _explain(error: Error) -> HiredError:
    """Turn what ZeroGPU says in a notice of its own into an error like all others here.

    A quota used up, no GPU free, or a worker ended because the time asked for was over.
    """
    return HiredError(
        f"Hugging Face lent no GPU for this ({str(error.message).strip().rstrip('.')}). Try again "
        f"later, ask for fewer new tokens or lanes, or sign in to Hugging Face for a larger share."
    )


class BorrowedPreview(Preview):
    """Looks through a borrowed GPU once per image; sliders then move on the CPU."""

    def encode(self, image: Image.Image, *received: int) -> Vision:
        """Run the tower once, in the worker."""
        try:
            with closing(work("look", _plain(image), *received)) as found:
                return from_arrays(next(found))
        except Error as error:
            raise _explain(error) from error


def _plain(image: Image.Image) -> tuple[str, tuple[int, int], bytes]:
    return image.mode, image.size, image.tobytes()
