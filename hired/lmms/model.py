"""Any method on a stock LLaVA model, as lmms-eval runs models.

    python -m lmms_eval --model hired --tasks pope,textvqa_val --batch_size 4
        --model_args pretrained=llava-hf/llava-v1.6-vicuna-7b-hf,method=hired,budget=0.2

The paper's eight benchmarks are the tasks `vqav2_val`, `scienceqa_img`, `textvqa_val`,
`docvqa_val`, `ocrbench`, `mme`, `pope` and `chartqa`. Everything in `model_args` that is not named
below goes to the method: `alpha=0.3`, `init_layer=2`, `newline=rows`. The prompt is the model's own
chat template with the image first.
"""

from collections.abc import Sequence
from typing import Any

from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from PIL import Image
from tqdm import tqdm

from hired.errors import InputError
from hired.lmms.prompts import ask_batch, cut_at, generate_settings, read_batch_size
from hired.models.load import load
from hired.selectors import build, read_settings
from hired.wrapper import HiredModel


class HiredLmms(lmms):
    """A stock model that drops visual tokens by one of the methods.

    Args:
        pretrained: a name or directory for `hired.models.load`.
        method: a name in the register of methods; `full` is the stock model.
        batch_size: questions at once.
        device, dtype, quantization: as `hired.models.load` takes them.
        max_batch_size: lmms-eval passes it; batches are never larger than `batch_size`.
        settings: of the method, its budget among them.

    Raises:
        SettingError: the method does not have such a setting, or it is out of range; or
            batch_size is no number.
        ModelError, MemoryShortage: the model cannot be loaded.
    """

    is_simple = True

    def __init__(
        self,
        pretrained: str = "shapes",
        method: str = "hired",
        batch_size: int | str = 1,
        device: str = "auto",
        dtype: str = "auto",
        quantization: str | None = None,
        max_batch_size: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        selector = build(method, **read_settings(method, settings))
        model, self.processor = load(pretrained, quantization, device, dtype)
        self.wrapped = HiredModel(model, selector)
        self.batch_size = read_batch_size(batch_size)

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Answers in the order of the requests; those with the same settings share batches."""
        replies: dict[int, str] = {}
        bar = tqdm(total=len(requests), desc="Model Responding", disable=self.rank != 0)
        for rows in _batches(requests, self.batch_size):
            settings = dict(requests[rows[0]].args[1])
            ends = settings.pop("until", [])
            pairs = [self._question(requests[row]) for row in rows]
            texts = ask_batch(self.wrapped, self.processor, pairs, **generate_settings(settings))
            for row, text in zip(rows, texts, strict=True):
                replies[row] = cut_at(text, ends)
                self.cache_hook.add_partial("generate_until", requests[row].args[:2], replies[row])
            bar.update(len(rows))
        bar.close()
        return [replies[row] for row in range(len(requests))]

    def _question(self, request: Instance) -> tuple[str, Image.Image | None]:
        """A request as its text and its image, if it has one."""
        text, _, to_visual, number, task, split = request.args
        pictures = to_visual(self.task_dict[task][split][number]) or []
        if len(pictures) > 1 or not all(isinstance(one, Image.Image) for one in pictures):
            raise InputError(
                f"Question {number} of {task} has {len(pictures)} visuals; this model takes one "
                f"image or none. Choose a task of single images."
            )
        return text, pictures[0] if pictures else None

    def loglikelihood(self, requests: list[Instance]) -> Any:
        """Answers are generated, not scored: such tasks are refused."""
        raise _wrong_task(requests)

    def generate_until_multi_round(self, requests: list[Instance]) -> Any:
        """One question, one answer: such tasks are refused."""
        raise _wrong_task(requests)


def _wrong_task(requests: Sequence[Instance]) -> InputError:
    kinds = ", ".join(sorted({request.request_type for request in requests}))
    return InputError(f"Choose a task of output_type generate_until; this one asks for {kinds}.")


def _batches(requests: Sequence[Instance], size: int) -> list[list[int]]:
    """Rows with equal generation settings, `size` at a time."""
    groups: dict[str, list[int]] = {}
    for row, request in enumerate(requests):
        groups.setdefault(repr(request.args[1]), []).append(row)
    return [
        rows[start : start + size]
        for rows in groups.values()
        for start in range(0, len(rows), size)
    ]
