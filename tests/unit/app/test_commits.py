"""Commits and responses: a committed write is never answered with an error, and a failed one never with a success."""

import sqlite3
import threading
import time
from contextlib import closing

import argon2.low_level
import psycopg
import pytest
from flask_migrate import upgrade
from sqlalchemy import event, select, text
from sqlalchemy.exc import OperationalError

from app.account.models import User
from app.admin.actions import POST_ACTIONS, USER_ACTIONS
from app.blog.models import Post
from app.database import SQLITE_PRAGMAS, db, write_transaction
from tests.unit.app.helpers import PASSWORD, csrf_token, only_postgresql, only_sqlite, submit

NEW = {"username": "new", "email": "new@example.com", "password": PASSWORD, "password_confirm": PASSWORD}
CHANGE = {"password": PASSWORD, "new_password": "a new horse", "new_password_confirm": "a new horse"}
RESET = {"password": "a new horse", "password_confirm": "a new horse"}

# Forms that write: the user, the URL (with the page of the form if that is another one) and the fields.
FORMS = [
    ("anonymous", "/register", None, NEW),
    ("anonymous", "/login", None, {"email": "boss@example.com", "password": PASSWORD}),
    ("anonymous", "/login", None, {"email": "boss@example.com", "password": "wrong"}),
    ("anonymous", "reset", None, RESET),
    ("ann", "/change", None, CHANGE),
    ("ann", "/account/deactivate", None, {"password": PASSWORD}),
    ("ann", "/account/tokens", None, {"name": "laptop"}),
    ("ann", "/account/tokens/1/revoke", "/account/tokens", {}),
    ("ann", "/", None, {"body": "new"}),
    ("ann", "/posts/3/edit", None, {"body": "changed"}),
    ("ann", "/posts/3/delete", None, {}),
    ("ann", "/users/author/follow", "/users/author", {}),
    ("ann", "/users/author/unfollow", "/users/author", {}),
    *(("boss", f"/admin/users/1/{action}", "/admin/users/1", {}) for action in USER_ACTIONS),
    *(("boss", f"/admin/posts/1/{action}", "/admin/posts/1", {}) for action in POST_ACTIONS),
]
CALLS = [
    ("POST", "/posts", {"body": "new"}),
    ("PUT", "/posts/3", {"body": "changed"}),
    ("DELETE", "/posts/3", None),
    ("PUT", "/users/author/follow", None),
    ("DELETE", "/users/author/follow", None),
    ("POST", "/tokens", {"name": "laptop"}),
    ("DELETE", "/tokens/1", None),
]


@pytest.fixture
def site(app, add_posts, log_in_as):
    """Return clients by name, on a site where `ann` has the post 3, follows nobody and has the token 1."""
    app.config.update(RATE_LIMITS=True, PROPAGATE_EXCEPTIONS=False)
    add_posts(2)
    clients = {"ann": log_in_as("ann"), "boss": log_in_as("boss", admin=True), "anonymous": app.test_client()}
    submit(clients["ann"], "/", body="a post")
    submit(clients["ann"], "/account/tokens", name="tests")
    return clients


@pytest.fixture
def fails_after_commit(app):
    """Make all statements fail after the first commit of a write. Return the committed statements."""
    written, committed = [], []

    def execute(connection, cursor, statement, parameters, context, executemany):
        if committed:
            raise OperationalError(statement, {}, sqlite3.OperationalError("disk I/O error"))
        if statement.startswith(("INSERT", "UPDATE", "DELETE")) and "rate_limit" not in statement:
            written.append(statement)

    def commit(connection):
        committed.extend(written)

    with app.app_context():
        engine = db.engine
    listeners = (("before_cursor_execute", execute), ("commit", commit))

    def start():
        for name, listener in listeners:
            event.listen(engine, name, listener)
        return committed

    yield start
    for name, listener in listeners:
        if event.contains(engine, name, listener):
            event.remove(engine, name, listener)


