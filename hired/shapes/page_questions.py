"""Questions about a document in plain varied English, with their answers.

As with posters each kind is one function that turns a page into a `Question`, or None where the
page offers none: nothing is asked that the page leaves open.
"""

import re
from collections.abc import Callable

import numpy as np

from hired.shapes.documents import Document, Row
from hired.shapes.lexicon import CITIES, DAYS, GOODS, NAMES, WORDS
from hired.shapes.page_phrases import KNOWS_PAGES, PAGE_NEARLY, PAGE_PHRASES
from hired.shapes.phrases import ANSWERS_NOTHING, UNKNOWN, nonsense
from hired.shapes.questions import Question, ask, fill
from hired.shapes.scenes import Scene
from hired.shapes.sprites import COLOUR_NAMES, SHAPES

COUNTED = 9
"""Most lines of a page whose number is asked for."""
CLEARLY_HIGHER = 6
"""Least lead of the highest bar to be asked for."""
PRICED = ("receipt", "prices")
ITEMS = {"receipt": "items", "prices": "items", "board": "trains", "chart": "bars"}
_ABOUT_TEXT = re.compile(r"receipt|price|read")
_COUNTED = [f"{words.removesuffix('s')}s?" for words in ITEMS.values()]
_OWN_WORDS = re.compile(rf"\b(?:{'|'.join([*WORDS, *_COUNTED])})\b")


def proper(name: str) -> str:
    """The name as a sentence writes it: cities and days with a capital."""
    return name.capitalize() if name in CITIES + DAYS else name


def whole_name(page: Document, name: str) -> str:
    """The name of a line of the page in a sentence: "bread", "a train to Bern"."""
    return f"train to {proper(name)}" if page.kind == "board" else proper(name)


def _row(page: Document, rng: np.random.Generator) -> Row:
    return page.rows[rng.integers(len(page.rows))]


def _stranger(page: Document, rng: np.random.Generator) -> str:
    """A name like those on the page that is not on it."""
    here = {row.name for row in page.rows}
    [names] = [names for names in (GOODS, CITIES, DAYS) if here <= set(names)]
    others = sorted(set(names) - here) or sorted(set(GOODS) - here)
    return others[rng.integers(len(others))]


def _ask(kind: str, rng: np.random.Generator, **words: str) -> str:
    """A phrase of the kind; names are typed without their capital now and then."""
    plain = rng.random() < 0.15
    words = {key: word.lower() if plain else word for key, word in words.items()}
    return fill(PAGE_PHRASES[kind], rng, **words)


def _about(
    kind: str, pages: tuple[str, ...], page: Document, rng: np.random.Generator, answer: str
) -> Question | None:
    """A question of the kind about one line of such a page, with that line filled into `answer`."""
    if page.kind not in pages:
        return None
    row = _row(page, rng)
    words = {"it": proper(row.name), "number": row.numbers[0]}
    return Question(kind, _ask(kind, rng, **words), answer.format(**words, last=row.numbers[-1]))


def price(page: Document, rng: np.random.Generator) -> Question | None:
    """Ask "What does bread cost?"."""
    return _about("price", PRICED, page, rng, "The price of {it} is {number}.")


def leaves(page: Document, rng: np.random.Generator) -> Question | None:
    """Ask "When does the train to Bern leave?"."""
    return _about("leaves", ("board",), page, rng, "The train to {it} leaves at {number}.")


def platform(page: Document, rng: np.random.Generator) -> Question | None:
    """Ask "From which platform does the train to Bern leave?"."""
    answer = "The train to {it} leaves from platform {last}."
    return _about("platform", ("board",), page, rng, answer)


def goes(page: Document, rng: np.random.Generator) -> Question | None:
    """Ask "Where does the 14:05 go?"."""
    return _about("goes", ("board",), page, rng, "The {number} goes to {it}.")


def value(page: Document, rng: np.random.Generator) -> Question | None:
    """Ask "What is the value of Monday?"."""
    return _about("value", ("chart",), page, rng, "The value of {it} is {number}.")


def costs(page: Document, rng: np.random.Generator) -> Question | None:
    """Ask "What costs 4.50?", only for a price that one line alone has."""
    if page.kind not in PRICED:
        return None
    row = _row(page, rng)
    [cost] = row.numbers
    if [*(other.numbers[0] for other in page.rows), page.total].count(cost) > 1:
        return None
    return Question("costs", _ask("costs", rng, number=cost), f"{cost} is the price of {row.name}.")


def total(page: Document, rng: np.random.Generator) -> Question | None:
    """Ask "What is the total?"."""
    if not page.total:
        return None
    return Question("total", _ask("total", rng), f"The total is {page.total}.")


