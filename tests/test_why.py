"""Why an answer failed: the shipped places are the pictures', counts are the selections'."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from asking import shared
from PIL import Image

import hired
from hired.shapes.documents import text_patches
from hired.shapes.page_questions import proper
from hired.shapes.pictures import render
from hired.shapes.points import READING, SCALE, Pages, draw_like
from hired.shapes.subject import subject_of, things_asked
from hired.web import export, form, why_panel
from hired.web.engine import Engine
from hired.web.examples import read_examples
from hired.web.export import Record
from hired.web.handlers import Handlers
from hired.web.pane_state import PaneState
from hired.web.settings import Settings
from hired.web.uploads import keep_picture, read_image
from hired.web.why_panel import why

EXAMPLES = {Path(example.image).stem: example for example in read_examples()}
DENSE = EXAMPLES["dense"]
RIGHT, WRONG = DENSE.answer, "I see nothing of the kind."


@pytest.fixture(scope="module")
def handlers():
    return Handlers(Engine.holding(*hired.load("shapes")))


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=list(EXAMPLES))
def test_what_ships_beside_an_image_is_what_its_maker_drew(example) -> None:
    with Image.open(example.image) as file:
        drawn = np.asarray(render(example.picture, SCALE))
        assert np.array_equal(np.asarray(file.convert("RGB")), drawn)
    assert subject_of(example.picture, example.question)


@pytest.mark.parametrize("key", EXAMPLES)
def test_the_patches_of_a_subject_are_those_of_the_file(handlers, key) -> None:
    """A picture that the model cuts otherwise at the file's size is no example and is not drawn."""
    example, preview = EXAMPLES[key], handlers.engine.get().preview
    point = next(point for point in READING if Path(point.file).stem == key)
    shown = [(example.picture, example.question)]
    shown += [(picture, asked.text) for picture, asked in (draw_like(point, n) for n in range(8))]
    for picture, question in shown:
        grid = preview.fit(render(picture, SCALE))
        patches = subject_of(picture, question).patches
        assert patches.shape == (grid.tiles, grid.patches)


def test_a_method_that_never_keeps_some_patch_has_no_remedy(handlers) -> None:
    """The release's own rule leaves patches out even at 100 %."""
    shop = EXAMPLES["shop"]
    lanes = shared(right="hired-release", budget=0.02).texts
    views = [
        PaneState(lane, "done", said)
        for lane, said in zip(lanes, (shop.answer, WRONG), strict=True)
    ]
    shown = why(handlers.engine.get(), read_image(shop.image), shop, shop.question, views)
    assert "Why did it fail here?" in shown and "data-percent" not in shown


def test_a_count_is_named_as_one(handlers) -> None:
    told, _ = words(handlers, "hired", WRONG, shared(budget=5))
    assert "At 5 patches HiRED kept" in told


def test_a_question_tells_which_object_it_is_about() -> None:
    things = DENSE.picture.things

    def asked(question):
        return [things[index] for index in things_asked(things, question)]

    for one in things:
        named = [t for t in things if (t.colour, t.shape) == (one.colour, one.shape)]
        assert asked(f"Can you read the number on the {one.colour} {one.shape}?") == named
        same = [thing for thing in things if thing.digit == one.digit]
        assert asked(f"What color is the shape with the digit {one.digit}?") == same
        alike = [thing for thing in things if thing.shape == one.shape]
        assert asked(f"How many {one.shape}s are there?") == alike
    assert len(asked("What is in the image?")) == len(things) > 20


def words(handlers, method, text, settings=None, question=None):
    image = Image.open(DENSE.image).convert("RGB")
    lanes = (settings or shared(right=method)).texts
    views = [PaneState(lane, "done", said) for lane, said in zip(lanes, (RIGHT, text), strict=True)]
    asked = (question or DENSE.question, views)
    shown = why(handlers.engine.get(), image, DENSE, *asked)
    return " ".join(re.sub(r"<[^>]+>", " ", shown).split()), shown


def test_it_says_how_much_was_kept_and_from_where_it_survives(handlers) -> None:
    told, shown = words(handlers, "hired", WRONG)
    asked = subject_of(DENSE.picture, DENSE.question)
    image, lane = read_image(DENSE.image), Settings().lanes[1]
    kept = handlers.engine.get().preview.select(image, lane).mask.numpy() & asked.patches
    counts = [(int(k.sum()), int(a.sum())) for k, a in zip(kept, asked.patches, strict=True)]
    crops = [sum(column) for column in zip(*counts[1:], strict=True)]
    assert "Why did it fail here?" in told
    assert f"HiRED kept {kept.sum()} of the {asked.patches.sum()} patches that show " in told
    assert f"{asked.words}: {counts[0][0]} of {counts[0][1]} in the overview" in told
    assert f"{crops[0]} of {crops[1]} in the crops" in told and crops[0] < crops[1]
    percent = round(100 * DENSE.survives)
    assert f"The answer survives from {percent} % on." in told
    assert f'data-percent="{percent}"' in shown
    assert re.search(r"A first one stays from \d+ %, all of them from \d\d %", told)