@pytest.mark.parametrize(("name", "url", "page", "fields"), FORMS, ids=[f"{form[0]} {form[1]}" for form in FORMS])
def test_committed_form_is_not_an_error(app, site, mails, fails_after_commit, name, url, page, fields):
    """After a form has been committed, its response does not need the database any more."""
    if url == "reset":
        submit(site[name], "/reset", email="ann@example.com")
        url = mails()[-1].get_content().split("http://localhost")[1].split()[0]
    if url.endswith("unfollow"):
        submit(site[name], "/users/author/follow", "/users/author")
    form = {"csrf_token": csrf_token(site[name], page or url)} | fields
    committed = fails_after_commit()
    response = site[name].post(url, data=form)
    assert committed
    assert response.status_code < 400


@pytest.mark.parametrize(("method", "path", "json"), CALLS, ids=[f"{call[0]} {call[1]}" for call in CALLS])
@pytest.mark.parametrize("authorization", ["password", "session"])
def test_committed_call_is_not_an_error(site, fails_after_commit, method, path, json, authorization):
    """After a request to the API has been committed, its response does not need the database any more."""
    site["ann"].put("/api/v1/users/author/follow", headers={"X-CSRFToken": csrf_token(site["ann"], "/")})
    if authorization == "session":
        options = {"headers": {"X-CSRFToken": csrf_token(site["ann"], "/")}}
    else:
        options = {"auth": ("ann", PASSWORD)}
    committed = fails_after_commit()
    response = site["ann"].open(f"/api/v1{path}", method=method, json=json, **options)
    assert committed or method == "PUT" and "follow" in path  # idempotent: nothing is written
    assert response.status_code < 400


@pytest.fixture
def confirmation(app, client, monkeypatch):
    """Register the user `new`, and return the path of the link that confirms the address."""
    sent = []
    monkeypatch.setattr("app.mail.send", lambda url, message: sent.append(message.get_content()))
    app.config.update(SMTP_URL="smtp://mail", PROPAGATE_EXCEPTIONS=False)
    submit(client, "/register", **NEW)
    return sent[0].split("http://localhost")[1].split()[0]


def test_committed_confirmation_is_not_an_error(client, confirmation, fails_after_commit):
    """The form of a confirmation mail is answered without the database, once the confirmation has been committed."""
    form = {"csrf_token": csrf_token(client, confirmation), "password": PASSWORD}
    committed = fails_after_commit()
    assert client.post(confirmation, data=form).status_code == 303
    assert committed


@only_sqlite
def test_commit_after_the_view_that_fails_is_503(app, client, monkeypatch):
    """A registration whose commit fails gets the 503 page, and neither an account nor a changed session cookie."""
    app.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setattr("app.database.SQLITE_PRAGMAS", [*SQLITE_PRAGMAS, "PRAGMA busy_timeout = 50"])
    with app.app_context():
        db.engine.dispose()  # new connections get the shorter timeout
        file = db.engine.url.database
    form = {"csrf_token": csrf_token(client, "/register")} | NEW
    real = argon2.low_level.hash_secret
    with closing(sqlite3.connect(file, isolation_level=None)) as other:

        def hash_secret(*arguments, **named):
            other.execute("BEGIN IMMEDIATE")
            return real(*arguments, **named)

        monkeypatch.setattr(argon2.low_level, "hash_secret", hash_secret)
        response = client.post("/register", data=form)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "Set-Cookie" not in response.headers
    with app.app_context():
        assert User.by_username("new") is None


# --- Passwords are hashed without a lock ------------------------------------------------------------------------------


@pytest.fixture
def hashing(app, monkeypatch):
    """Return what another connection could do while passwords were hashed: `wrote`, or the name of SQLite's error."""
    results = []
    with app.app_context():
        file = db.engine.url.database

    def probe(name):
        real = getattr(argon2.low_level, name)

        def wrapper(*arguments, **named):
            with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as other:
                try:
                    other.execute("UPDATE account SET login_count = 7 WHERE username = 'author'")
                    results.append("wrote")
                except sqlite3.OperationalError as error:
                    results.append(error.sqlite_errorname)
            return real(*arguments, **named)

        monkeypatch.setattr(argon2.low_level, name, wrapper)

    probe("hash_secret")
    probe("verify_secret")
    return results


