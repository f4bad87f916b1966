"""The sample app stays small enough to be read in half an hour."""

import ast
import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES = 2000
NOT_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def lines_of_code(source: str) -> int:
    """The lines that are neither blank nor comment nor docstring, which is how cloc counts."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def test_the_counter_counts_code():
    """Blank lines, comments and docstrings do not count; statements do, over all their lines."""
    source = "'''Doc\nstring.'''\n\n# comment\nx = (\n    1,  # one\n)\ndef f():\n    'Doc.'\n    return '''\na'''\n"
    assert lines_of_code(source) == 6


def test_the_app_is_small():
    """All of app/ is less than 2,000 lines of Python."""
    counts = {path: lines_of_code(path.read_text()) for path in (ROOT / "app").rglob("*.py")}
    assert len(counts) > 20
    assert sum(counts.values()) < MOST_LINES, sum(counts.values())


def test_each_function_is_short():
    """No function of the app is longer than a screen, its docstring included; migrations are lists, not code."""
    for path in (ROOT / "app").rglob("*.py"):
        if "migrations" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 40, f"{path.name}: {node.name}"
