"""The endpoints as tools of the Model Context Protocol: optional, and only when asked for."""

import os
from importlib.util import find_spec
from pathlib import Path

from hired.errors import SettingError

NEEDS = Path(__file__).with_name("mcp-requirements.txt")
VARIABLE = "GRADIO_MCP_SERVER"
PLACE = "/gradio_api/mcp/"  # below the page's address


def mcp_options(asked: bool = False) -> dict[str, bool]:
    """What `launch` is told about MCP: on if asked for, here or by GRADIO_MCP_SERVER=True.

    Raises:
        SettingError: the packages it needs are not installed.
    """
    if not asked and os.environ.get(VARIABLE, "").lower() != "true":
        return {"mcp_server": False}
    if find_spec("mcp") is None:
        raise SettingError(
            f"MCP tools need packages that are not installed. Run: pip install -r {_short(NEEDS)}"
        )
    return {"mcp_server": True}


def _short(path: Path) -> Path:
    """Relative to where we are, if it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
