"""Questions about a poster in plain varied English, with their answers.

Each kind is one function that turns a scene into a `Question` or None where the scene offers
none. A question whose answer would hang on a few pixels (an object on the border between left
and middle) is not asked.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hired.shapes.phrases import ANSWERS_NOTHING, NEARLY, PHRASES, UNKNOWN, nonsense
from hired.shapes.scenes import Scene, Thing
from hired.shapes.sprites import COLOUR_NAMES, SHAPES

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight")
COLUMNS = ("left", "middle", "right")
ROWS = ("top", "middle", "bottom")
MARGIN = 0.035
"""Least distance of an object from a border of thirds, as a share of the poster, to be asked."""

CLEARLY = 0.2
"""Least offset of two objects along an axis, as a share of the poster, to be compared on it."""


@dataclass(frozen=True)
class Question:
    """One question about one poster."""

    kind: str
    text: str
    answer: str


def name(thing: Thing) -> str:
    """The name of the object in a sentence: its colour and shape."""
    return f"{thing.colour} {thing.shape}"


def some(words: str) -> str:
    """The words with their article."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def unique(scene: Scene, rng: np.random.Generator) -> tuple[Thing, str] | None:
    """An object and words that fit it alone: "blue star", or "star" where there is one star."""
    picks = [t for t in scene.things if sum(name(o) == name(t) for o in scene.things) == 1]
    if not picks:
        return None
    thing = picks[rng.integers(len(picks))]
    alone = sum(o.shape == thing.shape for o in scene.things) == 1
    return thing, thing.shape if alone and rng.random() < 0.25 else name(thing)


def only(scene: Scene, rng: np.random.Generator, trait: str) -> Thing | None:
    """An object that shares its "shape", "colour" or "digit" with no other; None without one."""
    traits = [getattr(thing, trait) for thing in scene.things]
    picks = [
        thing for thing, one in zip(scene.things, traits, strict=True) if traits.count(one) == 1
    ]
    return picks[rng.integers(len(picks))] if picks else None


def region(scene: Scene, thing: Thing) -> str | None:
    """The ninth of the poster that holds the object's centre; None when too near a border."""
    x, y = thing.centre[0] / scene.width, thing.centre[1] / scene.height
    if any(abs(v - border) < MARGIN for v in (x, y) for border in (1 / 3, 2 / 3)):
        return None
    row, column = ROWS[int(y * 3)], COLUMNS[int(x * 3)]
    return "middle" if row == column == "middle" else f"{row} {column}"


def fill(choices: tuple[str, ...], rng: np.random.Generator, **words: str) -> str:
    """A random one of the phrases with its words filled in."""
    # The first phrases are the plainest: half of all questions use one of them.
    few = rng.random() < 0.5
    return choices[rng.integers(min(3, len(choices)) if few else len(choices))].format(**words)


def ask(kind: str, rng: np.random.Generator, **words: str) -> str:
    """A random phrase of the kind with its words filled in."""
    return fill(PHRASES[kind], rng, **words)


def digit(scene: Scene, rng: np.random.Generator) -> Question | None:
    """Ask "Which digit is on the blue star?"."""
    found = unique(scene, rng)
    if found is None:
        return None
    thing, words = found
    answer = f"The {words} shows the digit {thing.digit}."
    return Question("digit", ask("digit", rng, it=words), answer)


def colour(scene: Scene, rng: np.random.Generator) -> Question | None:
    """Ask "What colour is the circle?" or "What colour is the shape with the digit 7?"."""
    if rng.random() < 0.5 and (thing := only(scene, rng, "shape")):
        text = ask("colour", rng, it=thing.shape)
        return Question("colour", text, f"The {thing.shape} is {thing.colour}.")
    thing = only(scene, rng, "digit")
    if thing is None:
        return None
    text = ask("colour", rng, it=f"shape with the digit {thing.digit}")
    return Question("colour", text, f"The shape with the digit {thing.digit} is {thing.colour}.")


def shape(scene: Scene, rng: np.random.Generator) -> Question | None:
    """Ask "Which shape shows 7?" or "Which shape is red?"."""
    if rng.random() < 0.3 and (thing := only(scene, rng, "colour")):
        text = ask("shape_colour", rng, colour=thing.colour)
        return Question("shape", text, f"The {thing.colour} shape is a {thing.shape}.")
    thing = only(scene, rng, "digit")
    if thing is None:
        return None
    text = ask("shape", rng, digit=str(thing.digit))
    return Question("shape", text, f"The digit {thing.digit} is on the {name(thing)}.")


def where(scene: Scene, rng: np.random.Generator) -> Question | None:
    """Ask "Where is the blue star?"."""
    found = unique(scene, rng)
    place = found and region(scene, found[0])
    if not found or not place:
        return None
    return Question("where", ask("where", rng, it=found[1]), f"The {found[1]} is at the {place}.")


def exists(scene: Scene, rng: np.random.Generator) -> Question | None:
    """Ask "Is there a red circle?"; two of five answers are no, most of them near misses."""
    here = {name(t) for t in scene.things}
    if here and rng.random() < 0.5:
        words = sorted(here)[rng.integers(len(here))]
        answer = f"Yes, there is {some(words)}."
    else:
        tints = [t.colour for t in scene.things] if rng.random() < 0.6 else []
        kinds = [t.shape for t in scene.things] if rng.random() < 0.6 else []
        tints, kinds = tints or list(COLOUR_NAMES), kinds or list(SHAPES)
        words = f"{tints[rng.integers(len(tints))]} {kinds[rng.integers(len(kinds))]}"
        if words in here:
            return None
        answer = f"No, there is no {words}."
    return Question("exists", ask("exists", rng, it=words, a_it=some(words)), answer)


