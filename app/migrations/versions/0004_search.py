"""full-text search

Search reads the table `post_search` instead of all posts. Triggers keep it up to date, whichever release writes.

No request waits for this migration: the posts are indexed in small steps that are committed one by one, and PostgreSQL
builds its index CONCURRENTLY. An interrupted migration continues where it stopped.
"""

import string

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

STEP = 1000  # posts that are indexed at a time; 50 ms
# PostgreSQL would otherwise treat example.com, and/or and a_b as single words. SQLite splits them by itself.
PUNCTUATION = string.punctuation.replace("'", "''").replace(":", r"\:")

SQLITE = (
    # The prefixes of one, two and three letters have an index of their own. Default: none, which scans all words.
    "CREATE VIRTUAL TABLE IF NOT EXISTS post_search"
    " USING fts5 (words, tokenize = 'unicode61 remove_diacritics 0', prefix = '1 2 3')",
    "CREATE TRIGGER IF NOT EXISTS post_search_insert AFTER INSERT ON post BEGIN"
    " INSERT INTO post_search (rowid, words) VALUES (new.id, new.body); END",
    "CREATE TRIGGER IF NOT EXISTS post_search_update AFTER UPDATE OF body ON post BEGIN"
    " DELETE FROM post_search WHERE rowid = old.id;"
    " INSERT INTO post_search (rowid, words) VALUES (new.id, new.body); END",
    "CREATE TRIGGER IF NOT EXISTS post_search_delete AFTER DELETE ON post BEGIN"
    " DELETE FROM post_search WHERE rowid = old.id; END",
)
SQLITE_STEP = """
    INSERT INTO post_search (rowid, words)
    SELECT id, body FROM post
    WHERE id BETWEEN :first AND :last AND id NOT IN (SELECT rowid FROM post_search WHERE rowid BETWEEN :first AND :last)
"""

POSTGRESQL = (
    "CREATE TABLE IF NOT EXISTS post_search (rowid integer PRIMARY KEY, words tsvector NOT NULL)",
    f"""
    CREATE OR REPLACE FUNCTION post_words(body text) RETURNS tsvector LANGUAGE sql IMMUTABLE AS $$
        SELECT to_tsvector('simple', translate(body, '{PUNCTUATION}', repeat(' ', {len(string.punctuation)})))
    $$
    """,
    """
    CREATE OR REPLACE FUNCTION post_search_update() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            DELETE FROM post_search WHERE rowid = old.id;
        ELSE
            INSERT INTO post_search (rowid, words) VALUES (new.id, post_words(new.body))
            ON CONFLICT (rowid) DO UPDATE SET words = excluded.words;
        END IF;
        RETURN NULL;
    END $$
    """,
    "CREATE OR REPLACE TRIGGER post_search_update AFTER INSERT OR DELETE OR UPDATE OF body ON post"
    " FOR EACH ROW EXECUTE FUNCTION post_search_update()",
)
# FOR KEY SHARE: a post that is being deleted is not indexed again.
POSTGRESQL_STEP = """
    INSERT INTO post_search (rowid, words)
    SELECT id, post_words(body) FROM post WHERE id BETWEEN :first AND :last FOR KEY SHARE
    ON CONFLICT (rowid) DO NOTHING
"""


def upgrade():
    connection = op.get_bind()
    is_postgresql = connection.dialect.name == "postgresql"
    for statement in POSTGRESQL if is_postgresql else SQLITE:
        op.execute(sa.text(statement))
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        step = sa.text(POSTGRESQL_STEP if is_postgresql else SQLITE_STEP)
        newest = connection.scalar(sa.text("SELECT max(id) FROM post")) or 0
        for first in range(1, newest + 1, STEP):
            connection.execute(step, {"first": first, "last": first + STEP - 1})
        if is_postgresql:
            # An interrupted run leaves an invalid index behind.
            op.execute("DROP INDEX CONCURRENTLY IF EXISTS post_search_words")
            op.execute("CREATE INDEX CONCURRENTLY post_search_words ON post_search USING gin (words)")
            op.execute("ANALYZE post_search")


def downgrade():
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER post_search_update ON post")
        op.execute("DROP FUNCTION post_search_update")
        op.execute("DROP TABLE post_search")
        op.execute("DROP FUNCTION post_words")
    else:
        for event in ("insert", "update", "delete"):
            op.execute(f"DROP TRIGGER post_search_{event}")
        op.execute("DROP TABLE post_search")
