"""Whether the migrations of this release have run. Read from their files: a server does not import Alembic."""

import re
from functools import cache
from pathlib import Path

VERSIONS = Path(__file__).parents[1] / "migrations" / "versions"
_DOWN_REVISION = re.compile(r"^down_revision\b[^=\n]*=(.*)$", re.MULTILINE)
_ID = re.compile(r"[\"']([^\"']+)[\"']")


def is_outdated(version: str) -> bool:
    """Return whether the schema `version` is older than this release.

    An unknown version is not: the release was rolled back, and the next one has migrated the database already.
    """
    return version in _followed_revisions()


@cache
def _followed_revisions() -> set[str]:
    """Return the ids of all migrations that another one follows."""
    sources = [path.read_text() for path in VERSIONS.glob("*.py")]
    return {found for source in sources for ids in _DOWN_REVISION.findall(source) for found in _ID.findall(ids)}