def listed(things: list[Thing]) -> str:
    """The objects in words with their digits, by colour, then shape, then digit."""
    ordered = sorted(
        things, key=lambda t: (COLOUR_NAMES.index(t.colour), SHAPES.index(t.shape), t.digit)
    )
    parts = [f"{some(name(t))} with the digit {t.digit}" for t in ordered]
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def count(scene: Scene, rng: np.random.Generator) -> Question | None:
    """Ask how many shapes, red shapes, stars or red stars there are.

    The answer names them, then counts what it named.
    """
    draw = rng.random()
    text = None
    if draw < 0.35:
        things, one = list(scene.things), "shape"
    elif draw < 0.6:
        tints = [t.colour for t in scene.things]
        seen = tints[rng.integers(len(tints))] if tints and rng.random() < 0.8 else None
        tint = seen or COLOUR_NAMES[rng.integers(len(COLOUR_NAMES))]
        things, one = [t for t in scene.things if t.colour == tint], f"{tint} shape"
        text = ask("count_colour", rng, colour=tint) if rng.random() < 0.3 else None
    elif draw < 0.8:
        kinds = [t.shape for t in scene.things]
        met = kinds[rng.integers(len(kinds))] if kinds and rng.random() < 0.8 else None
        kind = met or SHAPES[rng.integers(len(SHAPES))]
        things, one = [t for t in scene.things if t.shape == kind], kind
    else:
        names = [name(t) for t in scene.things]
        met = names[rng.integers(len(names))] if names and rng.random() < 0.7 else None
        one = met or f"{rng.choice(COLOUR_NAMES)} {rng.choice(SHAPES)}"
        things = [t for t in scene.things if name(t) == one]
    if len(things) >= len(NUMBERS):
        return None
    if not things:
        answer = f"There are no {one}s."
    elif len(things) == 1:
        answer = f"I see {listed(things)}. There is one {one}."
    else:
        answer = f"I see {listed(things)}. There are {NUMBERS[len(things)]} {one}s."
    return Question("count", text or ask("count", rng, them=one + "s"), answer)


def compare(scene: Scene, rng: np.random.Generator) -> Question | None:
    """Ask "Is the blue star left of the red circle?" or "Which is higher?"."""
    names = [name(t) for t in scene.things]
    picks = [t for t in scene.things if names.count(name(t)) == 1]
    if len(picks) < 2:
        return None
    first, second = (picks[i] for i in rng.permutation(len(picks))[:2])
    across = (first.centre[0] - second.centre[0]) / scene.width
    down = (first.centre[1] - second.centre[1]) / scene.height
    level = rng.random() < 0.5
    offset = across if level else down
    if abs(offset) < CLEARLY:
        return None
    words = {"one": name(first), "two": name(second)}
    if rng.random() < 0.5:
        sides = ("further left", "further right") if level else ("higher", "lower")
        side = sides[rng.integers(2)]
        nearer = first if (offset < 0) == (side == sides[0]) else second
        text = ask("compare_which", rng, side=side, **words)
        return Question("compare", text, f"The {name(nearer)} is {side}.")
    sides = ("left of", "right of") if level else ("above", "below")
    side = sides[rng.integers(2)]
    yes = (offset < 0) == (side == sides[0])
    text = ask("compare_side", rng, side=side, **words)
    verb = f"{'Yes' if yes else 'No'}, the {words['one']} is {'' if yes else 'not '}{side}"
    return Question("compare", text, f"{verb} the {words['two']}.")


def absent(scene: Scene, rng: np.random.Generator) -> Question | None:
    """A question about an object that is not there."""
    here = {name(t) for t in scene.things}
    tints = [t.colour for t in scene.things] or list(COLOUR_NAMES)
    words = f"{tints[rng.integers(len(tints))]} {SHAPES[rng.integers(len(SHAPES))]}"
    if words in here:
        return None
    kind = ("digit", "where")[rng.integers(2)]
    return Question("absent", ask(kind, rng, it=words), f"There is no {words}.")


def describe(scene: Scene, rng: np.random.Generator) -> Question | None:
    """Describe the poster: every object, by colour, then by shape, then by digit."""
    text = ask("describe", rng)
    if not scene.things:
        return Question("describe", text, "The poster shows no shapes.")
    if len(scene.things) >= len(NUMBERS):
        return None
    return Question("describe", text, f"The poster shows {listed(list(scene.things))}.")


def unknown(scene: Scene, rng: np.random.Generator) -> Question:
    """A sentence that the grammar does not know."""
    if rng.random() < 0.45:
        return Question("unknown", nonsense(rng), ANSWERS_NOTHING)
    words = {word: f"{rng.choice(COLOUR_NAMES)} {rng.choice(SHAPES)}" for word in ("it", "other")}
    words |= {f"a_{word}": some(text) for word, text in words.items()}
    words["colour"] = str(rng.choice(COLOUR_NAMES))
    choices = NEARLY if rng.random() < 0.5 else UNKNOWN
    text = choices[rng.integers(len(choices))].format(**words)
    return Question("unknown", text, ANSWERS_NOTHING)


KINDS: dict[str, Callable[[Scene, np.random.Generator], Question | None]] = {
    "digit": digit,
    "colour": colour,
    "shape": shape,
    "where": where,
    "exists": exists,
    "count": count,
    "compare": compare,
    "absent": absent,
    "describe": describe,
    "unknown": unknown,
}
