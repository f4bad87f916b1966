"""Security events: log lines, rows that users and admins can see, and mails. And equal work for missing accounts."""

import logging
from datetime import timedelta

import pytest
from flask import template_rendered
from sqlalchemy import event, select

from app.account.security_events import RETENTION, SecurityEvent
from app.database import db
from app.extensions import security
from tests.unit.app.helpers import PASSWORD, csrf_token, log_in, submit

ANN = "ann@example.com"


@pytest.fixture
def events(app):
    """Return a function that returns the recorded events with their users, oldest first."""

    def read() -> list[tuple[str, str | None]]:
        with app.app_context():
            rows = db.session.scalars(select(SecurityEvent).order_by(SecurityEvent.id))
            return [(row.event, row.user and row.user.username) for row in rows]

    return read


def test_events_of_an_account(app, log_in_as, events):
    """Logins, failed logins, logouts, and changes of the password and of tokens are recorded for the user."""
    ann = log_in_as("ann")
    submit(ann, "/account/tokens", name="x")
    submit(ann, "/account/tokens/1/revoke", "/account/tokens")
    fields = {"new_password": "a new horse", "new_password_confirm": "a new horse"}
    submit(ann, "/change", password=PASSWORD, revoke_tokens="y", **fields)
    submit(ann, "/logout", "/account")
    log_in(ann, ANN, "wrong")
    names = "login token_created token_revoked password_changed tokens_revoked logout login_failed".split()
    assert events() == [(name, "ann") for name in names]


def test_failed_login_without_an_account(client, events):
    """A failed login with an unknown address is recorded without a user."""
    log_in(client, "nobody@example.com")
    client.get("/api/v1/me", auth=("nobody", "x"))
    assert events() == [("login_failed", None)] * 2


def test_log_lines(app, add_user, caplog):
    """An event is a line of the logger app.security with its name, user and address, for fail2ban and the like."""
    add_user("ann")
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    with caplog.at_level(logging.INFO, "app.security"):
        log_in(client, ANN, "wrong")
        log_in(client, "nobody@example.com")
        log_in(client, ANN)
    records = [record for record in caplog.records if record.name == "app.security"]
    assert [(record.levelname, record.getMessage()) for record in records] == [
        ("WARNING", "event=login_failed user=ann address=192.0.2.7"),
        ("WARNING", "event=login_failed address=192.0.2.7"),
        ("INFO", "event=login user=ann address=192.0.2.7"),
    ]
    assert (records[0].event, records[0].user, records[0].address) == ("login_failed", "ann", "192.0.2.7")


def test_addresses_of_proxies_do_not_get_into_the_log(app, add_user, caplog):
    """Text that is no IP address, which a proxy can send, does not get into the log."""
    add_user("ann")
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = "\x1b[2J event=login"
    with caplog.at_level(logging.INFO, "app.security"):
        log_in(client, ANN, "wrong")
    assert [r.getMessage() for r in caplog.records if r.name == "app.security"] == ["event=login_failed user=ann"]


def test_lock_is_recorded_and_mailed(app, add_user, events, mails, monkeypatch):
    """When wrong passwords lock an account, its owner gets a mail. Further ones, while it is locked, send none."""
    monkeypatch.setattr("app.account.models.MAX_FAILED_LOGINS", 2)
    add_user("ann")
    client = app.test_client()
    for _ in range(6):
        log_in(client, ANN, "wrong")
    assert events().count(("account_locked", "ann")) == 1
    (mail,) = mails()
    assert mail["To"] == ANN
    assert "locked" in mail["Subject"]
    assert "http://localhost/reset" in mail.get_content()


def test_new_token_is_mailed(log_in_as, mails):
    """When a token is created, the user gets a mail with its name."""
    submit(log_in_as("ann"), "/account/tokens", name="backup")
    (mail,) = mails()
    assert (mail["To"], "(backup)" in mail.get_content()) == (ANN, True)


def test_admin_actions_are_recorded_and_mailed(log_in_as, events, mails):
    """What an admin does to an account is recorded for its user with the admin's name, and mailed."""
    log_in_as("ann")
    boss = log_in_as("boss", admin=True)
    for action in ("make-admin", "remove-admin", "end-sessions", "deactivate", "activate"):
        submit(boss, f"/admin/users/1/{action}", "/admin/users/1")
    names = "admin_granted admin_revoked sessions_ended account_closed account_reopened".split()
    assert events()[-5:] == [(name, "ann") for name in names]
    assert [mail["To"] for mail in mails()] == [ANN] * 4
    assert "by boss" in boss.get("/admin/events").text


