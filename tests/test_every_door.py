"""Settings declared in one file are there at every door: a toy method with one of each kind."""

import inspect
import json
import textwrap
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest
import readmes
from conftest import make_image
from serving import Caller, encoded, serve
from test_web import ABOUT, METRICS
from toy import GIVEN, HELP, TEXT, lmms_model, registered

from hired.bench.accuracy_plan import Plan
from hired.bench.plan import expand, parse_method
from hired.bench.speed_plan import Sweep
from hired.cli import main, make_lanes, make_parser
from hired.errors import SettingError
from hired.method_list import read_methods
from hired.selectors import build, parse
from hired.serving.settings import resolve
from hired.web import export, form
from hired.web.api import describe_parameters
from hired.web.engine import Engine
from hired.web.export import Record
from hired.web.handlers import Handlers
from hired.web.pane_state import PaneState, name_lanes
from hired.web.permalink import from_query, to_python, to_query
from hired.web.settings import Settings, from_mapping
from hired.web.share_panel import Recall
from hired.web.sweep import axes, plan

QUESTION = "what ?"
USUAL = {"budget": 0.2, "newline": "none", "positions": "packed"}


@pytest.fixture(scope="module", autouse=True)
def toy():
    with registered() as method:
        yield method


@pytest.fixture
def settings(toy) -> Settings:
    return Settings((parse(TEXT), parse(TEXT.replace("weight=-0.5", "weight=4"))))


def fields(settings: Settings) -> dict:
    """What the page's handlers are given."""
    return form.write(settings)


# Doors of Python, the command line and the benchmarks.


def test_a_line_of_text(toy) -> None:
    selector = parse(TEXT)
    assert selector == toy(30, **GIVEN) == build("toy", budget=30, **GIVEN)
    assert selector.text == TEXT and parse("toy").text == "toy"


