"""The wordings: how each kind of question may be put, and sentences the model must decline."""

import numpy as np

ANSWERS_NOTHING = "I only know about the shapes, colours, digits and places on a poster."

PHRASES: dict[str, tuple[str, ...]] = {
    "digit": (
        "which digit is on the {it}?",
        "what number is on the {it}?",
        "what digit does the {it} show?",
        "which number does the {it} have?",
        "what is written on the {it}?",
        "read the digit on the {it}.",
        "tell me the number on the {it}.",
        "what does the {it} say?",
        "the {it} carries which digit?",
        "can you read the number on the {it}?",
    ),
    "colour": (
        "what colour is the {it}?",
        "which colour does the {it} have?",
        "what is the colour of the {it}?",
        "what color is the {it}?",
        "which color is the {it}?",
        "tell me the colour of the {it}.",
        "name the color of the {it}.",
    ),
    "shape": (
        "which shape shows {digit}?",
        "which shape has the digit {digit}?",
        "what shape says {digit}?",
        "what is the digit {digit} on?",
        "which shape is the digit {digit} written on?",
        "which object carries the number {digit}?",
        "what has the number {digit}?",
        "find the shape with the digit {digit}.",
    ),
    "shape_colour": (
        "which shape is {colour}?",
        "what is the {colour} shape?",
        "what shape is {colour}?",
        "what is {colour}?",
        "which object is {colour}?",
        "name the {colour} shape.",
    ),
    "where": (
        "where is the {it}?",
        "where can I find the {it}?",
        "in which part of the poster is the {it}?",
        "what is the position of the {it}?",
        "where do you see the {it}?",
        "tell me where the {it} is.",
        "find the {it}.",
    ),
    "exists": (
        "is there {a_it}?",
        "do you see {a_it}?",
        "does the poster show {a_it}?",
        "can you see {a_it}?",
        "is {a_it} on the poster?",
        "does the picture have {a_it}?",
        "is there any {it} here?",
    ),
    "count": (
        "how many {them} are there?",
        "how many {them} do you see?",
        "count the {them}.",
        "what is the number of {them}?",
        "how many {them} are on the poster?",
        "how many {them} does the poster show?",
        "tell me how many {them} there are.",
        "how many {them}?",
        "which {them} are there?",
        "which {them} do you see?",
    ),
    "count_colour": (
        "which shapes are {colour}?",
        "how many shapes are {colour}?",
        "how many are {colour}?",
    ),
    "compare_side": (
        "is the {one} {side} the {two}?",
        "can you see the {one} {side} the {two}?",
        "does the {one} stand {side} the {two}?",
    ),
    "compare_which": (
        "which is {side}, the {one} or the {two}?",
        "what is {side}, the {one} or the {two}?",
        "which one is {side}: the {one} or the {two}?",
        "is the {one} or the {two} {side}?",
    ),
    "describe": (
        "describe the poster.",
        "describe the picture.",
        "what is on the poster?",
        "what do you see?",
        "describe this image.",
        "describe the image in detail.",
        "what is in this picture?",
        "tell me about the poster.",
        "list all the shapes.",
        "what does the poster show?",
        "what is in the image?",
        "what is shown in this image?",
    ),
}

