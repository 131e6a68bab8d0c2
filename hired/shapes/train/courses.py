"""The courses of the language stage in their order, each on from its own checkpoint."""

import hashlib
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from transformers import LlavaNextForConditionalGeneration

from hired.errors import ModelError
from hired.shapes.train import language_stage
from hired.shapes.train.checkpoints import load_checkpoint
from hired.shapes.train.one_tile import encode_tiles
from hired.shapes.train.schedule import Course, Schedule
from hired.shapes.train.seen import Seen, encode, encode_once
from hired.shapes.train.token_targets import TokenHead

COURSES = {"lesson": "lesson.pt", "whole": "language.pt", "again": "again.pt"}
"""Courses, fields of `LanguageSchedule`, and their checkpoints."""
LESSON_ROUND = 400
"""Steps of the first lesson after which its pictures come again, with other questions."""
Pictures = tuple[list[Seen], list[Seen]]
"""Pictures to learn from, and held-out ones."""


def start_of(args: Namespace, schedule: Schedule, course: str) -> str:
    """The schedule up to the beginning of a course, and that course but for its end, which may come
    later; the number of processes, which decide what is learnt from when; and a fingerprint of the
    weights of `--resume-from`, if any.
    """
    plan, names = schedule.language, list(COURSES)
    before = [getattr(plan, name) for name in names[: names.index(course)]]
    own = replace(getattr(plan, course), steps=0, fall=0)
    parts = [f"{plan.align} steps of alignment", f"{plan.pictures} of {plan.mixture}"]
    parts += map(str, [*before, own])
    parts.append(f"processes: {args.processes}")
    if args.resume_from is not None:
        data = (args.resume_from / "model.safetensors").read_bytes()
        parts.append(f"from {hashlib.blake2b(data, digest_size=8).hexdigest()}")
    return "; ".join(parts)


def check_length(path: Path, saved: dict[str, Any], steps: int) -> None:
    """Check that a course of so many steps can go on from a checkpoint.

    Raises:
        ModelError: it is longer already, or is over and left its optimiser out.
    """
    done = saved["step"]
    if done > steps or (done < steps and "optimiser" not in saved):
        reason = "more than" if done > steps else "without its optimiser, so it is over before"
        raise ModelError(
            f"{path} is at step {done}, {reason} the {steps} that are asked for. Ask for {done}, "
            f"give another folder with --checkpoints, or remove the file."
        )


@dataclass
class Pupil:
    """One of `processes` processes that train together: number `number`, with its own share of the
    pictures, which `workers` processes draw.
    """

    model: LlavaNextForConditionalGeneration
    processor: Any
    args: Namespace
    schedule: Schedule
    number: int
    processes: int
    workers: int
    log: Callable[[str], None]
    head: TokenHead = field(default_factory=TokenHead)

    def learn(self, name: str) -> None:
        """Take a course to its end, from its checkpoint if there is one; one that is over only
        brings its weights.
        """
        course: Course = getattr(self.schedule.language, name)
        path, seed = self.args.checkpoints / COURSES[name], self.args.seed
        start = start_of(self.args, self.schedule, name)
        saved = load_checkpoint(path, seed, start)
        self.head.to(self.model.device)
        if saved is not None and saved["step"] == course.steps:
            self.model.load_state_dict(saved["model"])
            self.head.load_state_dict(saved["head"])
            return
        known = (self.model, self.head, self.processor.tokenizer)
        seen, held_out = self.pictures(name)
        language_stage.train(*known, seen, held_out, path, course, seed, self.log, start)

    def pictures(self, name: str) -> Pictures:
        """This process's pictures of a course; the first process has the held-out ones as well."""
        plan, seed = self.schedule.language, self.args.seed
        if name == "lesson":
            share = plan.lesson.size * min(plan.lesson.steps, LESSON_ROUND) // self.processes
            tiles = encode_tiles(self.model, seed, self.number * share, share, plan.reads)
            return list(tiles), list(
                encode_tiles(self.model, seed, 10**6, plan.held_out, plan.reads)
            )
        how = (self.model, self.processor, plan.mixture)
        share, folder = plan.pictures // self.processes, self.args.checkpoints / "seen"
        seen: list[Seen] = []
        for first in range(0, plan.pictures * (2 if name == "again" else 1), plan.pictures):
            begin = first + self.number * share
            numbers = range(begin, begin + share)
            seen += encode_once(*how, seed, numbers, folder, self.log, self.workers)
        wanted = range(1, 1 + plan.held_out * (self.number == 0))
        return seen, list(encode(*how, "validation", seed, wanted, self.workers))
