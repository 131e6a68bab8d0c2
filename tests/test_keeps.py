"""The small picture in every pane."""

import re

from asking import shared
from conftest import make_image

from hired.web import form, keeps, panes
from hired.web.engine import Engine
from hired.web.views import View


def test_every_pane_has_a_small_picture_of_what_it_keeps(tiny, tmp_path) -> None:
    engine = Engine.holding(*tiny)
    make_image(120, 160).save(tmp_path / "a.png")
    settings = shared(third="random", budget=0.3)
    style = keeps.show(engine, str(tmp_path / "a.png"), *form.write(settings))
    pictures_of = re.findall(r"--keeps-(\d):url\((data:image/webp;base64,[^)]+)\)", style)
    assert [index for index, _ in pictures_of] == ["0", "1", "2"]
    assert len({picture for _, picture in pictures_of}) == 3, "all, HiRED's and random ones differ"
    assert all(f"var(--keeps-{n})" in panes.pane(View("random"), n) for n in range(3))
    assert keeps.show(engine, None, *form.write(settings)) == ""
    assert keeps.show(engine, "gone.png", *form.write(settings)) == ""