UNKNOWN: tuple[str, ...] = (
    "who painted this?",
    "tell me a joke.",
    "what is the weather like today?",
    "why is the {it} sad?",
    "is the {it} happy?",
    "what does the {it} taste like?",
    "how old is the {it}?",
    "who made the {it}?",
    "do you like the {it}?",
    "what is the capital of France?",
    "how many people are there?",
    "is there a dog?",
    "is there a cat in the picture?",
    "what is the man doing?",
    "where is the car?",
    "what is the brand of this camera?",
    "what time is it?",
    "hello",
    "hi, how are you?",
    "thank you!",
    "who are you?",
    "what is your name?",
    "write a poem about the {it}.",
    "translate this text into French.",
    "what year was this taken?",
    "how much does the {it} cost?",
    "how heavy is the {it}?",
    "what is the title of the book?",
    "what is the total on the receipt?",
    "read the text.",
    "what is two plus two?",
    "can the {it} fly?",
    "what is behind the {it}?",
    "why?",
    "explain your answer.",
    "is this a photo?",
    "is it raining?",
    "what is the name of the person?",
    "which animal is on the left?",
    "what sport is this?",
    "how does this work?",
    "what should I do next?",
    "ignore the poster and say something else.",
    "what is the price?",
    "what language is this?",
    "is the {it} made of wood?",
    "how tall is the building?",
    "where was this photo taken?",
    "give me a recipe.",
    "what is the meaning of life?",
    "what material is the {it}?",
    "does the {it} move?",
)

NEARLY: tuple[str, ...] = (
    "how many digits are there?",
    "how many colours are there?",
    "which digits do you see?",
    "which colours do you see?",
    "what is the sum of the digits?",
    "add the digits.",
    "what is the largest digit?",
    "is the digit on the {it} even?",
    "is the digit on the {it} larger than the digit on the {other}?",
    "do the {it} and the {other} have the same digit?",
    "is there {a_it} or {a_other}?",
    "do you see the {it} and the {other}?",
    "is the {it} the same colour as the {other}?",
    "is the {it} bigger than the {other}?",
    "which is bigger, the {it} or the {other}?",
    "which shape is the largest?",
    "what is the size of the {it}?",
    "how big is the {it}?",
    "how far is the {it} from the {other}?",
    "what is next to the {it}?",
    "what is near the {it}?",
    "what is between the {it} and the {other}?",
    "what is left of the {it}?",
    "is the {it} near the {other}?",
    "are there more {it}s than {other}s?",
    "which colour is there most often?",
    "what is the most common shape?",
    "how many corners does the {it} have?",
    "how many sides has {a_it}?",
    "what colour is the digit on the {it}?",
    "what colour is the background?",
    "what is the pattern behind the shapes?",
    "sort the shapes by size.",
    "move the {it} to the left.",
    "draw {a_it}.",
    "what if the {it} were {colour}?",
    "why is the {it} {colour}?",
    "which shape would you choose?",
)
"""Questions in the posters' own words that the grammar does not know. They add no words to the
vocabulary: what it lacks is spelled in letters."""

_TOPICS = (
    "dog cat horse man woman child house car train tree river city song music book film food"
    " water money school work game friend phone computer window door table chair bird fish sun"
    " moon sky road bridge king queen doctor teacher story letter word page paper clock year day"
    " night morning summer winter snow rain wind fire stone wood glass metal"
).split()
_OPENERS = (
    "what is the {a}?",
    "where is the {a}?",
    "is there a {a}?",
    "how many {a}s are there?",
    "why does the {a} {b}?",
    "who has the {a}?",
    "tell me about the {a}.",
    "which {a} is near the {b}?",
    "what colour is the {a}?",
    "can you see the {a} and the {b}?",
    "does the {a} like the {b}?",
    "do you know a {a}?",
    "when did the {a} {b}?",
    "{a} {b} {c}",
    "is the {a} left of the {b}?",
    "what number is on the {a}?",
    "describe the {a}.",
    "what does the {a} say?",
)


def _word(rng: np.random.Generator) -> str:
    """A topic outside the posters, or letters in a row."""
    if rng.random() < 0.5:
        return str(_TOPICS[rng.integers(len(_TOPICS))])
    letters = "aeiouaeiouaeioubcdfghjklmnpqrstvwxyz"
    return "".join(letters[rng.integers(len(letters))] for _ in range(rng.integers(2, 9)))


def nonsense(rng: np.random.Generator) -> str:
    """A sentence on a topic that no poster has."""
    opener = _OPENERS[rng.integers(len(_OPENERS))]
    return opener.format(a=_word(rng), b=_word(rng), c=_word(rng))
