"""The list of methods that is read from the source, and how little it takes to print it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hired.method_list import Entry, read_methods
from hired.selectors import SELECTORS, settings_of

LOADED = """
import sys
from hired.cli import main
code = main(sys.argv[1:])
assert not {"torch", "transformers", "numpy", "gradio"} & set(sys.modules), sorted(sys.modules)
sys.exit(code)
"""


def test_the_source_says_what_the_register_holds() -> None:
    methods = read_methods()
    assert list(methods) == list(SELECTORS)
    for name, method in SELECTORS.items():
        assert methods[name] == Entry(method.summary, tuple(settings_of(name)))


def test_a_new_file_is_a_new_method(tmp_path) -> None:
    (tmp_path / "base.py").write_text(
        "class Selector:\n    budget: float = 0.2\n    newline: str = 'none'\n"
        "    unused: ClassVar[tuple[str, ...]] = ()\n"
    )
    for name, more in (("full", "    unused: ClassVar[tuple[str, ...]] = ('budget',)\n"),
                       ("hired", "    alpha: float = 0.5\n"), ("mine", "")):  # fmt: skip
        (tmp_path / f"{name}.py").write_text(
            f"class {name.title()}(Selector):\n    name: ClassVar[str] = {name!r}\n"
            f"    summary: ClassVar[str] = 'Does it.'\n{more}"
        )
    assert read_methods(tmp_path) == {
        "full": Entry("Does it.", ("newline",)),
        "hired": Entry("Does it.", ("budget", "newline", "alpha")),
        "mine": Entry("Does it.", ("budget", "newline")),
    }


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs the CPU time of a child")
@pytest.mark.parametrize("asked", ["methods", "--help"])
def test_lists_take_no_library_and_half_a_second_at_most(asked) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", LOADED, asked],
        stdout=subprocess.DEVNULL,
        cwd=Path(__file__).parent.parent,
    )
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0 and used.ru_utime + used.ru_stime < 0.5


def test_the_page_imports_no_library_for_figures() -> None:
    told = "import gc, sys, app; assert 'matplotlib' not in sys.modules and gc.isenabled()"
    subprocess.run([sys.executable, "-c", told], cwd=Path(__file__).parent.parent, check=True)
