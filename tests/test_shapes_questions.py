"""The grammar: right answers on a known poster, nothing asked that the poster leaves open."""

import numpy as np
import pytest

from hired.shapes.phrases import ANSWERS_NOTHING
from hired.shapes.pictures import draw
from hired.shapes.questions import KINDS, region
from hired.shapes.scenes import Scene, Thing, scene_for
from hired.shapes.scoring import content

STAR = Thing("star", "blue", 7, 20, 20, 32)
CIRCLE = Thing("circle", "red", 3, 270, 150, 32)
SECOND = Thing("circle", "green", 3, 150, 280, 32)
SCENE = Scene(336, 336, (STAR, CIRCLE, SECOND), 0)


def answers(kind, scene=SCENE, tries=200):
    """All (question, answer) pairs of a kind that many draws give."""
    rng = np.random.default_rng(0)
    found = (KINDS[kind](scene, rng) for _ in range(tries))
    return {(q.text, q.answer) for q in found if q is not None}


def test_digit():
    assert {a for _, a in answers("digit")} == {
        "The blue star shows the digit 7.",
        "The star shows the digit 7.",
        "The red circle shows the digit 3.",
        "The green circle shows the digit 3.",
    }


def test_colour_and_shape_ask_only_what_is_unique():
    assert {a for _, a in answers("colour")} == {
        "The star is blue.",
        "The shape with the digit 7 is blue.",
    }
    assert "The digit 7 is on the blue star." in {a for _, a in answers("shape")}
    assert not any("digit 3" in a for _, a in answers("shape"))


def test_where():
    assert ("where is the blue star?", "The blue star is at the top left.") in answers("where")
    assert region(SCENE, CIRCLE) == "middle right"
    assert region(SCENE, Thing("star", "red", 1, 96, 96, 32)) is None


def test_exists_and_absent_never_contradict_the_poster():
    here = {"blue star", "red circle", "green circle"}
    for _, answer in answers("exists"):
        named = [h for h in here if h in answer]
        assert bool(named) == answer.startswith("Yes")
    assert all(not any(h in a for h in here) for _, a in answers("absent"))


def test_count():
    found = dict(answers("count"))
    assert found["how many shapes are there?"] == (
        "I see a red circle with the digit 3, a green circle with the digit 3 and a blue star with "
        "the digit 7. There are three shapes."
    )
    assert found["how many circles are there?"] == (
        "I see a red circle with the digit 3 and a green circle with the digit 3. "
        "There are two circles."
    )
    assert found["how many stars are there?"] == (
        "I see a blue star with the digit 7. There is one star."
    )
    assert "There are no hearts." in found.values()


@pytest.mark.parametrize("question, answer", [
    ("is the blue star left of the red circle?",
     "Yes, the blue star is left of the red circle."),
    ("is the blue star below the red circle?",
     "No, the blue star is not below the red circle."),
    ("which is further right, the blue star or the green circle?",
     "The green circle is further right."),
])  # fmt: skip
def test_compare(question, answer):
    assert (question, answer) in answers("compare", tries=3000)


def test_describe_names_all_by_colour():
    [(answer)] = {a for _, a in answers("describe")}
    assert answer == (
        "The poster shows a red circle with the digit 3, a green circle with the digit 3 and a "
        "blue star with the digit 7."
    )


def test_unknown_is_declined():
    assert {a for _, a in answers("unknown")} == {ANSWERS_NOTHING}


def test_empty_poster_has_answers_where_it_can():
    empty = Scene(336, 168, (), 0)
    asked = draw(empty, np.random.default_rng(0), list(KINDS))
    assert {"exists", "count", "absent", "describe", "unknown"} >= {q.kind for q in asked}
    assert "The poster shows no shapes." in {q.answer for q in asked}


def test_draw_is_deterministic():
    scene = scene_for("test", "sparse", 0, 1)
    pairs = [draw(scene, np.random.default_rng(4), list(KINDS)) for _ in range(2)]
    assert pairs[0] == pairs[1]


def test_content_words():
    assert content("There are two red shapes.") == ("two", "red")
    assert content("There are three circles.") == ("three", "circle")
    assert content("I see a red star with the digit 3. There is one star.") == ("one", "star")
    assert content("The blue star shows the digit 7.") == content("Blue star: digit 7")
    swapped = "Yes, the red star is left of the blue circle."
    assert content("Yes, the blue star is left of the red circle.") != content(swapped)
    assert content("The star is at the top left.") != content("The star is at the top right.")
    assert content("The blue star shows the digit 77.") != content("The blue star shows 7.")
