"""Random mutants of Python code: small changes of behavior, each of which a test should notice.

A mutant replaces the source text of one syntax node. Docstrings, annotations, log messages and help texts are not
mutated, nor are other strings with a space, most of which are text for people.
"""

import ast
import difflib
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

COMPARISONS = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.In: ("in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
}
ARITHMETIC = {  # without "/": most of them join paths, and every other operator would fail there
    ast.Add: (r"\+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: (r"\*", "/"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.BitOr: (r"\|", "&"),
    ast.BitAnd: ("&", "|"),
}
LOGGERS = re.compile(r"(?:^|\.)_?(?:log|logger|logging)\.\w+$")
TEXT_ARGUMENTS = {"help", "metavar", "metadata", "description", "summary"}


@dataclass(frozen=True, order=True)
class Mutant:
    """One change: the bytes from `start` to `end` of the file become `new`."""

    file: str  # relative to the root of the repository
    start: int
    end: int
    new: str
    first_line: int
    last_line: int

    def apply(self, source: bytes) -> bytes:
        """Return the changed source of the file."""
        return source[: self.start] + self.new.encode() + source[self.end :]

    def diff(self, source: bytes) -> str:
        """Return the removed and added lines, without their indentation and without context."""
        old, new = (text.decode().splitlines() for text in (source, self.apply(source)))
        changes = list(difflib.unified_diff(old, new, n=0, lineterm=""))[3:]
        indentation = min((len(line) - len(line[1:].lstrip()) - 1 for line in changes if line[1:].strip()), default=0)
        return "\n".join(f"{line[0]} {line[1 + indentation :]}".rstrip() for line in changes)


class _Finder(ast.NodeVisitor):
    """Collect the mutants of a file."""

    def __init__(self, file: str, source: bytes) -> None:
        self.mutants: list[Mutant] = []
        self._file = file
        self._source = source
        self._line_starts = [0]
        for line in source.splitlines(keepends=True):
            self._line_starts.append(self._line_starts[-1] + len(line))
        self.visit(ast.parse(source))

    def _start(self, node: ast.AST) -> int:
        return self._line_starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.AST) -> int:
        return self._line_starts[node.end_lineno - 1] + node.end_col_offset

    def _replace(self, node: ast.AST, new: str, start: int | None = None, end: int | None = None) -> None:
        start, end = (self._start(node) if start is None else start), (self._end(node) if end is None else end)
        self.mutants.append(Mutant(self._file, start, end, new, node.lineno, node.end_lineno))

    def _replace_operator(self, node: ast.AST, left: ast.AST, right: ast.AST, old: str, new: str) -> None:
        """Replace the operator between two operands, which may be in parentheses."""
        start = self._end(left)
        if found := re.search(old.encode(), self._source[start : self._start(right)]):
            self._replace(node, new, start + found.start(), start + found.end())

    def _negate(self, test: ast.expr) -> None:
        self._replace(test, f"not ({self._source[self._start(test) : self._end(test)].decode()})")

    # --- operators and conditions ---

    def visit_Compare(self, node: ast.Compare) -> None:
        for left, operator, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
            self._replace_operator(node, left, right, *COMPARISONS[type(operator)])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        words = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._replace_operator(node, left, right, *words)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if type(node.op) in ARITHMETIC:
            self._replace_operator(node, node.left, node.right, *ARITHMETIC[type(node.op)])
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._replace(node, self._source[self._start(node.operand) : self._end(node.operand)].decode())
        self.generic_visit(node)

    def visit_If(self, node: ast.If | ast.While | ast.IfExp) -> None:
        if ast.unparse(node.test) == "__name__ == '__main__'":
            return
        self._negate(node.test)
        self.generic_visit(node)

    visit_While = visit_IfExp = visit_If

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._negate(test)
        self.generic_visit(node)

    # --- values ---

    def visit_Constant(self, node: ast.Constant) -> None:
        match node.value:
            case bool():
                self._replace(node, str(not node.value))
            case int() | float():
                self._replace(node, repr(node.value + 1))
            case str() | bytes() if not node.value:
                self._replace(node, repr(type(node.value)() + ("mutant" if node.value == "" else b"mutant")))
            case str() if " " not in node.value:
                self._replace(node, '""')
            case bytes() if b" " not in node.value:
                self._replace(node, 'b""')

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.visit(part.value)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value and ast.unparse(node.value) != "None":
            self._replace(node, "return None")
        self.generic_visit(node)

    # --- statements, arguments and decorators ---

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant) or _is_logging(node.value):
            return
        if not isinstance(node.value, ast.Yield | ast.YieldFrom):
            self._replace(node, "pass")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
            self._replace(node, "pass")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._replace(node, "pass")
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._replace(node, "pass")
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        self._replace(node, "pass")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._replace(node, "break")

    def visit_Break(self, node: ast.Break) -> None:
        self._replace(node, "continue")

    def visit_Call(self, node: ast.Call) -> None:
        if _is_logging(node):
            return
        for argument in node.keywords:
            if argument.arg and argument.arg not in TEXT_ARGUMENTS:
                comma = re.match(rb"\s*,\s*", self._source[self._end(argument) :])
                self._replace(argument, "", end=self._end(argument) + (comma.end() if comma else 0))
        self.visit(node.func)
        for argument in node.args:
            self.visit(argument)
        for argument in node.keywords:
            if argument.arg not in TEXT_ARGUMENTS:
                self.visit(argument.value)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        for decorator in node.decorator_list:
            self._replace(decorator, "", start=self._source.rindex(b"@", 0, self._start(decorator)))
        self.generic_visit(node)

    visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef

    # --- annotations ---

    def visit(self, node: ast.AST) -> None:
        """Visit the node without its annotations."""
        for field in ("annotation", "returns", "type_params"):
            if getattr(node, field, None):
                setattr(node, field, [] if field == "type_params" else None)
        super().visit(node)


def _is_logging(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and bool(LOGGERS.search(ast.unparse(node.func)))


def mutants_of(file: str, source: bytes) -> list[Mutant]:
    """Return all mutants of a file, in the order of their places."""
    return sorted(_Finder(file, source).mutants)


def python_files(folder: Path) -> Iterator[Path]:
    """Yield the Python files of the folder, with the entry points, whose names have no suffix."""
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".py" or path.is_file() and not path.suffix and _is_python(path):
            yield path


def _is_python(path: Path) -> bool:
    with path.open("rb") as file:
        return file.readline().startswith(b"#!/usr/bin/env python3")


def sample(root: Path, folder: str, number: int, seed: int) -> list[Mutant]:
    """Return `number` random mutants of a folder, sorted. The same seed and the same code give the same mutants."""
    every = [
        mutant
        for path in python_files(root / folder)
        for mutant in mutants_of(path.relative_to(root).as_posix(), path.read_bytes())
    ]
    random.Random(seed).shuffle(every)
    return sorted(_first_valid(root, every, number))


def _first_valid(root: Path, mutants: Iterable[Mutant], number: int) -> Iterator[Mutant]:
    """Yield the first mutants that are valid Python and differ from the original."""
    for mutant in mutants:
        if not number:
            return
        source = (root / mutant.file).read_bytes()
        try:
            is_changed = ast.dump(ast.parse(mutant.apply(source))) != ast.dump(ast.parse(source))
        except SyntaxError:
            continue
        if is_changed:
            number -= 1
            yield mutant
