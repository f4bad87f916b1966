"""docs/reference/promises.md: each test function is on the page with its promise."""

import ast
import re
from pathlib import Path

import pytest

from cli import promises
from tests.support.repository import tracked

SOURCE = '''"""Posts: tables | and *stars*. More about it."""

import missing_package


def helper():
    """No test."""


@pytest.mark.parametrize("number", [1, 2])
def test_first(number):
    """A post has at most
    `a|b` characters of <body>, i.e. its text. The rest is details."""


def test_second():
    def test_inner():
        """No test."""

    """No docstring: it is not the first statement."""
'''


def python_tests() -> list[Path]:
    return [path for path in tracked() if path.match("test_*.py")]


def test_page_has_every_test_function():
    """The page lists every test function once."""
    names = [
        node.name
        for path in python_tests()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    listed = re.findall(r"\| `(test_\w+)` \|$", promises.page(), re.M)
    assert len(listed) > 900
    assert sorted(listed) == sorted(names)


def test_every_test_has_a_promise():
    """Every test function has a docstring, the promise that it proves."""
    rows = re.findall(r"^\| *\| `(test_\w+)` \|$", promises.page(), re.M)
    assert rows == []


def test_section_of_a_file():
    """A section has the subject of the file and a row for each test function, without importing the file."""
    assert promises._section("tests/test_posts.py", SOURCE) == (
        "## tests/test_posts.py\n\nPosts: tables \\| and \\*stars\\*.\n\n| promise | test |\n|---|---|\n"
        "| A post has at most `a\\|b` characters of &lt;body>, i.e. its text. | `test_first` |\n"
        "|  | `test_second` |\n"
    )


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("WSGI_SERVER and __init__ of _private", "WSGI_SERVER and \\__init_\\_ of \\_private"),
        ("a [link](target)", "a \\[link\\](target)"),
        ("`<code>_` & `open", "`<code>_` &amp; \\`open"),
    ],
)
def test_text_has_no_markup(text, escaped):
    """Characters with a meaning in Markdown are escaped, except in code."""
    assert promises.escape(text) == escaped


def test_page_does_not_depend_on_python():
    """The page is the same on every Python that runs ./stack: the tests have the syntax of Python 3.10."""
    for path in python_tests():
        ast.parse(path.read_text(), feature_version=(3, 10))
