"""The whole training: vision stage, alignment, lessons, saving and the curves' figure.

Every part goes on from its own checkpoint, so an interrupted run loses minutes.
"""

import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import distributed, multiprocessing
from tqdm import tqdm
from transformers import LlavaNextForConditionalGeneration

from hired.errors import ModelError, SettingError, at_least
from hired.models.hardware import pick_device
from hired.selectors.random import SEED
from hired.shapes.train import language_stage, llama_init, vision_stage
from hired.shapes.train.assemble import build_model, build_processor, load_weights, save
from hired.shapes.train.checkpoints import load_checkpoint
from hired.shapes.train.courses import COURSES, Pupil, check_length, start_of
from hired.shapes.train.schedule import Schedule

KERNELS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64", "LRU_CACHE_CAPACITY": "64"}
"""Entries of PyTorch's caches of compiled products. Every batch of questions has other
shapes: at their 1,024 entries a process had grown to 12 GB after 1,000 steps of the first
lesson; at 64 it stays at 4.7, and a step takes as long.
"""


def say(line: str) -> None:
    """One line of progress on stderr, above a progress bar."""
    tqdm.write(line, file=sys.stderr)


def train_all(args: Namespace, schedule: Schedule, log: Callable[[str], None] = say) -> None:
    """Train what the checkpoints in `args.checkpoints` lack and save the model to `args.out`.

    Raises:
        SettingError: a number is out of range.
        ModelError: `resume_from` holds no model, the checkpoints are of another run, or
            there is no such device.
    """
    check_numbers(args, schedule)
    device = pick_device(args.device)
    # One thread each and one exchange per step: on a shared machine that is much faster than
    # two threads that wait for each other at every operation. A GPU takes whole steps.
    args = Namespace(**vars(args), processes=args.threads if device.type == "cpu" else 1)
    folder: Path = args.checkpoints
    folder.mkdir(parents=True, exist_ok=True)
    if args.resume_from is None:
        workers = drawing(device, args.threads)
        torch.set_num_threads(max(1, args.threads - workers))
        vision_stage.train(folder, schedule.vision, args.seed, device, workers, log)
        if args.only_vision:
            return
    elif not (args.resume_from / "model.safetensors").exists():
        raise ModelError(f"{args.resume_from} holds no model.safetensors to start from.")
    check_checkpoints(args, schedule)
    meeting = folder / "meeting"
    meeting.unlink(missing_ok=True)
    for name, size in KERNELS.items():
        os.environ.setdefault(name, size)
    multiprocessing.spawn(language_process, (args, schedule, device), nprocs=args.processes)
    draw_curves(folder, folder / "curves.png")


def drawing(device: torch.device, threads: int) -> int:
    """Number of processes that draw pictures for one that trains; none where only one may run."""
    return min(1, threads - 1) if device.type == "cpu" else 8


def check_numbers(args: Namespace, schedule: Schedule) -> None:
    """Check the numbers that would fail, or mean something else, only hours later.

    Raises:
        SettingError: a number is out of range, or torch is too old to train with.
    """
    if not hasattr(torch.optim, "Muon"):
        raise SettingError(
            f"Training takes torch 2.9 or newer, which has the optimiser Muon; this is "
            f"{torch.__version__}. All else runs with it; to train, install a newer torch."
        )
    SEED.check("--seed", args.seed)
    vision, language = schedule.vision, schedule.language
    size = language.whole.size
    if args.only_vision and args.resume_from is not None:
        raise SettingError("--resume-from brings its tower, so --only-vision would train nothing.")
    if args.threads < 1 or size % args.threads:
        raise SettingError(
            f"--threads divides the {size} pictures of a step: 1, 2, 4 or {size}; "
            f"got {args.threads}."
        )
    steps = {
        "vision-steps": vision.steps,
        "closing-steps": vision.closing,
        "align-steps": language.align,
        "lesson-steps": language.lesson.steps,
        "language-steps": language.whole.steps,
        "again-steps": language.again.steps,
        "held-out": language.held_out,
    }
    at_least(1, **{f"--{name}": number for name, number in steps.items()})
    if not 0 <= vision.documents < vision.size:
        raise SettingError(
            f"--documents is one of 0 to {vision.size - 1}, tiles of a step of the vision "
            f"stage's {vision.size}; got {vision.documents}."
        )
    if language.pictures < size:
        raise SettingError(f"--pictures is at least {size}, one step's; got {language.pictures}.")


