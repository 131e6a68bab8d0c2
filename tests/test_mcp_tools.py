"""MCP tools are an extra: asked for by flag or variable, a plain message where it is missing."""

import pytest
from gradio.utils import get_function_description
from packaging.requirements import Requirement

from hired.errors import SettingError
from hired.web import serve
from hired.web.api import describe_parameters
from hired.web.engine import Engine
from hired.web.page import build
from hired.web.serve import NEEDS, mcp_options


def test_off_unless_asked_for(monkeypatch) -> None:
    monkeypatch.delenv("GRADIO_MCP_SERVER", raising=False)
    assert mcp_options() == {"mcp_server": False}


@pytest.mark.parametrize("way", ["flag", "variable"])
def test_missing_extra_is_a_plain_message(monkeypatch, way) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    monkeypatch.setenv("GRADIO_MCP_SERVER", "True" if way == "variable" else "False")
    with pytest.raises(SettingError, match=r"pip install -r .*mcp-requirements\.txt"):
        mcp_options(way == "flag")


def test_on_where_the_extra_is_there(monkeypatch) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: object())
    assert mcp_options(True) == {"mcp_server": True}


def test_extra_is_of_the_gradio_the_app_needs() -> None:
    lines = NEEDS.read_text().splitlines()
    need = Requirement(next(line for line in lines if not line.startswith("#")))
    assert need.name == "gradio" and need.extras == {"mcp"}
    app = (NEEDS.parents[2] / "requirements.txt").read_text()
    assert f"gradio{need.specifier}".replace(" ", "") in app or all(
        str(part) in app for part in need.specifier
    )


def read_tool(demo, name: str):
    """What a tool says of its parameters, and the names of those that its endpoint takes."""
    work = next(one.fn for one in demo.fns.values() if one.api_name == name)
    taken = demo.get_api_info()["named_endpoints"][f"/{name}"]["parameters"]
    return get_function_description(work)[1], [one["parameter_name"] for one in taken]


def test_every_parameter_is_described_where_tools_read_it(tiny) -> None:
    words = describe_parameters()
    for name in ("compare", "select", "sweep"):
        described, asked = read_tool(build(Engine.holding(*tiny)), name)
        assert len(asked) >= 8 and described == {one: words[one] for one in asked}
