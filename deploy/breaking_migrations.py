"""Find the app's migrations that are marked as breaking: the previous release cannot run on the schema they leave.

    python3 -m deploy.breaking_migrations        prints {path: reason} as JSON

During a rollout and after a rollback the previous release works on the migrated database. A migration that drops or
renames something that the previous release reads therefore states the reason on a line of its own:

    breaking = "drops the column post.title, which release 12 still reads"

Python files below a folder named `migrations` count as migrations, as in the usual tools.
"""

import ast
import json
from pathlib import Path

MARKER = "breaking"


def breaking(root: Path) -> dict[str, str]:
    """The reasons of all marked migrations, by their path relative to `root`."""
    reasons = {}
    for path in sorted(root.rglob("migrations/**/*.py")):
        reason = _reason(path.read_text())
        if reason:
            reasons[path.relative_to(root).as_posix()] = reason
    return reasons


def _reason(source: str) -> str:
    """The value of the module's `breaking`; empty if there is none or if it is false."""
    for node in ast.parse(source).body:
        names = [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]
        if MARKER in names and isinstance(node.value, ast.Constant) and node.value.value:
            return node.value.value if isinstance(node.value.value, str) else "no reason given"
    return ""


if __name__ == "__main__":
    print(json.dumps(breaking(Path.cwd())))
