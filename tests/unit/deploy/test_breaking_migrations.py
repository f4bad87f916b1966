"""deploy/breaking_migrations.py: the migrations that are marked as breaking."""

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
def test_marker(tmp_path, text, reason):
    """Only the module's own `breaking` counts, and its text is the reason."""
    folder = tmp_path / "app" / "migrations" / "versions"
    folder.mkdir(parents=True)
    (folder / "one.py").write_text(text)
    assert breaking_migrations.breaking(tmp_path) == ({"app/migrations/versions/one.py": reason} if reason else {})


def test_only_migrations_are_read(tmp_path):
    """Files outside of folders named `migrations` are ignored."""
    (tmp_path / "views.py").write_text('breaking = "news"\n')
    assert breaking_migrations.breaking(tmp_path) == {}
