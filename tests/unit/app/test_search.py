"""Full-text search: what it finds, that it uses an index, and the migration that builds the index."""

import multiprocessing
import os
import signal
import threading

import pytest
from flask_migrate import downgrade, upgrade
from sqlalchemy import Engine, event, text

from app.blog.models import Post
from app.database import db
from tests.unit.app.helpers import bodies, only_postgresql, only_sqlite, submit

POSTS = [
    "Apples & pears: 100%",
    "pears_x",
    "pearsix",
    "see example.com/path, and/or ask",
    "it's “quoted” – or not",
    "Ägypten 東京",
]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("aPPles", [0]),
        ("pear", [2, 1, 0]),  # the beginning of a word
        ("ears", []),  # not the end
        ("pears apples", [0]),  # all words, in any order
        ("pears plum", []),
        ("x", [1]),
        ("pears_x", [1]),
        ("100%", [0]),
        ("example", [3]),
        ("path", [3]),
        ("or", [4, 3]),
        ("example.com/path", [3]),
        ("it's", [4]),
        ("'", []),
        ('"', []),
        ("%", []),
        ("–", []),
        ("or –", [4, 3]),
        ("Ägypten", [5]),
        ("東京", [5]),
        ("🙂", []),
        ("pears OR apples", []),  # no operators: OR is a word
        ("NOT pears", []),
        ("(pears", [2, 1, 0]),
        ('"pears', [2, 1, 0]),
        ("pears*:", [2, 1, 0]),
        ("pears & | ! <-> \\", [2, 1, 0]),
        ("words:pears", []),
        ("pears " * 500, [2, 1, 0]),
        ("x" * 3000, []),
    ],
)
def test_what_a_search_finds(app, client, publish, query, found):
    """A search finds posts with all words of the query, or words that begin with them. It has no operators."""
    app.config["RATE_LIMITS"] = False
    for body in POSTS:
        publish(body)
    with app.app_context():
        assert [post.body for post in Post.timeline(search=query).items] == [POSTS[number] for number in found]
    assert client.get("/search", query_string={"q": query}).status_code == 200


def test_search_follows_changes(client, publish, log_in_as):
    """Edited posts are found by their new text only, and deleted posts are not found."""
    writer = log_in_as("ann")
    submit(writer, "/", body="first text")
    submit(writer, "/posts/1/edit", body="second text")
    assert bodies(client.get("/search?q=first")) == []
    assert bodies(client.get("/search?q=second")) == ["second text"]
    submit(writer, "/posts/1/delete")
    assert bodies(client.get("/search?q=second")) == []
    submit(writer, "/", body="third text")
    assert bodies(client.get("/search?q=text")) == ["third text"]


def plan(app, query: str) -> str:
    """Return the database's plan of the statement of a search."""
    statements = []
    with app.app_context():
        listener = (db.engine, "before_cursor_execute", lambda *event: statements.append((event[2], event[3])))
        event.listen(*listener)
        Post.timeline(search=query)
        event.remove(*listener)
        statement, parameters = next(found for found in statements if "post_search" in found[0])
        explain = "EXPLAIN QUERY PLAN " if db.engine.dialect.name == "sqlite" else "EXPLAIN "
        with db.engine.connect() as connection:
            if db.engine.dialect.name == "postgresql":
                # It prefers to read a table as small as that of a test, by itself or by its primary key.
                connection.exec_driver_sql("SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off")
            return "\n".join(str(tuple(row)) for row in connection.exec_driver_sql(explain + statement, parameters))


@only_sqlite
def test_search_reads_an_index_on_sqlite(app, add_posts):
    """The index returns the matching posts in the order of the page: nothing is scanned or sorted."""
    add_posts(10)
    found = plan(app, "post")
    assert "VIRTUAL TABLE INDEX" in found
    assert "SCAN post " not in found and "TEMP B-TREE" not in found