def test_what_was_measured_with_other_settings_is_not_claimed(handlers) -> None:
    for told, shown in (
        words(handlers, "hired", WRONG, shared(alpha=0.9)),
        words(handlers, "visionzip", WRONG),
        words(handlers, "hired", WRONG, shared(heads="max")),
    ):
        assert "survives" not in told and "data-percent=" in shown


def test_packed_tokens_can_be_tried_at_their_original_positions(handlers) -> None:
    assert "consecutive position IDs. Try the original ones" in words(handlers, "hired", WRONG)[0]
    placed = words(handlers, "hired", WRONG, shared(positions="original"))[0]
    assert "Why did it fail here?" in placed and "the original ones" not in placed
    panes = form.write(Settings())["panes"]
    for told, lane in (
        ({"percent": 0, "lane": 1}, replace(Settings().lanes[1], positions="original")),
        ({"percent": 45, "lane": 1}, replace(Settings().lanes[1], budget=0.45)),
    ):
        found = json.loads(why_panel.take_try(SimpleNamespace(**told), panes))
        assert found["lanes"][1] == lane.text and found["lanes"][0] == Settings().lanes[0].text
    for wrong in ({"percent": 101, "lane": 1}, {"percent": 0, "lane": 9}, {"percent": "0"}):
        assert why_panel.take_try(SimpleNamespace(**wrong), panes) == gr.skip()


def test_a_right_answer_is_explained_without_a_remedy(handlers) -> None:
    told, shown = words(handlers, "hired", RIGHT, shared(budget=0.6))
    assert "What was kept of it" in told and "data-percent" not in shown
    assert "fail" not in told


PAGES = {point.shown.kind: point for point in READING if isinstance(point.shown, Pages)}


@pytest.mark.parametrize(("kind", "question", "said"), [
    ("prices", "What does {name} cost?", "the line of {name}"),
    ("prices", "What costs {number}?", "the line of {name}"),
    ("board", "Where does the {number} go?", "the line of {name}"),
    ("chart", "Which bar is the highest?", "the {lines} lines it is about"),
    ("receipt", "What is the total?", "the total"),
    ("receipt", "How much is it in all?", "the total"),
    ("receipt", "What does it all cost?", "the total"),
    ("receipt", "How many items are there in all?", "the {lines} lines it is about"),
])  # fmt: skip
def test_on_a_page_it_tells_what_was_kept_of_a_line(handlers, kind, question, said) -> None:
    page, _ = draw_like(PAGES[kind], 3)
    row = page.rows[1]
    words = {"name": proper(row.name), "number": row.numbers[0], "lines": len(page.rows)}
    example = replace(DENSE, question=question.format(**words), picture=page)
    views = [PaneState(lane, "done", "") for lane in shared(right="hired").texts]
    told = why(handlers.engine.get(), render(page, SCALE), example, example.question, views)
    patches = subject_of(page, example.question).patches
    assert f"patches that show {said.format(**words)}:" in told
    assert f"of {patches[0].sum()} in the overview" in told and patches[1:].any()


def test_a_line_s_patches_are_those_of_its_name_and_its_numbers() -> None:
    page, _ = draw_like(PAGES["board"], 5)
    lines = [subject_of(page, row.name).patches for row in page.rows]
    assert np.array_equal(
        np.any(lines, axis=0), subject_of(page, "How many trains are there?").patches
    )
    assert all(shown[1:].any() for shown in lines)
    assert max(shown.sum() for shown in lines) < text_patches(page).sum() / 2


def test_only_the_posters_maker_knows(handlers, tiny, tmp_path) -> None:
    views = [PaneState("full", "done", RIGHT), PaneState("hired", "done", WRONG)]
    facts = export.about(handlers.engine.get().info, {})
    image = keep_picture(DENSE.image, Image.open(DENSE.image))
    kept = Record(DENSE.question, image, Settings(), views, facts)
    words = subject_of(DENSE.picture, DENSE.question).words
    assert words in why_panel.explain(handlers, DENSE.image, kept)
    Image.open(EXAMPLES["sparse"].image).save(tmp_path / "dense.png")
    assert why_panel.explain(handlers, str(tmp_path / "dense.png"), kept) == ""
    assert why_panel.explain(handlers, EXAMPLES["sparse"].image, kept) == ""
    other = Handlers(Engine.holding(*tiny, name="tiny"))
    its_own = replace(kept, about=facts | {"model": "tiny"})
    assert why_panel.explain(other, DENSE.image, its_own) == "", "what survives is the toy's"
    away = replace(kept, about=facts | {"model": "another"})
    assert why_panel.explain(handlers, DENSE.image, away) == "", "it answered, another would look"
    assert (
        why_panel.explain(handlers, None, kept) == why_panel.explain(handlers, "a.png", None) == ""
    )
