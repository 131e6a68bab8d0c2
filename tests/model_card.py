"""Tables of the embedded model's card: what ships, its world, its training plan, its answers.

`readmes` puts them into `assets/shapes/README.md`. What ships is read from the files that ship, so
that the card of weights that know posters alone says nothing of documents.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hired.bench.accuracy_summary import Score
from hired.bench.plan import BASELINE
from hired.bench.split_tables import PLACED
from hired.bench.tables import markdown
from hired.budget import show_budget
from hired.shapes import documents, scenes
from hired.shapes.layouts import ASKED
from hired.shapes.lettering import FONTS
from hired.shapes.lexicon import WORDS, knows_documents
from hired.shapes.page_phrases import PAGE_PHRASES
from hired.shapes.page_questions import PAGE_KINDS
from hired.shapes.phrases import PHRASES
from hired.shapes.pictures import TESTED
from hired.shapes.questions import KINDS
from hired.shapes.sprites import COLOURS, SHAPES
from hired.shapes.train.schedule import POSTERS, Course, Schedule

MODEL = Path(__file__).parents[1] / "assets" / "shapes"
BLIND = {"random": "random", "spatial": "every k-th"}
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def configuration() -> str:
    """What the model is made of, from the files that ship."""
    config = json.loads((MODEL / "config.json").read_text(encoding="utf-8"))
    vision, text = config["vision_config"], config["text_config"]
    side = vision["image_size"] // vision["patch_size"]
    grids = [(h // vision["image_size"], w // vision["image_size"])
             for h, w in config["image_grid_pinpoints"]]  # fmt: skip
    crops = sorted(rows * columns for rows, columns in grids)
    block = vision["num_hidden_layers"] + 1 + config["vision_feature_layer"]
    tower = (
        f"CLIP ViT, {vision['image_size']}-px tiles, {vision['patch_size']}-px patches "
        f"({side**2} a tile), {_blocks(vision)}; the projector reads block {block} of "
        f"{vision['num_hidden_layers']} (`vision_feature_layer={config['vision_feature_layer']}`)"
    )
    shapes = ", ".join(f"{rows}x{columns}" for rows, columns in grids)
    base = text["rope_parameters"]["rope_theta"]
    tensors, size = _weights()
    kinds = {DTYPES[one["dtype"]] for one in tensors.values()}
    count = sum(_product(one["shape"]) for one in tensors.values())
    rows = [
        ["vision tower", tower],
        ["grids", f"{shapes} crops and the overview: {side**2 * (1 + crops[0])} to "
                  f"{side**2 * (1 + crops[-1])} patches"],
        ["projector", f"{vision['hidden_size']} -> {text['hidden_size']} -> "
                      f"{text['hidden_size']}, {config['projector_hidden_act'].upper()}"],
        ["language model", f"Llama, {_blocks(text)}, RoPE base {base:.0e}".replace("e+0", "e")
                           + f"; {_tokens()} tokens: a word each, letters for the rest"],
        ["file", f"{count / 1e6:.1f} million parameters, {' and '.join(sorted(kinds))} safetensors "
                 f"under llava-hf hub names, {size / 1e6:.0f} MB"],
    ]  # fmt: skip
    return markdown(["part", "configuration"], rows)


def _blocks(config: dict[str, Any]) -> str:
    size = f"{config['num_hidden_layers']} blocks x {config['hidden_size']}"
    return f"{size}, {config['num_attention_heads']} heads, MLP {config['intermediate_size']}"


def _weights() -> tuple[dict[str, Any], int]:
    """Types and shapes of the tensors that ship, and the size of their file in bytes."""
    path = MODEL / "model.safetensors"
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    header.pop("__metadata__", None)
    return header, path.stat().st_size


def _product(numbers: Sequence[int]) -> int:
    product = 1
    for number in numbers:
        product *= number
    return product


def _vocabulary() -> dict[str, int]:
    """The tokens that ship: those of the model and those added to it."""
    saved = json.loads((MODEL / "tokenizer.json").read_text(encoding="utf-8"))
    added = {one["content"]: one["id"] for one in saved["added_tokens"]}
    return saved["model"]["vocab"] | added


def _tokens() -> int:
    return len(_vocabulary())


def reads() -> bool:
    """Test whether the model that ships has the documents' words."""
    return knows_documents(_vocabulary())


