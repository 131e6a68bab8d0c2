"""Two servers compared as two lanes: the demo's engine where the models live elsewhere.

The same steps as `hired.compare`, timed at the client; what a server cannot tell stays `None`.
"""

import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

from hired.comparison.lane import Lane, Tell, explain
from hired.comparison.run import check_asked
from hired.comparison.stream import Step, follow
from hired.images import open_image
from hired.inputs import check_question
from hired.metrics import Metrics
from hired.phases import PREFILL
from hired.selectors import Selector
from hired.serving.client import Endpoint, Usage, as_data_uri
from hired.serving.settings import make_selector, settings_from
from hired.settings import NEW_TOKENS


@dataclass(frozen=True)
class Pair:
    """A stock server and one with the plug-in.

    Attributes:
        baseline: answers for the method `full`.
        hired: answers for every other method.
    """

    baseline: Endpoint
    hired: Endpoint

    def models(self) -> tuple[str, str]:
        """The models that the two serve.

        Raises:
            ModelError: one of them cannot be reached.
        """
        return self.baseline.model(), self.hired.model()


@dataclass(frozen=True)
class Question:
    """The question that both servers are asked."""

    pair: Pair
    models: tuple[str, str]
    picture: str
    text: str
    max_new_tokens: int


def compare_remote(
    pair: Pair,
    models: tuple[str, str],
    image: Any,
    question: str,
    lanes: Sequence[Lane],
    *,
    max_new_tokens: int = NEW_TOKENS,
    race: bool = False,
    stop: threading.Event | None = None,
) -> Generator[Step]:
    """`hired.compare`, answered by servers.

    Raises:
        InputError: the image or the question cannot be used.
        SettingError: no lanes, or a bad `max_new_tokens`.
    """
    check_asked(lanes, max_new_tokens)
    picture = as_data_uri(open_image(image))
    asked = Question(pair, models, picture, check_question(question), max_new_tokens)
    return follow(lanes, partial(run_remote, asked), "".join, race=race, stop=stop)


def run_remote(
    asked: Question, selector: Selector, tell: Tell, stopped: Any, contended: bool
) -> None:
    """One lane; ends with phase "done", "stopped" or "failed", like `run_lane`."""
    try:
        metrics = _measure(asked, selector, tell, stopped, contended)
    except Exception as error:  # one lane's failure is told, the others go on
        tell(phase="failed", error=explain(error))
    else:
        tell(phase="stopped" if stopped() else "done", metrics=metrics)


def _measure(
    asked: Question, selector: Selector, tell: Tell, stopped: Any, contended: bool
) -> Metrics | None:
    stock = selector.name == "full"
    place = asked.pair.baseline if stock else asked.pair.hired
    model = asked.models[0 if stock else 1]
    settings = None if stock else settings_from(selector)
    if settings is not None:
        make_selector(settings)  # refused here, in words, before anything is sent
    usage, stamps = Usage(), []
    begin = perf_counter()
    tell(phase=PREFILL.name)
    pieces = place.ask(
        model, asked.picture, asked.text, asked.max_new_tokens, settings, stopped, usage
    )
    for piece in pieces:
        stamps.append(perf_counter())
        tell(token=piece)
    if not stamps:
        return None
    visual = kv_bytes = None
    if not stopped():
        visual = place.visual_tokens(model, asked.picture, asked.text, settings)
        kv_bytes = place.kv_bytes_per_token()
    return summarise(begin, stamps, usage, visual, kv_bytes, contended)


def summarise(
    begin: float,
    stamps: Sequence[float],
    usage: Usage,
    visual: int | None,
    kv_bytes_per_token: float | None,
    contended: bool,
) -> Metrics:
    """The metrics of one answer, as far as a client can know them.

    Args:
        begin, stamps: when the request was made and each piece came, seconds.
        usage: the server's counts; a stopped answer has none.
        visual: visual tokens, if the server told.
        kv_bytes_per_token: of its KV cache, if it told.
        contended: whether the other lane ran meanwhile.
    """
    ttft, total = stamps[0] - begin, stamps[-1] - begin
    count = usage.new_tokens or len(stamps)  # vLLM sends a piece per token
    prompt, kv_bytes = usage.prompt_tokens, None
    if prompt is not None and kv_bytes_per_token is not None:
        kv_bytes = round((prompt + count - 1) * kv_bytes_per_token)
    return Metrics(
        visual_tokens=visual,
        prompt_tokens=None if prompt is None or visual is None else prompt - visual,
        new_tokens=count,
        ttft_s=ttft,
        decode_s=total - ttft,
        total_s=total,
        tokens_per_s=(count - 1) / (total - ttft) if count > 1 and total > ttft else None,
        end_to_end_tokens_per_s=count / total,
        kv_cache_bytes=kv_bytes,
        contended=contended,
    )
