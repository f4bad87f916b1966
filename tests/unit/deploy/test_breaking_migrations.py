"""deploy/breaking_migrations.py: which migrations say that they break the release before them."""

import pytest

from deploy import breaking_migrations


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('breaking = "drops post.title"\n', "drops post.title"),
        ("breaking = True\n", "no reason given"),
        ("breaking = False\n", ""),
        ("# breaking\n", ""),
        ("def upgrade():\n    breaking = 'not here'\n", ""),
        ("revision = 'a'\n", ""),
    ],
)
def test_mark(tmp_path, text, reason):
    """The module's own `breaking` counts, with its text as the reason."""
    folder = tmp_path / "app" / "migrations" / "versions"
    folder.mkdir(parents=True)
    (folder / "one.py").write_text(text)
    assert breaking_migrations.breaking(tmp_path) == ({"app/migrations/versions/one.py": reason} if reason else {})


def test_only_migrations_are_read(tmp_path):
    """A file that is not below a folder called migrations is none, whatever it says."""
    (tmp_path / "views.py").write_text('breaking = "news"\n')
    assert breaking_migrations.breaking(tmp_path) == {}