def items(page: Document, rng: np.random.Generator) -> Question | None:
    """Ask "How many items are there?"."""
    if len(page.rows) > COUNTED:
        return None
    them = ITEMS[page.kind]
    return Question("items", _ask("items", rng, them=them), f"There are {len(page.rows)} {them}.")


def highest(page: Document, rng: np.random.Generator) -> Question | None:
    """Ask "Which bar is the highest?"."""
    if page.kind != "chart":
        return None
    *_, second, first = sorted(page.rows, key=_figure)
    if _figure(first) - _figure(second) < CLEARLY_HIGHER:
        return None
    return Question("highest", _ask("highest", rng), f"The highest bar is {proper(first.name)}.")


def _figure(row: Row) -> int:
    """A chart's value as a number."""
    return int(row.numbers[0].rstrip("%"))


def exists(page: Document, rng: np.random.Generator) -> Question:
    """Ask "Do you see bread?"; half of the answers are no."""
    here = rng.random() < 0.5
    words = whole_name(page, _row(page, rng).name if here else _stranger(page, rng))
    article = "a " if page.kind == "board" else ""
    text = _ask("exists", rng, it=article + words)
    return Question("exists", text, f"Yes, I see {article}{words}." if here
                    else f"No, I see no {words}.")  # fmt: skip


def line(page: Document, rng: np.random.Generator) -> Question:
    """Ask "Read the line of bread."."""
    row = _row(page, rng)
    answer = f"It says {' '.join([proper(row.name), *row.numbers])}."
    return Question("line", _ask("line", rng, it=proper(row.name)), answer)


def absent(page: Document, rng: np.random.Generator) -> Question | None:
    """A question about a name, a price or a time that is not there."""
    by_name = {"board": ("leaves", "platform"), "chart": ("value",)}.get(page.kind, ("price",))
    if page.kind == "chart" or rng.random() < 0.6:
        words = _stranger(page, rng)
        text = _ask(by_name[rng.integers(len(by_name))], rng, it=proper(words))
        return Question("absent", text, f"I see no {whole_name(page, words)}.")
    numbers = [row.numbers[0] for row in page.rows]
    other = _near_miss(numbers[rng.integers(len(numbers))], rng)
    if other in numbers or other == page.total:
        return None
    if page.kind == "board":
        return Question("absent", _ask("goes", rng, number=other), f"I see no train at {other}.")
    return Question("absent", _ask("costs", rng, number=other), f"I see nothing for {other}.")


def _near_miss(number: str, rng: np.random.Generator) -> str:
    """The price or time with another last digit."""
    return number[:-1] + str((int(number[-1]) + rng.integers(1, 10)) % 10)


def unknown(page: Document, rng: np.random.Generator) -> Question:
    """A sentence that the grammar of pages does not know; posters' questions are among them."""
    names = [proper(_row(page, rng).name) for _ in range(2)]
    words = {"it": names[0], "other": names[1]}
    thing = f"{rng.choice(COLOUR_NAMES)} {rng.choice(SHAPES)}"
    draw = rng.random()
    if draw < 0.35:
        text = PAGE_NEARLY[rng.integers(len(PAGE_NEARLY))].format(**words)
    elif draw < 0.55:
        kind = ("digit", "where", "colour")[rng.integers(3)]
        text = ask(kind, rng, it=thing)
    elif draw < 0.75:
        declined = [text for text in UNKNOWN if not _ABOUT_TEXT.search(text)]
        text = declined[rng.integers(len(declined))].format(it=thing)
    else:
        text = nonsense(rng)
        while _OWN_WORDS.search(text):
            text = nonsense(rng)
    return Question("unknown", text, KNOWS_PAGES)


def foreign(scene: Scene, rng: np.random.Generator) -> Question:
    """A document's question asked about a poster, to be declined."""
    kinds = [kind for kind in PAGE_PHRASES if kind not in ("exists", "items")]
    number = f"{rng.integers(24):02}:{rng.integers(60):02}"
    if rng.random() < 0.5:
        number = f"{rng.integers(1, 10)}.{rng.integers(100):02}"
    words = {"it": proper(NAMES[rng.integers(len(NAMES))]), "number": number}
    return Question("foreign", _ask(kinds[rng.integers(len(kinds))], rng, **words), ANSWERS_NOTHING)


PAGE_KINDS: dict[str, Callable[[Document, np.random.Generator], Question | None]] = {
    "price": price,
    "costs": costs,
    "total": total,
    "items": items,
    "leaves": leaves,
    "platform": platform,
    "goes": goes,
    "value": value,
    "highest": highest,
    "exists": exists,
    "line": line,
    "absent": absent,
    "unknown": unknown,
}
