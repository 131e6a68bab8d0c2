"""Why an answer was lost or kept: how many patches of what was asked about each pane read.

Only where the place of every object is known: the bundled posters, whose maker wrote it down.
Knows no gradio.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hired.budget import show_budget
from hired.selectors import SELECTORS, settings_of
from hired.shapes.scenes import Scene, Thing, thing_patches
from hired.web.engine import Loaded
from hired.web.examples import Example
from hired.web.panes import esc, matches
from hired.web.settings import Settings
from hired.web.views import View

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
    settings: Settings,
    views: Sequence[View],
) -> str:
    """What every pane that drops something kept of what was asked about, as HTML.

    Raises:
        SettingError: a layer or head does not exist in this model.
    """
    scene = read_scene(example)
    lanes = [view for view in views if view.method in SELECTORS and view.method != "full"]
    if scene is None or not scene.things or not lanes:
        return ""
    about = asked_about(scene.things, question)
    shown = thing_patches(scene)[about].any(axis=0)
    what = _name(scene, about)
    known = example.known.get(question, "")
    lost = [v for v in lanes if known and v.phase == "done" and not matches(v.text, known)]
    said = [_lane(loaded, image, settings, view, shown, what) for view in lanes]
    more = _remedy(loaded, image, example, question, settings, lost[0], shown) if lost else ""
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


def _kept(
    loaded: Loaded, image: Image.Image, settings: Settings, method: str, shown: Patches
) -> Patches:
    mask = loaded.preview.select(image, settings.selector(method)).mask.numpy()
    return mask & shown


def _lane(
    loaded: Loaded,
    image: Image.Image,
    settings: Settings,
    view: View,
    shown: Patches,
    what: str,
) -> str:
    kept = _kept(loaded, image, settings, view.method, shown)
    at = f"At {show_budget(settings.budget)} " if "budget" in settings_of(view.method) else ""
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
    settings: Settings,
    view: View,
    shown: Patches,
) -> str:
    """From which budget it is there again, and a button that tries it."""
    if "budget" not in settings_of(view.method):
        return ""
    percents = range(1, 101)
    counts = [
        int(_kept(loaded, image, replace(settings, budget=p / 100), view.method, shown).sum())
        for p in percents
    ]
    first = next(p for p, count in zip(percents, counts, strict=True) if count)
    whole = next(p for p, count in zip(percents, counts, strict=True) if count == shown.sum())
    words = f"A first one stays from {first} %, all of them from {whole} %."
    target = whole
    usual = Settings(budget=settings.budget)
    same = replace(settings, left="full", right="hired", third=usual.third, swap=False, race=False,
                   repeats=1, max_new_tokens=usual.max_new_tokens) == usual  # fmt: skip
    if view.method == "hired" and same and question == example.question and example.survives:
        target = round(example.survives * 100)
        words = f"The answer survives from {show_budget(example.survives)} on. {words}"
    return (
        f'<p>{esc(words)} <button type="button" class="try" data-percent="{target}">'
        f"Try {target} %</button></p>"
    )
