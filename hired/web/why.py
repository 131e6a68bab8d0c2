"""Why an answer was lost or kept: how many patches of what was asked about each pane read.

Only where the place of every object is known: the bundled posters, whose maker wrote it down.
Knows no gradio.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hired.budget import show_budget
from hired.shapes.scenes import Scene, Thing, thing_patches
from hired.web.engine import Loaded
from hired.web.examples import Example
from hired.web.panes import esc, matches
from hired.web.settings import Settings
from hired.web.views import View, budget_of, name_views

Patches = NDArray[np.bool_]  # (T, N)


def read_scene(example: Example) -> Scene | None:
    """Where the objects of an example stand, if it says so."""
    if not example.scene:
        return None
    things = tuple(Thing(**thing) for thing in example.scene["things"])
    return Scene(example.scene["width"], example.scene["height"], things, 0)


def asked_about(things: Sequence[Thing], question: str) -> list[int]:
    """Which objects a question is about: by name, digit, shape or colour; else all of them."""
    words = re.findall(r"[a-z]+|\d", question.lower())
    words = [word[:-1] if word.endswith("s") else word for word in words]
    pairs = set(pairwise(words))
    for fits in (
        lambda thing: (thing.colour, thing.shape) in pairs,
        lambda thing: str(thing.digit) in words,
        lambda thing: thing.shape in words,
        lambda thing: thing.colour in words,
    ):
        if found := [index for index, thing in enumerate(things) if fits(thing)]:
            return found
    return list(range(len(things)))


def why(
    loaded: Loaded,
    image: Image.Image,
    example: Example,
    question: str,
    views: Sequence[View],
) -> str:
    """What every pane that drops something kept of what was asked about, as HTML.

    Raises:
        SettingError: a layer or head does not exist in this model.
    """
    scene = read_scene(example)
    lanes = [view for view in name_views(views) if view.selector and view.method != "full"]
    if scene is None or not scene.things or not lanes:
        return ""
    about = asked_about(scene.things, question)
    shown = thing_patches(scene)[about].any(axis=0)
    what = _name(scene, about)
    known = example.known.get(question, "")
    lost = [v for v in lanes if known and v.phase == "done" and not matches(v.text, known)]
    said = [_lane(loaded, image, view, shown, what) for view in lanes]
    names = [view.lane for view in views]
    place = names.index(lost[0].lane) if lost else 0
    more = _remedy(loaded, image, example, question, lost[0], place, shown) if lost else ""
    title = "Why did it fail here?" if lost else "What was kept of it"
    return (
        f'<section class="why" aria-label="{title}"><h4>{title}</h4>'
        f"{''.join(f'<p>{line}</p>' for line in said)}{more}</section>"
    )


def _name(scene: Scene, about: Sequence[int]) -> str:
    if len(about) == 1:
        thing = scene.things[about[0]]
        return f"the {thing.colour} {thing.shape}"
    return f"the {len(about)} shapes it asks about"


def _kept(loaded: Loaded, image: Image.Image, lane: Any, shown: Patches) -> Patches:
    return loaded.preview.select(image, lane).mask.numpy() & shown


def _lane(
    loaded: Loaded,
    image: Image.Image,
    view: View,
    shown: Patches,
    what: str,
) -> str:
    kept = _kept(loaded, image, view.selector, shown)
    budget = budget_of(view.selector)
    told = budget is None or show_budget(budget) in view.title  # where lanes differ in it
    at = "" if told else f"At {show_budget(budget)} "
    return esc(
        f"{at}{view.title} kept {kept.sum()} of the {shown.sum()} patches that show {what}: "
        f"{kept[0].sum()} of {shown[0].sum()} in the overview, "
        f"{kept[1:].sum()} of {shown[1:].sum()} in the crops."
    )


def _remedy(
    loaded: Loaded,
    image: Image.Image,
    example: Example,
    question: str,
    view: View,
    place: int,
    shown: Patches,
) -> str:
    """From which budget it is there again, and a button that tries it."""
    lane = view.selector
    if lane is None or budget_of(lane) is None:
        return ""
    percents = range(1, 101)
    counts = [
        int(_kept(loaded, image, replace(lane, budget=p / 100), shown).sum()) for p in percents
    ]
    first = next(p for p, count in zip(percents, counts, strict=True) if count)
    whole = next(p for p, count in zip(percents, counts, strict=True) if count == shown.sum())
    words = f"A first one stays from {first} %, all of them from {whole} %."
    target = whole
    same = replace(lane, budget=Settings().lanes[-1].budget) == Settings().lanes[-1]
    if same and question == example.question and example.survives:
        target = round(example.survives * 100)
        words = f"The answer survives from {show_budget(example.survives)} on. {words}"
    return (
        f'<p>{esc(words)} <button type="button" class="try" data-lane="{place}" '
        f'data-percent="{target}">Try {target} %</button></p>'
    )