def check_checkpoints(args: Namespace, schedule: Schedule) -> None:
    """Check that the language stage's checkpoints are of this run: they fit one tower only.

    Raises:
        ModelError: one was trained with another seed, another schedule, from other weights, on
            another tower or for more steps.
    """
    for course, name in COURSES.items():
        path: Path = args.checkpoints / name
        saved = load_checkpoint(path, args.seed, start_of(args, schedule, course))
        if saved is None:
            continue
        check_length(path, saved, getattr(schedule.language, course).steps)
        tower = load_tower(build_model(), args).model.vision_tower.state_dict()
        for key, value in tower.items():
            if not torch.equal(saved["model"][f"model.vision_tower.{key}"].cpu(), value):
                raise ModelError(
                    f"{path} was trained on another vision tower than this run's. Remove it to "
                    f"train the language stage anew, or give another folder with --checkpoints."
                )


def load_tower(
    model: LlavaNextForConditionalGeneration, args: Namespace
) -> LlavaNextForConditionalGeneration:
    """`model` with the trained tower, or all of it as `--resume-from` has it."""
    if args.resume_from is not None:
        load_weights(model, args.resume_from)
    else:
        saved = torch.load(args.checkpoints / "vision.pt", weights_only=True, map_location="cpu")
        model.model.vision_tower.load_state_dict(saved["tower"])
    return model


def language_process(
    number: int, args: Namespace, schedule: Schedule, device: torch.device
) -> None:
    """One of the processes of the language stage, with its own share of the pictures."""
    torch.set_num_threads(1)
    folder, processes = cast(Path, args.checkpoints), cast(int, args.processes)
    meeting = f"file://{(folder / 'meeting').resolve()}"
    distributed.init_process_group("gloo", init_method=meeting, rank=number, world_size=processes)
    log = say if number == 0 else (lambda line: None)
    processor = build_processor()
    torch.manual_seed(args.seed)
    model = load_tower(build_model(), args)
    names = list(COURSES)
    there = [place for place, name in enumerate(names) if (folder / COURSES[name]).exists()]
    first = max([*there, 0 if args.resume_from is None else names.index("whole")])
    fresh = not there and args.resume_from is None
    if fresh:
        llama_init.start(model, processor.tokenizer)  # before it moves: the same on every device
    cast(torch.nn.Module, model).to(device)
    model.model.vision_tower.requires_grad_(False)
    workers = drawing(device, args.threads)
    if fresh:
        known = (model, processor.tokenizer)
        language_stage.align(*known, schedule.language, args.seed, log, workers)
    distributed.barrier()  # no process may write a checkpoint before all have looked for it
    pupil = Pupil(model, processor, args, schedule, number, processes, workers, log)
    for course in names[first:]:  # the last checkpoint has all that the ones before it had
        pupil.learn(course)
    if number == 0:
        save(model, args.out)
    distributed.destroy_process_group()


def lines(path: Path) -> list[dict[str, Any]]:
    """The records of a training log."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]


def course_lines(folder: Path) -> list[dict[str, Any]]:
    """The records of the courses on whole pictures; steps count on from one to the next."""
    found: list[dict[str, Any]] = []
    for name in list(COURSES)[1:]:
        path = (folder / COURSES[name]).with_suffix(".jsonl")
        before = found[-1]["step"] if found else 0
        if path.exists():
            found += [{**line, "step": before + line["step"]} for line in lines(path)]
    return found


def draw_curves(folder: Path, out: Path) -> None:
    """Losses and held-out accuracies of both stages as one picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(13, 3.6))
    right.set_prop_cycle(color=matplotlib.color_sequences["tab20"])
    middle.set_yscale("log")
    if (folder / "vision.jsonl").exists():
        seen = lines(folder / "vision.jsonl")
        names = ("shape", "colour", "digit", "centre", "bag", "pull", "near", "word", "slots")
        for name in filter(seen[0].__contains__, names):  # a world of posters has no words
            left.plot([s["step"] for s in seen], [s[name] for s in seen], label=name)
        told = [s for s in seen if "held_out" in s]
        for name in ("words", "digits") if told else ():
            values = [s["held_out"][name] for s in told]
            label = f"{name} read on held-out looks"
            left.plot([s["step"] for s in told], values, "--", label=label)
    if read := course_lines(folder):
        middle.plot([s["step"] for s in read], [s["loss"] for s in read])
        checked = [s for s in read if "held_out" in s]
        for kind in sorted({k for s in checked for k in s["held_out"]}):
            right.plot(
                [s["step"] for s in checked], [s["held_out"].get(kind) for s in checked], label=kind
            )
    for axes, title in (
        (left, "vision stage: losses"),
        (middle, "language stage: loss"),
        (right, "held-out answers exactly right"),
    ):
        axes.set_title(title)
        axes.set_xlabel("step")
    left.legend(fontsize=7)
    right.legend(fontsize=7, loc="lower right", ncols=2)
    figure.tight_layout()
    figure.savefig(out, dpi=110)
    pyplot.close(figure)
