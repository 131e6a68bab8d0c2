"""The small picture in every pane."""

import re

from asking import shared
from conftest import make_image

from hired.web import form, pictures, render
from hired.web.engine import Engine
from hired.web.handlers import Handlers
from hired.web.pane_state import PaneState


def test_every_pane_has_a_small_picture_of_what_it_keeps(tiny, tmp_path) -> None:
    engine = Engine.holding(*tiny)
    make_image(120, 160).save(tmp_path / "a.png")
    settings = shared(third="random", budget=0.3)
    values, handlers = form.write(settings), Handlers(engine)
    style = handlers.preview(str(tmp_path / "a.png"), pictures.KEPT, **values)["small"]
    pictures_of = re.findall(r"--keeps-(\d):url\((data:image/webp;base64,[^)]+)\)", style)
    assert [index for index, _ in pictures_of] == ["0", "1", "2"]
    assert len({picture for _, picture in pictures_of}) == 3, "all, HiRED's and random ones differ"
    assert all(f"var(--keeps-{n})" in render.pane(PaneState("random"), n) for n in range(3))
    assert handlers.preview(None, pictures.KEPT, **values)["small"] == ""
    assert handlers.preview("gone.png", pictures.KEPT, **values)["small"] == ""
