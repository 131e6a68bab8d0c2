"""The whole training: vision stage, alignment, language stage, saving and the curves' figure.

Every part goes on from its own checkpoint, so an interrupted run loses minutes.
"""

import hashlib
import json
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing
from tqdm import tqdm
from transformers import LlavaNextForConditionalGeneration

from hired.errors import ModelError, SettingError, at_least
from hired.selectors.random import SEED
from hired.shapes import language_stage, llama_start, vision_stage
from hired.shapes.assemble import build_model, build_processor, load_weights, save
from hired.shapes.journal import load_checkpoint
from hired.shapes.posters import encode
from hired.shapes.schedule import VisionSchedule
from hired.shapes.single import encode_tiles

SIZE = 8
"""Posters per step of the language stage, all processes together."""


def say(line: str) -> None:
    """One line of progress on stderr, above a progress bar."""
    tqdm.write(line, file=sys.stderr)


def train_all(args: Namespace, log: Callable[[str], None] = say) -> None:
    """Train what the checkpoints in `args.checkpoints` lack and save the model to `args.out`.

    Raises:
        SettingError: a number is out of range.
        ModelError: `resume_from` holds no model, or the checkpoints are of another run.
    """
    check_numbers(args)
    folder: Path = args.checkpoints
    folder.mkdir(parents=True, exist_ok=True)
    if args.resume_from is None:
        torch.set_num_threads(args.threads)
        schedule = VisionSchedule(args.vision_steps, documents=args.documents)
        vision_stage.train(folder, schedule, args.seed, log=log)
        if args.only_vision:
            return
    elif not (args.resume_from / "model.safetensors").exists():
        raise ModelError(f"{args.resume_from} holds no model.safetensors to start from.")
    check_checkpoint(args)
    meeting = folder / "meeting"
    meeting.unlink(missing_ok=True)
    # One thread each and one exchange per step: on a shared machine that is much faster than
    # two threads that wait for each other at every operation.
    multiprocessing.spawn(language_process, (args.threads, args), nprocs=args.threads)
    draw_curves(folder, folder / "curves.png")


def check_numbers(args: Namespace) -> None:
    """What would fail or be something else only hours later.

    Raises:
        SettingError: a number is out of range.
    """
    SEED.check("--seed", args.seed)
    if args.threads < 1 or SIZE % args.threads:
        raise SettingError(
            f"--threads divides the {SIZE} posters of a step: 1, 2, 4 or {SIZE}; "
            f"got {args.threads}."
        )
    for name in ("vision_steps", "language_steps", "align_steps", "lesson_steps", "held_out"):
        at_least(1, **{f"--{name.replace('_', '-')}": getattr(args, name)})
    if not 0 <= args.documents < VisionSchedule.size:
        raise SettingError(
            f"--documents is one of 0 to {VisionSchedule.size - 1}, tiles of a step of the vision "
            f"stage's {VisionSchedule.size}; got {args.documents}."
        )
    if args.posters < SIZE:
        raise SettingError(f"--posters is at least {SIZE}, one step's; got {args.posters}.")


def check_checkpoint(args: Namespace) -> None:
    """Is `language.pt` of this run?  Its projector and Llama were trained on one tower only.

    Raises:
        ModelError: it was trained with another seed, from other weights or on another tower.
    """
    path: Path = args.checkpoints / "language.pt"
    saved = load_checkpoint(path, args.seed, start_of(args))
    if saved is None:
        return
    tower = load_tower(build_model(), args).model.vision_tower.state_dict()
    for name, value in tower.items():
        if not torch.equal(saved["model"][f"model.vision_tower.{name}"], value):
            raise ModelError(
                f"{path} was trained on another vision tower than this run's. Remove it to train "
                f"the language stage anew, or give another folder with --checkpoints."
            )


def start_of(args: Namespace) -> str:
    """A fingerprint of the weights of `--resume-from`; nothing without them."""
    if args.resume_from is None:
        return ""
    data = (args.resume_from / "model.safetensors").read_bytes()
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def load_tower(
    model: LlavaNextForConditionalGeneration, args: Namespace
) -> LlavaNextForConditionalGeneration:
    """`model` with the trained tower, or all of it as `--resume-from` has it."""
    if args.resume_from is not None:
        load_weights(model, args.resume_from)
    else:
        saved = torch.load(args.checkpoints / "vision.pt", weights_only=True)
        model.model.vision_tower.load_state_dict(saved["tower"])
    return model


def language_process(number: int, processes: int, args: Namespace) -> None:
    """One of the processes of the language stage, with its own share of the posters."""
    torch.set_num_threads(1)
    folder: Path = args.checkpoints
    meeting = f"file://{(folder / 'meeting').resolve()}"
    distributed.init_process_group("gloo", init_method=meeting, rank=number, world_size=processes)
    log = say if number == 0 else (lambda line: None)
    processor = build_processor()
    torch.manual_seed(args.seed)
    model = load_tower(build_model(), args)
    if args.resume_from is None:
        llama_start.start(model, processor.tokenizer)
    model.model.vision_tower.requires_grad_(False)
    if args.resume_from is None and not (folder / "language.pt").exists():
        language_stage.align(model, processor.tokenizer, args.align_steps, args.seed, log)
        share = 16 * args.lesson_steps
        tiles = list(encode_tiles(model, args.seed, number * share, share))
        steps = args.lesson_steps
        language_stage.first_lesson(model, processor.tokenizer, tiles, steps, args.seed, log)
    log("the tower reads the posters once")
    share = args.posters // processes
    posters = []
    for poster in encode(model, processor, "train", args.seed, number * share, share):
        posters.append(poster)
        if len(posters) % 500 == 0:
            log(f"{len(posters)} posters read")
    held_out = []
    if number == 0:
        held_out = list(encode(model, processor, "validation", args.seed, 1, args.held_out))
    language_stage.train(
        model, processor.tokenizer, posters, held_out, folder, args.language_steps, args.seed,
        size=SIZE // processes, log=log, start=start_of(args),
    )  # fmt: skip
    if number == 0:
        save(model, args.out)
    distributed.destroy_process_group()


def lines(path: Path) -> list[dict[str, Any]]:
    """The records of a training log."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]


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
        for name in ("shape", "colour", "digit", "centre", "bag", "pull"):
            left.plot([s["step"] for s in seen], [s[name] for s in seen], label=name)
    if (folder / "language.jsonl").exists():
        read = lines(folder / "language.jsonl")
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
