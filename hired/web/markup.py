"""HTML from the macros in `templates/`, where whatever is put in is escaped; and scripts.

A template holds the macros of one subject. Its lines are joined as JSX joins them: a line break
beside a tag or an expression vanishes, one between words is a space.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.environment import TemplateModule
from jinja2.ext import Extension
from jinja2.utils import markupsafe

Markup = markupsafe.Markup
HERE = Path(__file__).parent


def fill(subject: str, macro: str, /, **values: Any) -> Markup:
    """The macro of `templates/SUBJECT.html` with these values, each escaped unless it is Markup."""
    return getattr(_module(subject), macro)(**values)


ENTITIES = {
    **{"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"},
    **{"$": "&#36;", "{": "&#123;", "`": "&#96;"},  # gradio's own templates read these
}
_ACTIVE = re.compile("[" + "".join(ENTITIES) + "]")


def escape(value: Any) -> Markup:
    """A value as text that neither HTML nor gradio's own templates read; Markup stays."""
    if isinstance(value, Markup):
        return value
    return Markup(_ACTIVE.sub(lambda found: ENTITIES[found[0]], str(value)))


def script(*names: str) -> str:
    """The JavaScript files of this folder with these names, one after the other."""
    return "\n".join((HERE / f"{name}.js").read_text(encoding="utf-8") for name in names)


class _JoinedLines(Extension):
    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        source = re.sub(r"(?<=[>}])\s*\n\s*|\s*\n\s*(?=[<{])", "", source)
        return re.sub(r"\s*\n\s*", " ", source)


@cache
def _module(subject: str) -> TemplateModule:
    """The compiled macros of one template, made once."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        finalize=escape,
        undefined=StrictUndefined,
        extensions=[_JoinedLines],
    )
    return environment.get_template(f"{subject}.html").module
