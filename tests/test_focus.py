"""Where attention lies: which patches show a shape, and what of each layer's attention is there."""

import json

import numpy as np
import pytest
import torch

from hired.bench import focus
from hired.bench.focus import describe_focus, focus_table, measure_focus
from hired.cli import main
from hired.errors import SettingError
from hired.shapes.pictures import content_patches, picture_for
from hired.shapes.scenes import PATCH, SIDE, Scene, Thing, object_patches
from hired.shapes.train.assemble import build_model, build_processor


@pytest.fixture(scope="module")
def untrained():
    return build_model(), build_processor()


def test_a_square_covers_the_patches_it_lies_on():
    square = Thing("square", "blue", 7, 12 * PATCH, 2 * PATCH, 32)  # in the right crop
    on = object_patches(Scene(336, 168, (square,), 0))
    assert on.shape == (3, SIDE * SIDE) and not on[1].any()
    rows, columns = np.nonzero(on[2].reshape(SIDE, SIDE))
    assert rows.min() == 2 and columns.min() == 0 and rows.max() <= 4 and columns.max() <= 2
    rows, columns = np.nonzero(on[0].reshape(SIDE, SIDE))
    assert set(columns) <= {6, 7} and set(rows) <= {2, 3, 4}


@pytest.mark.parametrize("split, of", [("sparse", "a shape"), ("board", "text")])
def test_attention_on_the_content_alone_finds_it(untrained, monkeypatch, split, of):
    look = focus.Preview.encode
    pictures = iter(picture_for("validation", split, 0, n) for n in range(3))

    def sharp(eye, image):
        vision = look(eye, image)
        on = torch.from_numpy(content_patches(next(pictures))).float()
        vision.cls[0] = on[:, None].expand_as(vision.cls[0])
        vision.cls[1] = 1 - vision.cls[0]
        return vision

    monkeypatch.setattr(focus.Preview, "encode", sharp)
    found = measure_focus(*untrained, 3, split)
    # A page may have more text than the share of patches that is looked for.
    most = 1.0 if split == "sparse" else 0.4
    for layers in found.values():
        assert layers[0].mass == 1.0 and layers[0].found >= most
        assert (layers[1].mass, layers[1].found) == (0.0, 0.0)
        assert all(0 <= one.mass <= 1 and 0 < one.area < 0.5 for one in layers)
    assert found["overviews"][0].tiles == 3
    told = focus_table(found, split)
    assert "| 0 | 3 overviews |" in told and f"patches with {of} |" in told


def test_no_posters_are_refused(untrained, capsys):
    with pytest.raises(SettingError, match="got 0"):
        measure_focus(*untrained, 0)
    assert main(["eval", "attention", "--posters", "0"]) == 2
    assert "got 0" in capsys.readouterr().err


def test_what_was_measured_is_recorded(untrained, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("hired.models.load.load", lambda name, device: untrained)
    path = tmp_path / "attention.json"
    asked = ["--posters", "2", "--split", "sparse", "chart", "--json", str(path)]
    assert main(["eval", "attention", *asked]) == 0
    record = json.loads(path.read_text())
    assert capsys.readouterr().out == describe_focus(record) + "\n"
    assert list(record["splits"]) == ["sparse", "chart"] and record["versions"]["torch"]
    for split in record["splits"]:
        for where, layers in measure_focus(*untrained, 2, split).items():
            assert [vars(one) for one in layers] == record["splits"][split][where]
    told = describe_focus(record)
    assert "2 sparse posters" in told and "2 bar charts" in told and "patches with text" in told
