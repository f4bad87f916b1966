"""Find the app's migrations that the previous release does not survive.

    python3 -m deploy.breaking_migrations        prints {path: reason} as JSON

During a rollout and after a rollback the previous release works on the migrated database. A migration that drops,
renames or requires something therefore says so on a line of its own, with the reason, or that it is safe:

    breaking = "drops the column post.title, which release 12 still reads"
    breaking = False  # no release since 11 reads post.title

Without such a line, the operations that usually break a release are found in the source: of Alembic (Flask-Migrate) and
Django, and in SQL. Python files below a folder named `migrations` count as migrations, as in the usual tools.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

MARKER = "breaking"
NOT_MARKED = (
    'and is not marked with `breaking = "REASON"` (or `breaking = False` if the previous release works with it)'
)

# Calls that break a release whatever their arguments are. The first one or two strings name what they change.
ALEMBIC = {
    "drop_table": "drops the table",
    "drop_column": "drops the column",
    "rename_table": "renames the table",
}
DJANGO = {
    "DeleteModel": "deletes the model",
    "RemoveField": "removes the field",
    "RenameModel": "renames the model",
    "RenameField": "renames the field",
    "AlterModelTable": "renames the table of the model",
}
# Arguments of Django's operations that are not applied to the database, or only when the migration is reversed.
NOT_APPLIED = {"reverse_sql", "reverse_code", "state_operations"}

SQL_RISKS = {
    re.compile(r"\bDROP\s+TABLE\b", re.I): "drops a table",
    re.compile(
        r"\bALTER\s+TABLE\b.*\bDROP\s+(?!CONSTRAINT|DEFAULT|NOT|IDENTITY|EXPRESSION)", re.I | re.S
    ): "drops a column",
    re.compile(r"\bALTER\s+TABLE\b.*\bRENAME\b(?!\s+CONSTRAINT)", re.I | re.S): "renames a table or a column",
    re.compile(r"\bSET\s+NOT\s+NULL\b", re.I): "requires a column",
    re.compile(
        r"\bADD\b(?!.*\bDEFAULT\b).*(?<!IS )\bNOT\s+NULL\b", re.I | re.S
    ): "adds a required column without default",
}


def breaking(root: Path) -> dict[str, str]:
    """The reasons of all breaking migrations, by their path relative to `root`."""
    reasons = {}
    for path in sorted(root.rglob("migrations/**/*.py")):
        tree = ast.parse(path.read_text())
        mark = _mark(tree)
        reason = _found(tree) if mark is None else mark
        if reason:
            reasons[path.relative_to(root).as_posix()] = reason
    return reasons


def _mark(tree: ast.Module) -> str | None:
    """The value of the module's `breaking`: empty if it is false, None if there is none."""
    for node in tree.body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        if MARKER in [target.id for target in targets if isinstance(target, ast.Name)]:
            value = node.value.value if isinstance(node.value, ast.Constant) else True
            return value if isinstance(value, str) else "no reason given" if value else ""
    return None


def _found(tree: ast.Module) -> str:
    """The operations that usually break a release; empty if there is none."""
    risks = dict.fromkeys(risk for call in _calls(tree) for risk in _risks(call))
    return ", ".join([*risks, NOT_MARKED]) if risks else ""


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    """All calls below `node` that are applied to the database."""
    if isinstance(node, ast.FunctionDef) and node.name == "downgrade":
        return
    if isinstance(node, ast.keyword) and node.arg in NOT_APPLIED:
        return
    if isinstance(node, ast.Call):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _calls(child)


def _risks(call: ast.Call) -> Iterator[str]:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    options = {keyword.arg: keyword.value for keyword in call.keywords}
    names = ".".join(value for value in map(_string, [*call.args, *options.values()]) if value is not None)
    if name in ALEMBIC or name in DJANGO:
        yield f"{(ALEMBIC | DJANGO)[name]} {names}"
    elif name == "alter_column" and "new_column_name" in options:
        yield f"renames the column {names}"
    elif name == "alter_column" and _is_false(options.get("nullable")) and not options.keys() & {"server_default"}:
        yield f"requires the column {names}"
    elif name == "add_column":
        for column in call.args:
            if isinstance(column, ast.Call) and _is_required_column(column):
                title = _string(column.args[0]) if column.args else ""
                yield f"adds the required column {title} without server_default"
    elif name == "AddField" and _is_required_field(options.get("field")):
        yield f"adds the required field {names} without db_default"
    elif name in ("execute", "exec_driver_sql", "text", "RunSQL"):
        yield from _sql_risks(_string(call.args[0] if call.args else options.get("sql")) or "")


def _is_required_column(column: ast.Call) -> bool:
    options = {keyword.arg: keyword.value for keyword in column.keywords}
    return _is_false(options.get("nullable")) and "server_default" not in options


def _is_required_field(field: ast.AST | None) -> bool:
    if not isinstance(field, ast.Call) or getattr(field.func, "attr", "") == "ManyToManyField":
        return False
    options = {keyword.arg: keyword.value for keyword in field.keywords}
    is_nullable = isinstance(options.get("null"), ast.Constant) and options["null"].value is True
    # Django removes `default` from the table as soon as the existing rows have it.
    return not is_nullable and "db_default" not in options


def _sql_risks(sql: str) -> Iterator[str]:
    for statement in sql.split(";"):
        for pattern, risk in SQL_RISKS.items():
            if pattern.search(statement):
                yield f"{risk} ({' '.join(statement.split())})"
                break


def _string(node: ast.AST | None) -> str | None:
    """The text of a string, None for anything else. Values in f-strings become `…`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_string(part) or "…" for part in node.values)
    return None


def _is_false(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


if __name__ == "__main__":
    print(json.dumps(breaking(Path.cwd())))