PASSWORD_FORMS = [
    ("anonymous", "/register", NEW, 302),
    ("anonymous", "/register", NEW | {"email": "ann@example.com"}, 302),
    ("anonymous", "/login", {"email": "ann@example.com", "password": PASSWORD}, 302),
    ("anonymous", "/login", {"email": "ann@example.com", "password": "wrong"}, 200),
    ("anonymous", "/login", {"email": "nobody@example.com", "password": "wrong"}, 200),
    ("anonymous", "/reset", {"email": "ann@example.com"}, 200),
    ("anonymous", "/reset", {"email": "nobody@example.com"}, 200),
    ("anonymous", "reset", RESET, 302),
    ("ann", "/change", CHANGE, 302),
    ("ann", "/change", CHANGE | {"password": "wrong"}, 200),
    ("ann", "/account/deactivate", {"password": PASSWORD}, 303),
    ("ann", "/account/deactivate", {"password": "wrong"}, 422),
]


@only_sqlite
@pytest.mark.parametrize(("name", "url", "fields", "status"), PASSWORD_FORMS)
def test_passwords_are_hashed_without_the_write_lock(site, mails, hashing, name, url, fields, status):
    """While a form's password is hashed or verified, other requests can write."""
    if url == "reset":
        submit(site[name], "/reset", email="ann@example.com")
        url = mails()[-1].get_content().split("http://localhost")[1].split()[0]
    form = {"csrf_token": csrf_token(site[name], url)} | fields
    hashing.clear()
    assert site[name].post(url, data=form).status_code == status
    assert set(hashing) == {"wrote"}


@only_sqlite
@pytest.mark.parametrize(("name", "password", "status"), [("ann", PASSWORD, 201), ("ann", "x", 401), ("x", "x", 401)])
def test_basic_passwords_are_verified_without_the_write_lock(app, site, hashing, name, password, status):
    """While the password of an API request is verified, other requests can write."""
    response = app.test_client().post("/api/v1/posts", json={"body": "new"}, auth=(name, password))
    assert response.status_code == status
    assert set(hashing) == {"wrote"}


@pytest.mark.parametrize("form", ["/change", "reset"])
def test_concurrent_password_changes_have_one_winner(app, site, mails, monkeypatch, form):
    """A password that is changed while another change is hashed stays as it is: the other change gets 409."""
    client, fields = site["ann"], CHANGE
    if form == "reset":
        client, fields = site["anonymous"], RESET
        submit(client, "/reset", email="ann@example.com")
        form = mails()[-1].get_content().split("http://localhost")[1].split()[0]
    data = {"csrf_token": csrf_token(client, form)} | fields
    real = argon2.low_level.hash_secret

    def hash_secret(*arguments, **named):
        with db.engine.begin() as connection:
            connection.execute(text("UPDATE account SET password = 'changed' WHERE username = 'ann'"))
        return real(*arguments, **named)

    monkeypatch.setattr(argon2.low_level, "hash_secret", hash_secret)
    assert client.post(form, data=data).status_code == 409
    with app.app_context():
        assert User.by_username("ann").password == "changed"


def test_concurrent_registrations_have_one_winner(app, client, monkeypatch):
    """Of two registrations with the same username at the same time, one creates the account. The other is not a 500."""
    app.config["PROPAGATE_EXCEPTIONS"] = False
    data = {"csrf_token": csrf_token(client, "/register")} | NEW
    real = argon2.low_level.hash_secret

    def hash_secret(*arguments, **named):
        monkeypatch.setattr(argon2.low_level, "hash_secret", real)
        submit(app.test_client(), "/register", **NEW)
        return real(*arguments, **named)

    monkeypatch.setattr(argon2.low_level, "hash_secret", hash_secret)
    assert client.post("/register", data=data).status_code < 500
    with app.app_context():
        assert db.session.query(User).count() == 1


