"""A link's way onto the page: what it cannot bring back is said, never replaced silently."""

from types import SimpleNamespace

import pytest
from asking import shared
from conftest import make_image

from hired.web import form, permalink, share_panel
from hired.web.engine import Engine
from hired.web.handlers import Handlers
from hired.web.permalink import NOT_IN_LINK, arrive
from hired.web.settings import Settings


@pytest.fixture(scope="module")
def handlers(tiny):
    return Handlers(Engine.holding(*tiny))


def test_a_head_that_the_model_has_not_and_an_unknown_example_are_said(handlers) -> None:
    first = handlers.greeting.example()
    link = arrive({"heads": "77", "example": "nothing", "alpha": "0.25"}, handlers.greeting, 4, 4)
    assert link.settings == shared(alpha=0.25) and link.example is first
    assert "heads=77" in link.told and "example=nothing" in link.told
    fine = arrive({"heads": "3", "example": first.key}, handlers.greeting, 4, 4)
    assert fine.settings.lanes[1].heads == 3 and not fine.told and fine.known == first.known


def test_an_uploaded_image_is_missed_aloud(handlers, tmp_path, monkeypatch) -> None:
    told = []
    monkeypatch.setattr(share_panel.gr, "Info", told.append)
    make_image(60, 60).save(tmp_path / "own.png")
    values = form.write(Settings())
    query = share_panel._query(handlers, str(tmp_path / "own.png"), "what is it ?", **values)[
        "link"
    ]
    assert query == "q=what+is+it+%3F&image=own" and "no uploaded image" in told[0]
    link = arrive(dict(q="what is it ?", image="own"), handlers.greeting, 4, 4)
    assert link.example is None and link.question == "what is it ?" and link.told == NOT_IN_LINK


def test_a_copied_link_of_an_example_opens_run(handlers) -> None:
    example = handlers.greeting.every[1]
    values = form.write(Settings())
    query = share_panel._query(handlers, example.image, example.question, **values)["link"]
    assert query.endswith("&run=1") and f"example={example.key}" in query
    asked = SimpleNamespace(query_params={"run": "1", "stage": "1"})
    assert permalink.read_query(asked) == {}, "what the page does is no question of settings"
