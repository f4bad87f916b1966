"""Which migrations of the app say of themselves that the release before them can't run on what they leave.

    python3 -m deploy.breaking_migrations        prints {path: reason} as JSON

While a release is handed over, and whenever it is taken back, the release before it works on the migrated database.
A migration that this one would not survive (it drops or renames what that reads) names the reason on a line of its own:

    breaking = "drops the column post.title, which release 12 still reads"

A file counts as a migration when a folder above it is called migrations, as the usual tools have it.
"""

import ast
import json
from pathlib import Path

MARK = "breaking"


def breaking(root: Path) -> dict[str, str]:
    """Path below `root` → the reason that stands there, of every migration that is marked."""
    found = {}
    for path in sorted(root.rglob("migrations/**/*.py")):
        reason = _reason(path.read_text())
        if reason:
            found[path.relative_to(root).as_posix()] = reason
    return found


def _reason(text: str) -> str:
    """The value of the module's `breaking`; empty when there is none, or a false one."""
    for node in ast.parse(text).body:
        names = [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]
        if MARK in names and isinstance(node.value, ast.Constant) and node.value.value:
            return node.value.value if isinstance(node.value.value, str) else "it gives no reason"
    return ""


if __name__ == "__main__":
    print(json.dumps(breaking(Path.cwd())))
