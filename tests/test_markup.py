"""HTML from templates: what is put in is text, and a value that is forgotten is an error."""

import ast
import re

import jinja2
import pytest

from hired.web import markup
from hired.web.markup import Markup, escape, fill

NASTY = """<b onclick="x()">'${y}' `z` & é</b>"""


def test_text_is_read_by_neither_html_nor_gradio() -> None:
    said = escape(NASTY)
    assert not any(sign in said for sign in "<>\"'`${")
    assert said.unescape() == NASTY
    assert escape(None) == "None" and escape(3.5) == "3.5"


def test_markup_is_put_in_as_it_is() -> None:
    inner = fill("page", "lead", words=NASTY)
    assert isinstance(inner, Markup)
    assert fill("page", "lead", words=inner) == f'<p class="lead">{inner}</p>'


def test_a_value_that_is_missing_or_unknown_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        fill("page", "lead")
    with pytest.raises(TypeError):
        fill("page", "lead", words="", others="")


def test_lines_of_a_template_are_joined() -> None:
    stale = fill("page", "stale", at=" at 20 %", changed="the change of the budget")
    assert "\n" not in stale and "  " not in stale
    assert 'Answers at 20 %, before the change of the budget. <button type="button"' in stale


def test_every_template_compiles_and_begins_with_what_it_holds() -> None:
    found = sorted((markup.HERE / "templates").glob("*.html"))
    assert found
    for path in found:
        assert path.read_text(encoding="utf-8").startswith("{# "), path.name
        assert vars(markup._module(path.stem)), path.name


def test_html_stands_in_templates_alone() -> None:
    tag = re.compile(r"</?[a-z]+[ >]")
    for path in sorted(markup.HERE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not tag.search(node.value), f"{path.name}:{node.lineno}"