@only_postgresql
def test_search_reads_an_index_on_postgresql(app, add_posts):
    """PostgreSQL can look up a word, and the beginning of a word, in the GIN index."""
    add_posts(1000)
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    assert "Bitmap Index Scan on post_search_words" in plan(app, "471")


@pytest.fixture
def old_app(make_app, empty_database):
    """Return an app on a database without the index, with 5,000 posts."""
    app = make_app(empty_database, PROPAGATE_EXCEPTIONS=False, RATE_LIMITS=False, WTF_CSRF_ENABLED=False)
    with app.app_context():
        upgrade(revision="0003")
        with db.engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO account (id, email, username, active, fs_uniquifier, created_at, failed_logins)"
                    " VALUES (1, 'ann@example.com', 'ann', true, 'ann', CURRENT_TIMESTAMP, 0)"
                )
            )
            connection.execute(
                text("INSERT INTO post (body, author_id, created_at) VALUES (:body, 1, CURRENT_TIMESTAMP)"),
                [{"body": f"post {number}"} for number in range(1, 5001)],
            )
    return app


def found(app, query: str) -> list[str]:
    with app.app_context():
        return [post.body for post in Post.timeline(search=query).items]


def test_migration_indexes_existing_posts(old_app):
    """Posts from before the index are found, and once each. A downgrade removes the index."""
    with old_app.app_context():
        upgrade(revision="0004")
        assert found(old_app, "4711") == ["post 4711"]
        assert db.session.scalar(text("SELECT count(*) FROM post_search")) == 5000
        db.session.remove()
        downgrade(revision="0003")
        upgrade(revision="0004")
    assert found(old_app, "post 1") == [f"post {number}" for number in range(1999, 1949, -1)]


def test_killed_migration_continues(old_app):
    """A migration that was killed after its first steps can run again."""
    steps = []

    def count(connection, cursor, statement, *details):
        if statement.strip().startswith("INSERT INTO post_search"):
            steps.append(statement)
            if len(steps) == 3:
                os.kill(os.getpid(), signal.SIGKILL)

    def migrate():
        event.listen(Engine, "before_cursor_execute", count)
        with old_app.app_context():
            upgrade(revision="0004")

    process = multiprocessing.get_context("fork").Process(target=migrate)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with old_app.app_context():
        assert 0 < db.session.scalar(text("SELECT count(*) FROM post_search")) < 5000
        db.session.execute(text("DELETE FROM post WHERE body = 'post 10'"))
        db.session.execute(text("UPDATE post SET body = 'changed' WHERE body IN ('post 20', 'post 4000')"))
        db.session.commit()
        upgrade(revision="0004")
        assert db.session.scalar(text("SELECT count(*) FROM post_search")) == 4999
    assert found(old_app, "changed") == ["changed", "changed"]
    assert found(old_app, "10") == [f"post {number}" for number in range(1099, 1049, -1)]


def test_writes_do_not_wait_for_the_migration(old_app):
    """While the migration indexes the posts, other transactions write. Their posts are found afterwards."""
    written, in_step = [], threading.local()

    def write_too(connection, cursor, statement, *details):
        if statement.strip().startswith("INSERT INTO post_search") and not getattr(in_step, "active", False):
            in_step.active = True
            with db.engine.begin() as other:
                body = {"body": f"meanwhile {len(written)}"}
                other.execute(
                    text("INSERT INTO post (body, author_id, created_at) VALUES (:body, 1, CURRENT_TIMESTAMP)"), body
                )
                other.execute(text("DELETE FROM post WHERE body = 'post 7'"))
            written.append(body)
            in_step.active = False

    event.listen(Engine, "before_cursor_execute", write_too)
    try:
        with old_app.app_context():
            upgrade(revision="0004")
    finally:
        event.remove(Engine, "before_cursor_execute", write_too)
    assert len(written) >= 5
    assert len(found(old_app, "meanwhile")) == len(written)
    with old_app.app_context():
        assert db.session.scalar(text("SELECT count(*) FROM post_search")) == 4999 + len(written)
