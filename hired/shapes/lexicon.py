"""The closed list of words that documents are written with, and the forms of their open numbers."""

import re
from collections.abc import Collection

GOODS = (
    "apples", "bananas", "beans", "bread", "butter", "cake", "carrots", "cheese", "chicken",
    "coffee", "cookies", "eggs", "fish", "flour", "grapes", "honey", "juice", "lemons", "milk",
    "nuts", "oil", "onions", "pasta", "potatoes", "rice", "salt", "soup", "sugar", "tea",
    "tomatoes", "water", "yogurt",
)  # fmt: skip
CITIES = (
    "athens", "basel", "berlin", "bern", "bruges", "dublin", "geneva", "ghent", "hamburg",
    "krakow", "lisbon", "london", "lyon", "madrid", "milan", "munich", "naples", "oslo", "paris",
    "porto", "prague", "rome", "turin", "vienna", "warsaw", "zurich",
)  # fmt: skip
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SHOPS = ("bakery", "cafe", "market", "shop")
HEADINGS = ("cash", "departures", "platform", "prices", "receipt", "sales", "thanks", "time", "to",
            "total")  # fmt: skip
NAMES = (*GOODS, *CITIES, *DAYS)
"""What lines begin with."""
WORDS = (*NAMES, *SHOPS, *HEADINGS)
FORMS = {
    "whole": re.compile(r"\d{1,4}"),
    "price": re.compile(r"\d{1,2}\.\d\d"),
    "time": re.compile(r"\d\d:\d\d"),
    "percent": re.compile(r"\d{1,3}%"),
}
"""Forms of written numbers; none has more than `SLOTS` digits."""
FORM_NAMES = tuple(FORMS)
SLOTS = 4
BLANK = 10
"""Stands in a slot that a shorter number leaves empty."""


def number(text: str) -> tuple[int, tuple[int, ...]] | None:
    """Form (index into `FORM_NAMES`) and digits of a written number, None for a word.

    The digits stand at the right of `SLOTS` slots: 4.50 is (BLANK, 4, 5, 0).
    """
    for form, pattern in enumerate(FORMS.values()):
        if pattern.fullmatch(text):
            digits = [int(c) for c in text if c.isdigit()]
            return form, (*[BLANK] * (SLOTS - len(digits)), *digits)
    return None


def knows_documents(vocabulary: Collection[str]) -> bool:
    """Test whether a model's tokens have all words of documents."""
    return set(WORDS) <= set(vocabulary)
