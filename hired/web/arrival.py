"""A visitor arrives by a link: what it asks for, and in words what of it could not be."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hired.web import share
from hired.web.examples import Example
from hired.web.greeting import Greeting
from hired.web.settings import Settings

NOT_IN_LINK = (
    "This link was made with an uploaded image, and no link carries one. Upload it here to see "
    "the same."
)


@dataclass(frozen=True)
class Arrival:
    """What the form of a new visitor holds.

    Attributes:
        settings: of the link, with what makes no sense replaced.
        example: the example named by the link, else the first; None for an image of one's own.
        question: of the link, else the example's.
        known: the right answer by its question.
        told: what was replaced, in words; empty where nothing was.
    """

    settings: Settings
    example: Example | None
    question: str
    known: dict[str, str] = field(default_factory=dict)
    told: str = ""


def arrive(query: Mapping[str, str], greeting: Greeting, layers: int, heads: int) -> Arrival:
    """What a link's query asks for, on a model with these layers and heads."""
    settings, changed = share.from_query(query, layers, heads)
    key, own = query.get("example", ""), query.get("image") == share.OWN
    example = None if own else greeting.example(key)
    if key and (example is None or example.key != key):
        changed.append(f"example={key[:60]}")
    told = ["Not everything in the link made sense here: " + ", ".join(changed)] if changed else []
    question = query.get("q", "")[: share.MAX_QUESTION]
    question = question or (example.question if example else "")
    known = example.known if example and question == example.question else {}
    told += [NOT_IN_LINK] if own else []
    return Arrival(settings, example, question, known, " ".join(told))
