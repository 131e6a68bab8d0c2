"""Links and files written before panes had settings of their own open as what they were."""

import csv
import io
import json
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from starlette.datastructures import QueryParams

import hired
from hired.comparison.preview import Preview
from hired.shapes.pictures import render
from hired.shapes.points import POSTERS, SCALE, draw_like
from hired.web import export
from hired.web.permalink import from_query, read_query, to_query

OLD = Path(__file__).parent / "data" / "before_lanes"
ANSWER = "The orange circle shows the digit 6."
QUESTION = "Can you read the number on the orange circle?"
SHARED = "budget=35%,newline=rows,alpha=0.3,init_layer=2,final_layer=3,heads=max,fuse=true"
LANES = {
    "three": ("full", "visionzip:budget=64,contextual=0.3", "random:budget=64,seed=3"),
    "hired": (f"hired-release:{SHARED}", f"hired:{SHARED}"),
    "ask": ("full", "hired:budget=35%,alpha=0.3"),
}
READ = {"three": [440, 64, 64], "hired": [208, 209], "ask": [440, 201]}


@pytest.fixture(scope="module")
def links():
    return json.loads((OLD / "links.json").read_text())


@pytest.mark.parametrize("name", LANES)
def test_an_old_export_opens_as_what_it_was(name) -> None:
    found = export.from_json((OLD / f"{name}.json").read_bytes())
    assert found.settings.texts == LANES[name] == tuple(view.lane for view in found.views)
    assert found.settings.max_new_tokens == 12
    assert [view.visual_tokens for view in found.views] == READ[name]
    assert [view.text for view in found.views] == [ANSWER] * len(LANES[name])
    assert found.question == QUESTION and found.image["name"] == "panorama.png"
    assert export.from_json(export.to_json(found)) == found


def test_an_old_table_has_no_column_that_a_new_one_lacks() -> None:
    old = list(csv.DictReader(io.StringIO((OLD / "three.csv").read_text())))
    found = export.from_json((OLD / "three.json").read_bytes())
    new = list(csv.DictReader(io.StringIO(export.to_csv(found))))
    gone = {name for name in old[0].keys() - new[0].keys() if not name.startswith("setting_")}
    assert not gone
    for name in ("method", "phase", "text", "visual_tokens", "ttft_s", "kv_cache_bytes"):
        assert [row[name] for row in old] == [row[name] for row in new]


@pytest.mark.parametrize("name", ["three", "hired"])
def test_an_old_link_asks_what_it_asked(name, links) -> None:
    query = read_query(type("Request", (), {"query_params": QueryParams(links[name])}))
    settings, changed = from_query(query, layers=6, heads=6)
    assert settings.texts == LANES[name] and not changed
    assert settings == export.from_json((OLD / f"{name}.json").read_bytes()).settings
    again = read_query(
        type("Request", (), {"query_params": QueryParams(to_query(settings, QUESTION, "panorama"))})
    )
    assert from_query(again) == (settings, [])


def test_the_lanes_of_old_runs_keep_as_many_tokens_as_they_did(links) -> None:
    preview = Preview(*hired.load("shapes"))
    [point] = [one for one in POSTERS if one.file == "panorama.png"]
    image = render(draw_like(point, 0)[0], SCALE)  # how many are kept hangs on its size alone
    for name, link in links.items():
        settings, _ = from_query(dict(parse_qsl(link)))
        lanes = [one for one in zip(settings.lanes, READ[name], strict=True) if one[0].fixed_count]
        assert lanes, "others keep what their model's tower singles out"
        for lane, read in lanes:
            assert preview.select(image, lane).visual_tokens == read