def test_writes_succeed_during_registrations(app, publish, monkeypatch):
    """While 16 users register at once on a slow machine, no request that writes is answered 503."""
    app.config.update(PROPAGATE_EXCEPTIONS=False, RATE_LIMITS=False)
    real = argon2.low_level.hash_secret

    def hash_slowly(*arguments, **named):
        time.sleep(0.3)
        return real(*arguments, **named)

    monkeypatch.setattr(argon2.low_level, "hash_secret", hash_slowly)
    statuses = []

    def register(number):
        user = {"username": f"user{number}", "email": f"user{number}@example.com"}
        statuses.append(submit(app.test_client(), "/register", **NEW | user).status_code)

    threads = [threading.Thread(target=register, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    written = [publish("new").status_code for _ in range(10)]
    for thread in threads:
        thread.join()
    assert statuses == [302] * 16
    assert written == [303] * 10


# --- Transactions outside of requests ---------------------------------------------------------------------------------


@only_sqlite
def test_transaction_outside_of_a_request_does_not_block_writes(app, publish):
    """A shell, a command or a thread that has only read does not hold SQLite's write lock while it waits."""
    with app.app_context(), db.engine.connect() as shell:
        shell.execute(text("SELECT count(*) FROM post"))
        assert publish("new").status_code == 303


def test_prompt_of_a_command_keeps_no_transaction_open(app, publish, monkeypatch):
    """While `flask admin` asks for the password, it has no open transaction, and users can write."""

    def prompt(*arguments, **options):
        assert not db.session.registry().in_transaction()
        with app.test_request_context():
            assert publish("new").status_code == 303
        return PASSWORD

    monkeypatch.setattr("click.prompt", prompt)
    result = app.test_cli_runner().invoke(args=["admin", "boss@example.com"])
    assert result.exit_code == 0, result.output
    with app.app_context():
        assert User.by_username("boss").is_admin


def test_write_transaction_reads_and_writes(app, add_posts):
    """A write transaction outside of a request may read first: nothing else can write in between."""
    add_posts(1)
    with app.app_context(), write_transaction():
        assert db.session.scalar(select(Post.body)) == "post 1"
        if db.engine.dialect.name == "sqlite":
            with closing(sqlite3.connect(db.engine.url.database, timeout=0)) as other:
                with pytest.raises(sqlite3.OperationalError, match="locked"):
                    other.execute("UPDATE post SET body = 'x'")
        db.session.execute(text("UPDATE post SET body = 'changed'"))
    with app.app_context():
        assert db.session.scalar(select(Post.body)) == "changed"


def test_failed_write_transaction_is_rolled_back(app, add_posts):
    """An exception in a write transaction rolls it back."""
    add_posts(1)
    with app.app_context():
        with pytest.raises(ZeroDivisionError), write_transaction():
            db.session.execute(text("DELETE FROM post"))
            raise ZeroDivisionError
        assert db.session.scalar(select(Post.body)) == "post 1"


# --- Unavailable or not migrated --------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["TO renamed", "COLUMN body TO text"])
def test_wrong_schema_is_500_and_named_in_the_log(make_app, empty_database, caplog, change):
    """A forgotten migration is a 500 whose log message names the fix. It is not a database that is unavailable."""
    app = make_app(empty_database, PROPAGATE_EXCEPTIONS=False)
    with app.app_context():
        upgrade(revision="0003")
        with db.engine.begin() as connection:
            connection.execute(text(f"ALTER TABLE post RENAME {change}"))
    response = app.test_client().get("/")
    assert response.status_code == 500
    assert "Something went wrong" in response.text
    assert "fix:   python3 -m app.migrations" in caplog.text


@only_sqlite
def test_locked_database_is_503(app, publish, monkeypatch):
    """A write that cannot get SQLite's write lock in time is answered 503."""
    monkeypatch.setattr("app.database.SQLITE_PRAGMAS", [*SQLITE_PRAGMAS, "PRAGMA busy_timeout = 50"])
    with app.app_context():
        db.engine.dispose()
        file = db.engine.url.database
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert publish("new").status_code == 503


@only_postgresql
def test_lock_timeout_is_503(app, publish):
    """On PostgreSQL, a write that waits too long for a lock is answered 503."""
    with app.app_context():
        url = db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE post IN EXCLUSIVE MODE")
        assert publish("new").status_code == 503