def test_command_is_recorded(app, add_user, events):
    """A role that is granted on the command line is recorded too."""
    add_user("ann")
    assert app.test_cli_runner().invoke(args=["admin", ANN]).exit_code == 0
    assert events() == [("admin_granted", "ann")]


def test_users_see_only_their_events(log_in_as):
    """The page of a user shows their own events, the page of an admin those of all users."""
    log_in_as("ann")
    bob, boss = log_in_as("bob"), log_in_as("boss", admin=True)
    assert bob.get("/account/sessions").text.count(">Login<") == 1
    assert boss.get("/admin/events").text.count(">Login<") == 3


def test_old_events_are_deleted(app, add_user, client, events):
    """Events are deleted after 90 days, at the next login."""
    add_user("ann")
    log_in(client, "nobody@example.com")
    with app.app_context():
        db.session.query(SecurityEvent).one().created_at -= RETENTION + timedelta(minutes=1)
        db.session.commit()
    log_in(client, ANN)
    assert events() == [("login", "ann")]


# --- equal work -------------------------------------------------------------------------------------------------------


@pytest.fixture
def work(app, monkeypatch):
    """Return a list of the SQL statements (their first words), commits and password hashes."""
    found = []
    for name in ("hash", "verify"):
        real = getattr(security.pwd_context, name)
        monkeypatch.setattr(
            security.pwd_context, name, lambda *a, real=real, **k: found.append("HASH") or real(*a, **k)
        )

    def on_statement(connection, cursor, statement, *arguments):
        found.append(" ".join(statement.split()[:3]))

    def on_commit(connection):
        found.append("COMMIT")

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", on_statement)
    event.listen(engine, "commit", on_commit)
    yield found
    event.remove(engine, "before_cursor_execute", on_statement)
    event.remove(engine, "commit", on_commit)


def test_failed_logins_take_the_same_work(app, add_user, work):
    """A failed login runs the same SQL statements and commits whether the account exists or not.

    With the correct password of a closed or unconfirmed account, the user is loaded once more; the writes are the same.
    """
    add_user("ann")
    add_user("gone", active=False)
    add_user("closed", active=False)
    add_user("new", confirmed_at=None)
    found = {}
    for number, (name, password) in enumerate(
        (("ann", "wrong"), ("gone", "wrong"), ("nobody", PASSWORD), ("closed", PASSWORD), ("new", PASSWORD))
    ):
        client = app.test_client()
        client.environ_base["REMOTE_ADDR"] = f"192.0.2.{number}"
        token = csrf_token(client, "/login")
        work.clear()
        client.post("/login", data={"csrf_token": token, "email": f"{name}@example.com", "password": password})
        found[name] = list(work)
    assert found["nobody"] == found["ann"] == found["gone"]
    writes = {
        name: [item for item in items if item.split()[0] not in ("SELECT", "BEGIN")] for name, items in found.items()
    }
    assert writes["nobody"] == writes["closed"] == writes["new"]
    assert "INSERT INTO security_event" in writes["nobody"]


def test_failed_basic_logins_take_the_same_work(app, add_api_user, work):
    """HTTP Basic runs the same SQL statements and commits, too."""
    add_api_user("ann")
    found = {}
    for number, name in enumerate(("ann", "nobody")):
        work.clear()
        options = {"environ_base": {"REMOTE_ADDR": f"192.0.2.{number}"}}
        assert app.test_client().get("/api/v1/me", auth=(name, "wrong"), **options).status_code == 401
        found[name] = tuple(work)
    assert found["ann"] == found["nobody"]


@pytest.mark.parametrize(("path", "columns"), [("/reset", {}), ("/confirm", {"confirmed_at": None})])
def test_mails_take_the_same_work(app, add_user, work, mails, path, columns):
    """A form that sends mail runs the same statements and renders the same templates for an unknown address."""
    add_user("ann", **columns)
    found, rendered = {}, []

    def on_render(sender, template, **details):
        rendered.append(template.name)

    template_rendered.connect(on_render, app)
    for number, name in enumerate(("ann", "nobody")):
        client = app.test_client()
        client.environ_base["REMOTE_ADDR"] = f"192.0.2.{number}"
        token = csrf_token(client, path)
        work.clear()
        rendered.clear()
        client.post(path, data={"csrf_token": token, "email": f"{name}@example.com"})
        found[name] = (list(work), list(rendered))
    assert found["ann"] == found["nobody"]
    assert len(rendered) == 2
    assert [mail["To"] for mail in mails()] == [ANN]