def world() -> str:
    """The pictures and questions that the model knows: posters, and documents if it reads."""
    (least, most), (low, high) = scenes.SMALL, scenes.LARGE
    share = f"at most {_percent(scenes.CONTENT_SHARE)} of the patches; large shapes more"
    names = [TESTED[kind] for kind in documents.KINDS]
    turn = f"up to {ASKED.turn:g} degrees"
    text = [_percent(bound) for bound in documents.CONTENT]
    sizes = f"{documents.SIZES[0]} to {documents.SIZES[-1]} px"
    rows = [
        ["kinds", "sparse, large", ", ".join(names)],
        ["content", f"{len(SHAPES)} shapes in {len(COLOURS)} colours, a digit on each",
         f"{len(WORDS)} words; prices, times, platforms, values and percentages are open"],
        ["its size", f"{least} to {most} px; large ones {low} to {high} px",
         f"lines of {sizes} in {len(FONTS)} fonts"],
        ["it covers", share, f"{text[0]} to {text[1]} of the patches"],
        ["it is turned", "not at all", turn],
        ["grids", f"all {len(scenes.GRIDS)}, half of them letterboxed", "the same"],
        ["kinds of question", str(len(KINDS)), str(len(PAGE_KINDS))],
        ["their wordings", *(str(sum(map(len, one.values()))) for one in (PHRASES, PAGE_PHRASES))],
    ]  # fmt: skip
    columns = 3 if reads() else 2
    return markdown(["", "posters", "documents"][:columns], [row[:columns] for row in rows])


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def schedule() -> str:
    """The plan that `python -m hired shapes train` follows."""
    plan = Schedule() if reads() else _of_posters(Schedule())
    vision, language = plan.vision, plan.language
    closing = f"{vision.closing:,} steps of {vision.size} tiles"
    counts = Counter(language.mixture)
    mixture = ", ".join(f"{count} {split}" for split, count in counts.most_common())
    tiles = f"{vision.steps:,} steps of {vision.size} tiles"
    more = ""
    if vision.documents:
        tiles += f", {vision.documents} of them from documents"
        closing += ", half of them from documents"
        more = f"; from step {vision.harder:,} on in smaller print, with less contrast and tints"
    rows = [
        ["vision", f"{tiles}, each batch twice, {vision.apart} steps apart; rate up to "
                   f"{vision.peak:g}{more}"],
        ["its closing course", f"{closing}; rate from {vision.closing_peak:g} to nothing; noise up "
                               f"to {vision.noise:g} on what the CLS attention fetches; averaged "
                               f"with the weights before it, which count for {vision.kept:g}"],
        ["projector onto word embeddings", f"{language.align:,} steps"],
        ["first lesson, pictures of one tile", _course(language.lesson)],
        ["whole pictures", f"{_course(language.whole)}; {language.pictures:,} different pictures"],
        ["again", f"{_course(language.again)}; these pictures and as many new ones"],
        [f"of {len(language.mixture)} whole pictures", mixture],
    ]  # fmt: skip
    return markdown(["stage", "plan"], rows)


def _of_posters(plan: Schedule) -> Schedule:
    vision = replace(plan.vision, documents=0)
    return replace(plan, vision=vision, language=replace(plan.language, mixture=POSTERS))


def _course(course: Course) -> str:
    told = f"; what tokens tell weighs {course.told:g}"
    told += f"; counts asked {course.counts:g} times as often" if course.counts != 1 else ""
    return (
        f"{course.steps:,} steps of {course.size} pictures with {course.many} questions each; "
        f"rate up to {course.peak:g}, falling over the last {_percent(course.fall)}{told}"
    )


def answers(scores: Sequence[Score]) -> str:
    """Right answers by kind of question, in %, with all tokens and with few: a table per split."""
    parts = []
    for split in dict.fromkeys(score.split for score in scores):
        mine = [score for score in scores if score.split == split]
        [full] = [score for score in mine if score.what == BASELINE]
        seeds = sorted({seed for _, seed, _ in full.by_poster})
        told = f"{full.asked:,} questions about {full.posters} {TESTED[split]}, test seed "
        table = _answers(full, [score for score in mine if score is not full])
        parts.append(f"{told}{' and '.join(map(str, seeds))}:\n\n{table}")
    return "\n\n".join(parts)


def _answers(full: Score, rest: Sequence[Score]) -> str:
    kept = [one for one in rest if one.what == "hired" and isinstance(one.budget, float)]
    placed = [one for one in rest if one.what == PLACED]
    for some in (kept, placed):
        some.sort(key=lambda one: -(one.budget or 0))
    least = kept[-1].budget if kept else None
    blind = [one for one in rest if one.what in BLIND and one.budget == least]
    blind.sort(key=lambda one: list(BLIND).index(one.what))
    lanes = [full, *kept, *placed, *blind]
    names = ["all tokens", *(f"HiRED {show_budget(one.budget)}" for one in kept)]
    names += [f"HiRED {show_budget(one.budget)}, original positions" for one in placed]
    names += [f"{BLIND[one.what]} {show_budget(one.budget)}" for one in blind]
    rows = [["all", str(full.asked), *(f"**{100 * one.accuracy:.1f}**" for one in lanes)]]
    for kind, (_, asked) in full.by_kind.items():
        shares = (one.by_kind[kind] for one in lanes)
        rows.append([kind, str(asked), *(f"{100 * good / many:.0f}" for good, many in shares)])
    rows.append(["visual tokens", "", *(f"{one.visual_tokens:.0f}" for one in lanes)])
    return markdown(["kind", "questions", *names], rows)


OF_CARD = {
    "model configuration": configuration,
    "model world": world,
    "model schedule": schedule,
}
