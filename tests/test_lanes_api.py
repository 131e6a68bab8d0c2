"""Lanes as text at every endpoint, and the calls of programs written before them."""

import pytest
from conftest import make_image
from serving import SELECT, encoded

QUESTION = "what colour is the circle ?"


@pytest.fixture(scope="module")
def good(caller):
    return caller.upload(encoded(make_image(120, 160)))


def test_lanes_as_text_reach_every_endpoint_and_old_calls_go_on(caller, good) -> None:
    lanes = "full hired:budget=40% hired:budget=20%,alpha=0.3"
    kind, values = caller.call("compare", [good, QUESTION, *SELECT, 3, lanes])
    assert kind == "complete", values
    kept = [lane["metrics"]["visual_tokens"] for lane in values[2]["lanes"]]
    assert len(kept) == 3 and kept[0] > kept[1] > kept[2]
    kind, values = caller.call("select", [good, *SELECT, "hired:budget=12"])
    assert kind == "complete" and values[0]["kept"] == 12
    kind, said = caller.call("select", [good, *SELECT, "hired:bugdet=12"])
    assert kind == "error" and "budget" in said
    kind, said = caller.call("compare", [good, QUESTION, "random", *SELECT[1:], 3, lanes])
    assert kind == "error" and "lanes say all of a pane" in said
    kind, rows = caller.call(
        "sweep", [good, QUESTION, "20%", "none", "", 3, "hired:alpha=0.3 random"]
    )
    assert kind == "complete" and len(rows[0]) == 3
    assert caller.call("sweep", [good, QUESTION, "20%", "none", "", 3])[0] == "complete"
