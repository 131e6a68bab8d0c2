"""Answers that a record does not hold yet: poster by poster, every lane on one tower pass."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from PIL import Image

from hired.bench.accuracy_plan import Plan
from hired.bench.coverage import cover, stock_words
from hired.bench.results import Record
from hired.bench.session import Progress, Tell, describe_session
from hired.clip import read_tower
from hired.comparison.explain import Word
from hired.comparison.preview import Preview
from hired.models.hardware import pick_device
from hired.models.load import describe, load
from hired.selectors import Selection, Selector, candidate_mask
from hired.shapes.evaluate import answer_all, drawn_for, is_right
from hired.shapes.pictures import ask_about, render
from hired.shapes.questions import Question

Poster = tuple[str, int]  # split and number


def run_plan(
    plan: Plan,
    path: Path,
    command: str = "",
    device: str = "auto",
    tell: Tell = lambda done, total, line: None,
    loaded: tuple[Any, Any] | None = None,
) -> Path:
    """Measure what `path` does not hold yet and append it there, one line per poster.

    Args:
        plan: what to measure.
        path: the record; gone on with if it exists.
        command: how it was asked for, for the record.
        device: where to run.
        tell: called before every lane, with lanes done and lanes in all.
        loaded: the model and its processor if they are loaded already.

    Raises:
        ModelError, MemoryShortage: the model cannot be loaded.
        SettingError: the record is of another machine or of other weights, or a layer or head
            does not exist.
    """
    place = pick_device(device)
    model, processor = loaded or load(plan.model, device=place)
    lanes = plan.lanes(read_tower(model))
    about = {"model": {**describe(model), "name": plan.model}, "weights": digest_weights(model)}
    record = Record(path, {"of": "eval", **describe_session(place, command), **about})
    have = done_lanes(record.rounds, plan.seed, plan.coverage)
    posters = list(product(plan.splits, range(plan.posters)))
    progress = Progress(tell, len(lanes) * len(posters))
    eye = Preview(model, processor, plan.batch)
    for chunk in _chunks(posters, plan.batch):
        missing = {
            title: [each for each in chunk if title not in have.get(each, ())] for title in lanes
        }
        open_ = sum(map(len, missing.values()))
        progress.skip(len(lanes) * len(chunk) - open_)
        if open_:
            _run_chunk(eye, (model, processor), plan, lanes, missing, record, progress)
    progress.say("done")
    return path


def _run_chunk(
    eye: Preview,
    loaded: tuple[Any, Any],
    plan: Plan,
    lanes: dict[str, Selector],
    missing: dict[str, list[Poster]],
    record: Record,
    progress: Progress,
) -> None:
    """Run the missing lanes of some posters, then write one line for each of these posters."""
    began = perf_counter()
    posters = dict.fromkeys(poster for todo in missing.values() for poster in todo)
    shown = {poster: _show(eye, loaded, plan, poster, progress) for poster in posters}
    found: dict[Poster, dict[str, Any]] = {poster: {} for poster in posters}
    for title, todo in missing.items():
        if not todo:
            continue
        progress.step(f"{_name(todo[0])} · {title}", len(todo))
        mine = [shown[poster] for poster in todo]
        kept = [
            eye.select(one.image, drawn_for(lanes[title], index))
            for one, (_, index) in zip(mine, todo, strict=True)
        ]
        seen = [(eye.look(one.image), each) for one, each in zip(mine, kept, strict=True)]
        replies = answer_all(*loaded, seen, [one.questions for one in mine])
        for poster, selection, answers in zip(todo, kept, replies, strict=True):
            found[poster][title] = shown[poster].judge(selection, answers)
    seconds = round((perf_counter() - began) / max(1, len(found)), 3)
    for (split, index), results in found.items():
        kinds = [question.kind for question in shown[split, index].questions]
        about = {"split": split, "seed": plan.seed, "poster": index, "kinds": kinds}
        key = hashlib.blake2b(json.dumps([split, plan.seed, index, sorted(results)]).encode())
        record.add(key.hexdigest()[:16], about | {"seconds": seconds}, results)


@dataclass(frozen=True)
class _Shown:
    """A poster, its questions, and behind each the words of the stock answer if coverage is asked.

    Attributes:
        image: the poster.
        questions: about it.
        words: one each; empty without coverage.
    """

    image: Image.Image
    questions: list[Question]
    words: list[tuple[Word, ...]]

    def judge(self, selection: Selection, answers: Sequence[str]) -> dict[str, Any]:
        """Entry of a record for one lane."""
        right = [is_right(*pair) for pair in zip(answers, self.questions, strict=True)]
        marks = "".join(str(int(one)) for one in right)
        result = {"right": marks, "visual_tokens": selection.visual_tokens}
        if not self.words:
            return result
        mask = selection.mask & candidate_mask(selection.grid)
        pairs = zip(self.words, self.questions, strict=True)
        return result | {"coverage": [cover(*pair, mask) for pair in pairs]}


def _show(
    eye: Preview, loaded: tuple[Any, Any], plan: Plan, poster: Poster, progress: Progress
) -> _Shown:
    scene, questions = ask_about(*poster, plan.seed)
    image, words = render(scene), []
    if plan.coverage:
        progress.say(f"{_name(poster)} · what the stock answers look at")
        words = [stock_words(*loaded, eye, image, question) for question in questions]
    return _Shown(image, questions, words)


def _name(poster: Poster) -> str:
    return f"{poster[0]} · poster {poster[1]}"


def done_lanes(
    rounds: Sequence[dict[str, Any]], seed: int, coverage: bool = False
) -> dict[Poster, set[str]]:
    """The lanes that are recorded of each poster, with coverage where that is asked for."""
    found: dict[Poster, set[str]] = {}
    for one in rounds:
        if one["seed"] == seed:
            lanes = {
                name
                for name, result in one["lanes"].items()
                if "coverage" in result or not coverage
            }
            found.setdefault((one["split"], one["poster"]), set()).update(lanes)
    return found


def digest_weights(model: Any) -> str:
    """A fingerprint of all weights, so that results of two trainings do not mix."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _chunks(posters: Sequence[Poster], size: int) -> Iterator[list[Poster]]:
    """Neighbours in batches; a batch may cross from one split to the next."""
    rest = iter(posters)
    while chunk := list(islice(rest, size)):
        yield chunk
