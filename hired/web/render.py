"""HTML from the templates in `templates/`, whatever is put into them escaped."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import markupsafe

from hired.web.panes import esc


def render(name: str, **values: Any) -> str:
    """The template `templates/NAME.html` with these values."""
    return _environment().get_template(f"{name}.html").render(values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        finalize=lambda value: (
            value if isinstance(value, markupsafe.Markup) else markupsafe.Markup(esc(value))
        ),
        undefined=StrictUndefined,
        trim_blocks=True,
    )


def _inert(value: Any) -> Any:
    """A value escaped for HTML and for gradio's templates; what is markup stays."""
    return value if isinstance(value, markupsafe.Markup) else markupsafe.Markup(esc(value))