def test_the_command_line(tmp_path, capsys) -> None:
    make_image(120, 160).save(tmp_path / "p.png")
    asked = ["ask", str(tmp_path / "p.png"), QUESTION, "--max-new-tokens", "2"]
    assert main([*asked, "--json", "--lane", "full", "--lane", TEXT]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["settings"]["lanes"] == ["full", TEXT]
    assert record["settings"].items() >= GIVEN.items()
    assert record["lanes"][1]["metrics"]["kept_tokens"] == 30
    assert export.from_json(json.dumps(record)).settings.texts == ("full", TEXT)
    flags = [word for key, value in GIVEN.items() for word in (f"--{key}", str(value))]
    argv = [*asked, "--method", "toy", "--budget", "30", *flags]
    assert make_lanes(make_parser(argv).parse_args(argv))[1].selector.text == TEXT


def test_the_help_of_the_command_line(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["ask", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    allowed = ["a number from -1 to 4", "a whole number from 1 to 9", "one of up, down",
               "True or False"]  # fmt: skip
    for (key, words), values in zip(HELP.items(), allowed, strict=False):
        assert f"--{key} VALUE {words} ({values})" in told


def test_the_list_of_methods(toy, tmp_path) -> None:
    folder = Path(inspect.getfile(build)).parent
    for name in ("base", "full", "hired"):
        (tmp_path / f"{name}.py").write_text((folder / f"{name}.py").read_text())
    (tmp_path / "toy.py").write_text(textwrap.dedent(inspect.getsource(toy)))
    assert read_methods(tmp_path)["toy"].settings == ("budget", "newline", "positions", *GIVEN)


def test_the_plans_of_bench_and_eval() -> None:
    lane = TEXT.replace("budget=30,", "")
    assert parse_method(lane).settings == GIVEN
    (entry,) = [one for one in Sweep(methods=expand([lane]), budgets=(30,)).entries if one.budget]
    assert entry.selector() == parse(TEXT)
    lanes = Plan(methods=expand([lane]), budgets=(30,)).methods_lanes()
    assert list(lanes.values())[1] == parse(TEXT)


def test_vllm(capsys) -> None:
    assert resolve({"method": "toy", **GIVEN}, None) == {"method": "toy", **USUAL, **GIVEN}
    own = resolve({"method": "toy", **GIVEN}, {"weight": 1.5})
    assert own == {"method": "toy", **USUAL, **GIVEN, "weight": 1.5}
    with pytest.raises(SettingError, match=r"rounds is a whole number from 1 to 9; got 0"):
        resolve({"method": "toy", "rounds": 0}, None)
    assert main(["serve", "--dry-run", "--lane", TEXT]) == 0
    told = capsys.readouterr().out.split("--hf-overrides '")[1].split("'")[0]
    assert json.loads(told)["hired"] == {"method": "toy", "budget": 30, **GIVEN}


def test_lmms_eval() -> None:
    pairs = dict(part.split("=") for part in TEXT.removeprefix("toy:").split(","))
    for args in (pairs, {"budget": 30, **GIVEN}):  # as typed, and as lmms-eval reads them
        with lmms_model() as made:
            assert made(method="toy", **args) == parse(TEXT)


def test_the_tables_of_the_readme() -> None:
    rows = [line for line in readmes.settings().splitlines() if line.endswith(" `toy` |")]
    assert [row.split("`")[1] for row in rows] == list(GIVEN)
    for row, words in zip(rows, HELP.values(), strict=True):
        assert f" {words} |" in row
    assert "-1 to 4 | 0.25 |" in rows[0] and "one of up, down | up |" in rows[2]
    assert ", ".join(f"`{key}`" for key in GIVEN) in readmes.sources()


# Doors of the page.


def test_the_row_of_a_pane() -> None:
    told = json.loads(form.describe_methods(layers=4, heads=2))["methods"]["toy"]["settings"]
    assert [*told][3:] == [*GIVEN] and told["budget"]["kind"] == "budget"
    controls = {
        "weight": {"kind": "range", "low": -1, "high": 4, "step": 0.25, "usual": "0.25"},
        "rounds": {"kind": "whole", "low": 1, "high": 9, "usual": "3"},
        "order": {"kind": "choice", "choices": [["up", "up"], ["down", "down"]], "usual": "up"},
        "strict": {"kind": "flag", "usual": "false"},
        "depth": {"kind": "range", "low": 0, "high": 3, "step": 1, "usual": "0"},
        "face": {"kind": "choice", "usual": "sum", "choices": [["sum", "sum"], ["max", "max"],
                 ["0", "head 0"], ["1", "head 1"]]},
    }  # fmt: skip
    for key, control in controls.items():
        words = {"label": key.capitalize(), "help": f"{HELP[key].capitalize()}."}
        assert told[key] == control | words


def test_another_model_has_other_layers_and_heads(tiny, toy) -> None:
    far = toy(30, depth=9, face=9)
    assert form.fit_lane(far, 4, 2) == toy(30, depth=3, face="sum")
    for lane, words in ((toy(depth=9), "depth must be a layer"), (toy(face=9), "face must be a")):
        with pytest.raises(SettingError, match=rf"{words}.* 0 to 3; got 9"):
            Engine.holding(*tiny).get().preview.select(make_image(120, 160), lane)


def test_the_form_and_its_readout(tiny, settings, tmp_path) -> None:
    handlers, path = Handlers(Engine.holding(*tiny)), tmp_path / "p.png"
    make_image(120, 160).save(path)
    assert form.read(**fields(settings)) == settings
    told = handlers.preview(str(path), "Kept patches", **fields(settings))["readout"]
    assert "Toy weight 4.0 reads 30 tokens" in told and "Toy weight -0.5 30" in told
    assert '"weight": {"label": "Weight"' in unescape(handlers.describe_methods())


def test_every_setting_tells_panes_apart() -> None:
    for part in TEXT.partition(":")[2].split(",")[1:]:
        key = part.partition("=")[0]
        mine, usual = name_lanes([f"toy:{part}", "toy"])
        assert mine.startswith(f"Toy {key} ") and usual.startswith(f"Toy {key} ") and mine != usual


def test_a_link(settings) -> None:
    query = parse_qs(to_query(settings))
    assert query["lane"] == list(settings.texts)
    assert from_query(query, layers=4, heads=4) == (settings, [])
    old = {"right": "toy", "budget": "30", **{key: str(value) for key, value in GIVEN.items()}}
    assert from_query(old)[0].lanes[1] == parse(TEXT)
    lane = "toy:weight=99,rounds=0,order=up,strict=maybe,depth=7,face=7"
    found, changed = from_query({"lane": [lane]}, layers=4, heads=4)
    assert found.lanes[1] == build("toy", weight=4.0, rounds=1, depth=3)
    assert changed == [f"{part} of toy" for part in lane[4:].split(",") if part != "order=up"]


def test_files_and_the_history(tiny, settings) -> None:
    views = [PaneState(text, "done", "7", metrics=METRICS) for text in settings.texts]
    record = Record(QUESTION, {"name": "p.png"}, settings, views, ABOUT)
    assert export.from_json(export.to_json(record)).settings == settings
    head, first, _ = export.to_csv(record).splitlines()
    row = dict(zip(head.split(","), first.split(","), strict=False))
    assert {f"setting_{key}" for key in GIVEN} <= row.keys() and TEXT in export.to_markdown(record)
    old = {"right": "toy", "budget": 30, **GIVEN}
    assert from_mapping(old).lanes[1] == parse(TEXT)
    shown = Recall(Handlers(Engine.holding(*tiny))).show_stored(export.as_dict(record))
    assert json.loads(shown["panes"])["lanes"] == list(settings.texts)


def test_the_same_in_python(settings) -> None:
    code = to_python(settings, "shapes", QUESTION, None)
    made: dict = {}
    exec(code.partition("lanes = ")[2].partition("]")[0].join(["lanes = ", "]"]),
         {"hired": SimpleNamespace(Lane=lambda _, text: parse(text))}, made)  # fmt: skip
    assert tuple(made["lanes"]) == settings.lanes


@pytest.mark.parametrize("axis", [*GIVEN])
def test_an_axis_of_the_sweep(axis) -> None:
    said = parse(TEXT).settings()[axis].write(GIVEN[axis])
    usual = build("toy").settings()[axis].write(getattr(build("toy"), axis))
    assert axis in axes()
    planned = plan(Settings(), "30", axis, f"{said} {usual}", ["toy"])
    assert [row.lanes[1] for row in planned] == [
        build("toy", budget=30, **{axis: GIVEN[axis]}), build("toy", budget=30)
    ]  # fmt: skip


# Doors of programs.


@pytest.fixture(scope="module")
def caller(tiny, toy):
    with serve(Engine.holding(*tiny)) as demo:
        yield Caller(demo.local_url)


@pytest.fixture(scope="module")
def call(caller):
    """An endpoint asked with some of its parameters by name."""
    image = caller.upload(encoded(make_image(120, 160)))
    info = caller.http.get("info").json()["named_endpoints"]

    def ask(endpoint: str, **given):
        given |= {"image": image, "question": QUESTION}
        taken = info[f"/{endpoint}"]["parameters"]
        names = [one["parameter_name"] for one in taken]
        values = [given.get(one["parameter_name"], one["parameter_default"]) for one in taken]
        return names, caller.call(endpoint, values)

    return ask


@pytest.mark.parametrize("way", ["parameters", "method", "lane"])
def test_the_endpoints(call, way) -> None:
    given = {"method": "toy", "budget": "30", **GIVEN} if way == "parameters" else {}
    given = {"method": TEXT} if way == "method" else given
    names, (kind, values) = call("select", **given, **({"lane": TEXT} if way == "lane" else {}))
    assert {*GIVEN} < {*names} and kind == "complete" and values[0]["kept"] == 30
    lanes = {"lanes": f"full {TEXT}"} if way == "lane" else {}
    names, (kind, values) = call("compare", max_new_tokens=2, **given, **lanes)
    assert {*GIVEN} < {*names} and kind == "complete", values
    assert [lane["lane"] for lane in values[2]["lanes"]] == ["full", TEXT]


def test_the_endpoint_of_sweeps(call) -> None:
    asked = {"budgets": "30", "methods": "toy:depth=2", "axis": "weight", "values": "1 4"}
    _, (kind, values) = call("sweep", max_new_tokens=2, **asked)
    assert kind == "complete", values
    assert [row["weight"] for row in values[0]] == [None, 1.0, 4.0]
    assert {row["depth"] for row in values[0][1:]} == {2}


def test_words_for_programs_and_mcp(caller) -> None:
    words = describe_parameters()
    assert words["weight"] == "how much a patch counts (a number from -1 to 4); left out: 0.25"
    assert all(key in words["axis"] and HELP[key] in words[key] for key in GIVEN)
    taken = caller.http.get("info").json()["named_endpoints"]["/compare"]["parameters"]
    kinds = {one["parameter_name"]: one["type"]["type"] for one in taken}
    assert [kinds[key] for key in ("weight", "rounds", "order", "depth")] == [
        "number", "number", "string", "number"
    ]  # fmt: skip
    labels = {one["parameter_name"]: one["label"] for one in taken}
    assert labels.items() >= {key: words[key] for key in GIVEN}.items()
