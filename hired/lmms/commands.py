"""`python -m hired lmms-task`: the embedded world as a task that lmms-eval reads from a folder."""

import argparse
import json
import shutil
import sys
from pathlib import Path

from hired.shapes.pictures import TESTED, ask_about, render

TEMPLATE = Path(__file__).parent / "shapes_world"


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command `lmms-task`."""
    parser = subparsers.add_parser(
        "lmms-task",
        help="write test pictures as a task for lmms-eval",
        epilog="Then: python -m lmms_eval --model hired --tasks shapes_world --include_path OUT "
        "--model_args pretrained=shapes,method=hired,budget=0.2",
    )
    add = parser.add_argument
    add("--split", choices=TESTED, default="sparse")
    add("--posters", type=int, default=40, help="posters or documents, about 9 questions each")
    add("--seed", type=int, default=0)
    add("--out", type=Path, default=Path(".cache") / "lmms-task")
    parser.set_defaults(run=run_task)


def run_task(args: argparse.Namespace) -> int:
    """Write the pictures, their questions, the task's YAML and its scoring."""
    path = write_task(args.out, args.split, args.posters, args.seed)
    sys.stderr.write(f"Wrote {path}. Give lmms-eval --include_path {path.parent}\n")
    return 0


def write_task(folder: Path, split: str = "sparse", posters: int = 40, seed: int = 0) -> Path:
    """The task `shapes_world` in a folder of its own; gives its YAML file.

    Args:
        folder: where; made if it is missing.
        split: one of `TESTED`.
        posters: those that `hired eval` asks about, with the same questions.
        seed: of posters and questions.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    questions = folder / "questions.jsonl"
    with questions.open("w", encoding="utf-8") as file:
        for index in range(posters):
            scene, asked = ask_about(split, index, seed)
            image = folder / f"{split}-{seed}-{index}.png"
            render(scene).save(image)
            for one in asked:
                doc = {"image": str(image), "kind": one.kind}
                doc |= {"question": one.text, "answer": one.answer}
                file.write(json.dumps(doc) + "\n")
    shutil.copy(TEMPLATE / "scoring.py", folder)
    yaml = folder / "shapes_world.yaml"
    text = (TEMPLATE / yaml.name).read_text(encoding="utf-8")
    yaml.write_text(text.replace("QUESTIONS", str(questions)), encoding="utf-8")
    return yaml
