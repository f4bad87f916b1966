"""docs/reference/promises.md: what each test proves, from the docstrings of the test functions.

Only the standard library. The tests are parsed, not imported: neither pytest nor the packages of the app are needed.
"""

import ast
import re
import textwrap

from cli.console import ROOT

TESTS = ROOT / "tests"
WIDTH = 120

HEAD = """# Promises

Generated from the docstrings of the tests by `./stack docs`; do not edit.

Each promise of the stack, the sample app and `./stack` is proved by a test. `./stack test FILE::TEST` repeats one of
them, and [Develop](../guides/develop.md#run-the-tests) describes the folders. A test that runs with several parameters
is listed once.
"""


def page() -> str:
    """Return the page: a table for each test file, in the order of the paths."""
    files = sorted((path.relative_to(ROOT).as_posix(), path) for path in TESTS.rglob("test_*.py"))
    return "\n".join([HEAD, *(_section(name, path.read_text(encoding="utf-8")) for name, path in files)])


def _section(name: str, source: str) -> str:
    rows = [f"| {escape(promise)} | `{test}` |" for test, promise in promises(source)]
    subject = escape(first_sentence(ast.get_docstring(ast.parse(source)) or ""))
    return "\n".join([f"## {name}\n", *textwrap.wrap(subject, WIDTH), "", "| promise | test |", "|---|---|", *rows, ""])


def promises(source: str) -> list[tuple[str, str]]:
    """Return the name and the promise of each test function of a file, in the order of the file."""
    return [
        (node.name, first_sentence(ast.get_docstring(node) or ""))
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring, in one line."""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    end = re.search(r"[.!?](?=\s+[^a-z])", paragraph)
    return paragraph[: end.end()] if end else paragraph


def escape(text: str) -> str:
    """Return the text for a cell of a Markdown table: outside of code, no character has a meaning."""
    parts = re.split(r"(`[^`]*`)", text)
    plain = [part if part.startswith("`") else _escape_plain(part) for part in parts]
    return "".join(plain).replace("|", "\\|")


def _escape_plain(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"[\\*\[\]`]|\b_\B|\B_\b", r"\\\g<0>", text)  # within a word, _ has no meaning
