"""deploy/breaking_migrations.py: the migrations that the previous release does not survive."""

import pytest

from deploy import breaking_migrations
from deploy.settings import ROOT


def reason_of(tmp_path, text: str) -> str:
    """Return the reason for a migration with this source, empty if there is none."""
    folder = tmp_path / "app" / "migrations" / "versions"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "one.py").write_text(text)
    return breaking_migrations.breaking(tmp_path).get("app/migrations/versions/one.py", "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('breaking = "drops post.title"\n', "drops post.title"),
        ('breaking: str = "drops post.title"\n', "drops post.title"),
        ("breaking = True\n", "no reason given"),
        ("breaking = False\n", ""),
        ('breaking = ""\n', ""),
        ("breaking = None\n", ""),
        ("# breaking\n", ""),
        ("def upgrade():\n    breaking = 'not here'\n", ""),
        ("revision = 'a'\n", ""),
    ],
)
def test_marker(tmp_path, text, reason):
    """Only the module's own `breaking` counts, and its text is the reason."""
    assert reason_of(tmp_path, text) == reason


def test_only_migrations_are_read(tmp_path):
    """Files outside of folders named `migrations` are ignored."""
    (tmp_path / "views.py").write_text('breaking = "news"\n')
    assert breaking_migrations.breaking(tmp_path) == {}


BREAKING = {
    'op.drop_table("tag")': "drops the table tag",
    'op.drop_column("post", "title")': "drops the column post.title",
    'op.drop_column(table_name="post", column_name="title")': "drops the column post.title",
    'with op.batch_alter_table("post") as post: post.drop_column("title")': "drops the column title",
    'op.rename_table("post", "note")': "renames the table post.note",
    'op.alter_column("post", "title", new_column_name="name")': "renames the column post.title.name",
    'op.alter_column("post", "title", nullable=False)': "requires the column post.title",
    'op.add_column("post", sa.Column("lang", sa.Text(), nullable=False))': "adds the required column lang",
    'with op.batch_alter_table("post") as p: p.add_column(sa.Column("lang", sa.Text(), nullable=False))': "column lang",
    'op.execute("ALTER TABLE post DROP COLUMN title")': "drops a column",
    'op.execute("alter table post\\n drop title")': "drops a column",
    'op.execute(sa.text("DROP TABLE IF EXISTS tag"))': "drops a table",
    'op.execute(f"ALTER TABLE {name} RENAME TO note")': "renames a table or a column",
    'op.execute("SELECT 1; ALTER TABLE post ALTER title SET NOT NULL")': "requires a column",
    'op.execute("ALTER TABLE post ADD lang text NOT NULL")': "adds a required column",
    'op.get_bind().exec_driver_sql("DROP TABLE tag")': "drops a table",
}
SAFE = [
    'op.create_table("tag", sa.Column("name", sa.Text(), nullable=False))',
    'op.add_column("post", sa.Column("lang", sa.Text(), nullable=True))',
    'op.add_column("post", sa.Column("lang", sa.Text()))',
    'op.add_column("post", sa.Column("lang", sa.Text(), nullable=False, server_default="en"))',
    'op.alter_column("post", "title", nullable=True)',
    'op.alter_column("post", "title", nullable=False, server_default="")',
    'op.drop_index("ix_post_title")',
    'op.drop_constraint("ck_post_title", "post")',
    'op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix")',
    'op.execute("ALTER INDEX ix RENAME TO iy")',
    'op.execute("ALTER TABLE post DROP CONSTRAINT ck")',
    'op.execute("ALTER TABLE post ALTER title DROP NOT NULL")',
    'op.execute("ALTER TABLE post ALTER title DROP DEFAULT")',
    "op.execute(\"ALTER TABLE post ADD lang text NOT NULL DEFAULT 'en'\")",
    'op.execute("ALTER TABLE post ADD CONSTRAINT ck CHECK (title IS NOT NULL) NOT VALID")',
    'op.execute("UPDATE post SET title = body WHERE title IS NOT NULL")',
]


@pytest.mark.parametrize(("operation", "reason"), BREAKING.items())
def test_unmarked_operation_that_breaks_a_release(tmp_path, operation, reason):
    """A migration that drops, renames or requires something is found, unless it is marked as safe."""
    text = f"def upgrade():\n    {operation}\n"
    assert reason in reason_of(tmp_path, text)
    assert "is not marked with `breaking" in reason_of(tmp_path, text)
    assert reason_of(tmp_path, f"breaking = False\n{text}") == ""
    assert reason_of(tmp_path, f"def downgrade():\n    {operation}\n") == ""


@pytest.mark.parametrize("operation", SAFE)
def test_operations_that_add_are_safe(tmp_path, operation):
    """What the previous release survives needs no mark."""
    assert reason_of(tmp_path, f"def upgrade():\n    {operation}\n") == ""


DJANGO_BREAKING = {
    'migrations.RemoveField(model_name="post", name="title")': "removes the field post.title",
    'migrations.DeleteModel(name="Tag")': "deletes the model Tag",
    'migrations.RenameField("post", "title", "name")': "renames the field post.title.name",
    'migrations.RenameModel("Tag", "Label")': "renames the model Tag.Label",
    'migrations.AddField("post", "lang", field=models.TextField(default="en"))': "adds the required field post.lang",
    'migrations.RunSQL("ALTER TABLE post DROP COLUMN title")': "drops a column",
    'migrations.RunSQL(sql="DROP TABLE tag", reverse_sql="")': "drops a table",
}
DJANGO_SAFE = [
    'migrations.AddField("post", "lang", field=models.TextField(null=True))',
    'migrations.AddField("post", "lang", field=models.TextField(db_default="en"))',
    'migrations.AddField("post", "tags", field=models.ManyToManyField(to="blog.Tag"))',
    'migrations.CreateModel("Tag", fields=[("name", models.TextField())])',
    'migrations.RunSQL("CREATE TABLE tag (name text NOT NULL)", reverse_sql="DROP TABLE tag")',
    'migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("Tag")])',
]


@pytest.mark.parametrize(("operation", "reason"), DJANGO_BREAKING.items())
def test_django_operation_that_breaks_a_release(tmp_path, operation, reason):
    """Django's operations that remove, rename or require something are found too."""
    assert reason in reason_of(tmp_path, f"class Migration:\n    operations = [{operation}]\n")


@pytest.mark.parametrize("operation", DJANGO_SAFE)
def test_django_operations_that_add_are_safe(tmp_path, operation):
    """Django's operations that add something optional need no mark."""
    assert reason_of(tmp_path, f"class Migration:\n    operations = [{operation}]\n") == ""


def test_migrations_of_the_sample_app():
    """The sample app's migrations only add, except 0002, which says so."""
    found = breaking_migrations.breaking(ROOT / "app")
    assert list(found) == ["migrations/versions/0002_accounts.py"]
    assert found["migrations/versions/0002_accounts.py"].startswith("requires an author")
