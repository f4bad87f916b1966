"""Accounts: registration, login, logout, passwords and tokens, without user enumeration."""

import re
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from types import SimpleNamespace

import pytest
from flask import session
from flask_security import hash_password

from app import create_app
from app.account import auth
from app.account.models import LOCK_DURATION, MAX_FAILED_LOGINS, ApiToken, User
from app.database import db, utc_now
from app.extensions import security
from tests.unit.app.helpers import PASSWORD, bodies, csrf_token, log_in, messages, only_sqlite, submit

NEW = {"username": "ann", "email": "ann@example.com", "password": PASSWORD, "password_confirm": PASSWORD}
WRONG = ["The email address or the password is wrong."]


@pytest.fixture
def user(app):
    """Return a function that returns a user's columns as a dictionary, or None."""

    def read(name: str) -> dict:
        with app.app_context():
            found = User.by_username(name)
            return found and {column.name: getattr(found, column.name) for column in User.__table__.columns}

    return read


@pytest.fixture
def hashes(app, monkeypatch):
    """Return a list with one entry for each slow hash that is computed or verified: they dominate the response time.

    Flask-Security hashes passwords with one context, and the data in mailed links with another one.
    """
    found = []
    contexts = [security.pwd_context]
    if security.hashing_context.default_scheme() != "hex_sha256":  # the only fast one of Flask-Security's schemes
        contexts.append(security.hashing_context)
    for context in contexts:
        for name in ("hash", "verify"):
            real = getattr(context, name)
            monkeypatch.setattr(context, name, lambda *a, real=real, **k: found.append(a) or real(*a, **k))
    return found


def is_logged_in(client) -> bool:
    return client.get("/account").status_code == 200


def only_link(mails) -> str:
    """Return the path of the only link in the only mail."""
    (mail,) = mails()
    (path,) = re.findall(r"http://localhost(/(?:reset|confirm)/\S+)", mail.get_content())
    return path


@only_sqlite
@pytest.mark.parametrize("email", ["ann@example.com", "nobody@example.com"])
@pytest.mark.parametrize("password", [PASSWORD, "wrong"])
def test_login_does_not_hold_the_write_lock_while_hashing(client, add_user, database, monkeypatch, email, password):
    """A login does not hold SQLite's write lock while it hashes, whether the account exists or not."""
    add_user("ann")
    token, wrote, file = csrf_token(client, "/login"), [], database.removeprefix("sqlite:///")

    def write_first(name):
        real = getattr(security.pwd_context, name)

        def hashing(*arguments, **named):
            with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as other:
                wrote.append(other.execute("UPDATE account SET login_count = 7").rowcount)
            return real(*arguments, **named)

        monkeypatch.setattr(security.pwd_context, name, hashing)

    write_first("hash")
    write_first("verify")
    client.post("/login", data={"email": email, "password": password, "csrf_token": token})
    assert wrote == [1]
    assert is_logged_in(client) == (email == "ann@example.com" and password == PASSWORD)


# --- Registration -----------------------------------------------------------------------------------------------------


def test_passwords_are_hashed_with_the_recommended_cost():
    """Without the cheap parameters of the tests, passwords are hashed with OWASP's minimum: 19 MiB and two passes."""
    app = create_app({"SECRET_KEY": "only for tests", "SQLALCHEMY_DATABASE_URI": "sqlite://"})
    with app.app_context():
        assert hash_password(PASSWORD).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_registration_creates_an_account(client, user, mails):
    """A new user gets a welcome mail and can log in. The email is stored in lower case, the password as argon2id."""
    response = submit(client, "/register", **NEW | {"username": " Ann ", "email": "Ann@Example.COM"})
    assert (response.status_code, response.location) == (302, "/login")
    assert user("ann")["email"] == "ann@example.com"
    assert user("ann")["password"].startswith("$argon2id$")
    (mail,) = mails()
    assert (mail["To"], "http://localhost/login" in mail.get_content()) == ("ann@example.com", True)
    assert not is_logged_in(client)
    assert log_in(client, "ANN@example.com").location == "/"
    assert is_logged_in(client)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("username", "", "3 to 30"),
        ("username", "ab", "3 to 30"),
        ("username", "x" * 31, "3 to 30"),
        ("username", "a b", "3 to 30"),
        ("username", "é_é", "3 to 30"),
        ("username", "<b>x</b>", "3 to 30"),
        ("username", "taken", "is taken"),
        ("email", "", "Enter your email"),
        ("email", "ann", "not a valid email"),
        ("email", "a\0@example.com", "not a valid email"),
        ("password", "", "Enter a password"),
        ("password", "short", "at least 8"),
        ("password_confirm", "other", "do not match"),
    ],
)
def test_invalid_input_is_rejected_at_its_field(client, add_user, user, field, value, message):
    """Invalid input shows an error at its field and creates no account."""
    add_user("taken")
    page = submit(client, "/register", **NEW | {field: value})
    assert re.search(rf'id="{field}-error"[^>]*>[^<]*{message}', page.text), messages(page)
    assert user("ann") is None


def test_registration_does_not_reveal_accounts(app, client, add_user, mails, hashes):
    """The responses for a registered and a new address are identical and take one hash. Only the mails differ."""
    add_user("ann")
    answers = []
    for name, email in (("bob", "bob@example.com"), ("carl", "ann@example.com")):
        browser = app.test_client()
        token = csrf_token(browser, "/register")
        hashes.clear()
        form = NEW | {"username": name, "email": email, "csrf_token": token}
        response = browser.post("/register", data=form)
        answers.append((response.status_code, response.location, response.data, len(hashes)))
        answers[-1] += tuple(messages(browser.get("/login")))
        assert not is_logged_in(browser)
    assert answers[0] == answers[1]
    assert answers[0][3] == 1
    welcome, warning = mails()
    assert "Welcome" in welcome.get_content()
    assert "already has an account" in warning.get_content()


def test_with_smtp_an_address_must_be_confirmed(make_app, database, mails, monkeypatch, tmp_path):
    """If mail can be sent, a new user can only log in with the mailed link and the password. Altered links fail."""
    app = make_app(database, SMTP_URL="smtp://mail.example.com")
    sent = []
    monkeypatch.setattr("app.mail.send", lambda url, message: sent.append(message))
    client = app.test_client()
    submit(client, "/register", **NEW)
    assert messages(log_in(client, NEW["email"])) == WRONG
    (link,) = re.findall(r"http://localhost(/confirm/\S+)", sent[0].get_content())
    client.get(link[:-3] + "xyz")
    assert not log_in(client, NEW["email"]).location
    assert submit(client, link, password="wrong").status_code == 422
    assert messages(log_in(client, NEW["email"])) == WRONG
    assert submit(client, link, password=PASSWORD).location == "/"
    assert is_logged_in(client)
    assert client.get(link).location == "/login"


@pytest.fixture
def smtp(make_app, database, monkeypatch):
    """Return an app that confirms addresses, and a function that returns the links in the mails since its last call."""
    sent = []
    monkeypatch.setattr("app.mail.send", lambda url, message: sent.append(message.get_content()))

    def links() -> list[str]:
        found = [link for text in sent for link in re.findall(r"http://localhost(/(?:confirm|reset)/\S+)", text)]
        sent.clear()
        return found

    return make_app(database, SMTP_URL="smtp://mail.example.com"), links


def test_nobody_confirms_the_password_of_an_attacker(smtp):
    """The owner of a mailbox cannot be made to confirm an account whose password somebody else chose.

    An attacker registers with the owner's address. The links in all mails ask for the password. The reset gives the
    account to the owner, and the attacker's password and links end.
    """
    app, links = smtp
    attacker, owner = app.test_client(), app.test_client()
    submit(attacker, "/register", **NEW | {"username": "evil"})
    submit(owner, "/register", **NEW | {"password": "my own horse", "password_confirm": "my own horse"})
    submit(owner, "/confirm", email=NEW["email"])
    mailed = links()
    assert len(mailed) == 3
    for link in mailed:
        assert submit(owner, link, password="my own horse").status_code == 422
    assert log_in(attacker, NEW["email"]).location is None
    submit(owner, "/reset", email=NEW["email"])
    (reset,) = links()
    assert submit(owner, reset, password="my own horse", password_confirm="my own horse").location == "/login"
    for link in mailed:
        assert attacker.get(link).location == "/confirm"
    assert log_in(attacker, NEW["email"]).location is None
    assert log_in(owner, NEW["email"], "my own horse").location == "/"


def test_opening_a_confirmation_link_changes_nothing(smtp, user):
    """Mail scanners open links: a GET does not confirm the address."""
    app, links = smtp
    client = app.test_client()
    submit(client, "/register", **NEW)
    (link,) = links()
    assert client.get(link).status_code == 200
    assert user("ann")["confirmed_at"] is None


def test_guesses_with_a_confirmation_link_are_limited(smtp):
    """With a confirmation link, ten passwords a minute can be tried."""
    app, links = smtp
    client = app.test_client()
    submit(client, "/register", **NEW)
    (link,) = links()
    statuses = [submit(client, link, password="wrong").status_code for _ in range(11)]
    assert statuses == [422] * 10 + [429]


def test_resending_the_confirmation_does_not_reveal_accounts(make_app, database, monkeypatch):
    """The response is the same for an unconfirmed and an unknown address."""
    app = make_app(database, SMTP_URL="smtp://mail.example.com")
    sent = []
    monkeypatch.setattr("app.mail.send", lambda url, message: sent.append(message["To"]))
    client = app.test_client()
    submit(client, "/register", **NEW)
    sent.clear()
    for email in (NEW["email"], "nobody@example.com"):
        said = messages(submit(client, "/confirm", email=email))
        assert said == [f"If {email} needs to be confirmed, we have sent it a link."]
    assert sent == [NEW["email"]]


# --- Login and logout -------------------------------------------------------------------------------------------------


def test_account_page_shows_logins(app, add_user, user):
    """The account page shows the time and address of the last two logins, and their total number."""
    add_user("ann")
    for address in ("192.0.2.1", "192.0.2.2"):
        browser = app.test_client()
        browser.environ_base["REMOTE_ADDR"] = address
        log_in(browser, "ann@example.com")
    page = browser.get("/account").text
    assert page.index("192.0.2.2") < page.index("192.0.2.1")
    assert user("ann")["login_count"] == 2
    assert (utc_now() - user("ann")["current_login_at"]).total_seconds() < 60


def test_failed_login_does_not_reveal_accounts(app, client, add_user, hashes):
    """Unknown address, wrong password, closed and unconfirmed account: the same text, and one hash each."""
    add_user("ann")
    add_user("gone", active=False)
    add_user("new", confirmed_at=None)
    add_user("nopassword", password=None)
    pages = set()
    for name, password in (
        ("nobody", PASSWORD),
        ("ann", "wrong"),
        ("gone", PASSWORD),
        ("gone", "wrong"),
        ("new", PASSWORD),
        ("nopassword", PASSWORD),
    ):
        browser = app.test_client()
        token = csrf_token(browser, "/login")
        hashes.clear()
        page = browser.post("/login", data={"csrf_token": token, "email": f"{name}@example.com", "password": password})
        assert len(hashes) == 1, name
        assert messages(page) == WRONG
        anonymous = re.sub(r'(name="csrf_token"[^>]*value=|value=)"[^"]+"', "", page.text)
        pages.add((page.status_code, anonymous))
    assert len(pages) == 1


def test_login_redirects_only_within_the_site(app, add_user):
    """`next` can be a page of this site. URLs of other sites are ignored, however they are disguised."""
    add_user("ann")
    for target in ("//evil.example", "/\\evil.example", "https://evil.example", "///evil.example", "http:evil"):
        browser = app.test_client()
        token = csrf_token(browser, "/login")
        form = {"csrf_token": token, "email": "ann@example.com", "password": PASSWORD}
        for url, more in ((f"/login?next={target}", {}), ("/login", {"next": target})):
            response = browser.post(url, data=form | more)
            assert re.fullmatch(r"/(?![/\\]).*|/|", response.location or ""), (url, more)
    browser = app.test_client()
    assert browser.get("/account/tokens").location == "/login?next=/account/tokens"
    response = submit(browser, "/login?next=/account/tokens", email="ann@example.com", password=PASSWORD)
    assert response.location == "/account/tokens"


def test_login_invalidates_earlier_csrf_tokens(app, client, add_user):
    """A CSRF token from before the login is rejected after it (session fixation)."""
    add_user("ann")
    planted = csrf_token(client, "/login")
    log_in(client, "ann@example.com")
    assert client.post("/", data={"csrf_token": planted, "body": "forged"}).status_code == 400
    assert bodies(client.get("/")) == []


def test_session_cookie_from_before_the_login_stays_anonymous(app, client, add_user):
    """A copy of the session cookie from before the login does not become authenticated (session fixation)."""
    add_user("ann")
    client.get("/login")
    attacker = app.test_client()
    attacker.set_cookie("session", client.get_cookie("session").value)
    log_in(client, "ann@example.com")
    assert is_logged_in(client)
    assert not is_logged_in(attacker)


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
def test_session_cookie_attributes(client, scheme, secure):
    """The session cookie is HttpOnly and SameSite=Lax, and Secure over HTTPS."""
    cookie = client.get("/login", base_url=f"{scheme}://localhost").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert ("Secure" in cookie) is secure


def test_logout_requires_a_post(log_in_as):
    """GET and POST without the CSRF token do not log out. The button does."""
    ann = log_in_as("ann")
    assert ann.get("/logout").status_code == 405
    assert ann.post("/logout").status_code == 400
    assert is_logged_in(ann)
    assert submit(ann, "/logout", "/account").location == "/"
    assert not is_logged_in(ann)


@pytest.mark.parametrize("path", ["/login", "/register", "/reset", "/confirm"])
def test_anonymous_forms_require_the_csrf_token(client, path):
    """Forms that anonymous clients can submit are rejected without the CSRF token."""
    assert client.post(path, data=NEW).status_code == 400


@pytest.mark.parametrize(
    "path", ["/change", "/account", "/account/deactivate", "/account/tokens", "/following", "/admin"]
)
def test_account_pages_require_a_login(client, path):
    """Account pages redirect anonymous clients to the login page, which redirects back."""
    response = client.get(path)
    assert (response.status_code, response.location) == (302, f"/login?next={path}")


@pytest.mark.parametrize("path", ["/change", "/account", "/account/deactivate", "/account/tokens"])
def test_account_pages_are_shown(log_in_as, path):
    """After the login, account pages are 200 and show no errors."""
    page = log_in_as("ann").get(path)
    assert page.status_code == 200
    assert messages(page) == []


@pytest.mark.parametrize("path", ["/login", "/register", "/reset", "/account"])
def test_password_pages_are_not_cached(log_in_as, client, path):
    """Pages with password forms are not cached."""
    browser = log_in_as("ann") if path == "/account" else client
    assert "no-" in browser.get(path).headers["Cache-Control"]
    assert "=True" not in browser.get(path).headers["Cache-Control"]


def test_wrong_passwords_lock_an_account(app, add_user, user):
    """After 20 wrong passwords, the correct one is rejected with the same message until the lock expires."""
    app.config["RATE_LIMITS"] = False
    add_user("ann")
    client = app.test_client()
    for _ in range(MAX_FAILED_LOGINS):
        assert messages(log_in(client, "ann@example.com", "wrong")) == WRONG
    assert messages(log_in(client, "ann@example.com")) == WRONG
    assert user("ann")["locked_until"] > utc_now()
    with app.app_context():
        User.by_username("ann").locked_until -= LOCK_DURATION
        db.session.commit()
    assert log_in(client, "ann@example.com").location == "/"
    assert user("ann")["locked_until"] is None


def test_login_resets_failed_logins(app, client, add_user, user):
    """Only consecutive wrong passwords count."""
    add_user("ann")
    log_in(client, "ann@example.com", "wrong")
    assert user("ann")["failed_logins"] == 1
    log_in(client, "ann@example.com")
    assert user("ann")["failed_logins"] == 0


def test_password_reset_unlocks_an_account(app, log_in_as, mails):
    """While an account is locked, a password reset with a mailed link unlocks it."""
    known = log_in_as("ann")
    submit(known, "/logout", "/account")
    with app.app_context():
        User.by_username("ann").locked_until = utc_now() + LOCK_DURATION
        db.session.commit()
    other = app.test_client()
    assert messages(log_in(other, "ann@example.com")) == WRONG
    submit(other, "/reset", email="ann@example.com")
    link = only_link(mails)
    submit(other, link, password="a new horse", password_confirm="a new horse")
    assert log_in(other, "ann@example.com", "a new horse").location == "/"


def test_device_cookie_bypasses_a_lock(app, log_in_as):
    """A browser with a device cookie can log in while the account is locked."""
    known = log_in_as("ann")
    submit(known, "/logout", "/account")
    with app.app_context():
        User.by_username("ann").locked_until = utc_now() + LOCK_DURATION
        db.session.commit()
    assert log_in(known, "ann@example.com").location == "/"


def test_device_cookie_is_kept_for_a_year(log_in_as):
    """The device cookie is kept for 365 days, and neither scripts nor forms of other sites have it."""
    cookie = log_in_as("ann").get_cookie("device")
    assert (cookie.max_age, cookie.http_only, cookie.same_site) == (31_536_000, True, "Lax")


def test_device_cookie_of_another_account(app, log_in_as, add_user):
    """A device cookie does not bypass the lock of another account."""
    known = log_in_as("ann")
    submit(known, "/logout", "/account")
    add_user("bob", locked_until=utc_now() + LOCK_DURATION)
    assert known.get_cookie("device")
    assert messages(log_in(known, "bob@example.com")) == WRONG
    assert not is_logged_in(known)
    assert log_in(known, "ann@example.com").location == "/"


# --- Passwords --------------------------------------------------------------------------------------------------------


def test_password_hashes_meet_the_owasp_minimum(make_app, database):
    """In production, hashes are argon2id with at least the memory and time that OWASP recommends."""
    app = make_app(database, SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS=auth.ARGON2)
    with app.app_context():
        hashed = security.pwd_context.hash(PASSWORD)
    memory, time = (auth.ARGON2[f"argon2__{name}_cost"] for name in ("memory", "time"))
    assert hashed.startswith(f"$argon2id$v=19$m={memory},t={time},p=1$")
    assert memory >= 19 * 1024 and time >= 2


def test_password_change_ends_other_sessions(app, log_in_as, mails):
    """The current session continues, all others end, and the page and a mail report the change."""
    ann = log_in_as("ann")
    other = app.test_client()
    log_in(other, "ann@example.com")
    fields = {"new_password": "a new horse", "new_password_confirm": "a new horse"}
    assert messages(submit(ann, "/change", password="wrong", **fields)) == ["The password is wrong."]
    assert is_logged_in(other)
    assert submit(ann, "/change", password=PASSWORD, **fields).location == "/account"
    assert "All other sessions have been logged out." in ann.get("/account").text
    assert not is_logged_in(other)
    assert "your password has been changed" in mails()[-1].get_content()
    assert messages(log_in(other, "ann@example.com")) == WRONG
    assert log_in(other, "ann@example.com", "a new horse").location == "/"


def test_reset_link_works_once(app, log_in_as, mails):
    """The mailed link sets a new password and ends all sessions. Afterwards it is invalid."""
    ann = log_in_as("ann")
    visitor = app.test_client()
    submit(visitor, "/reset", email="Ann@example.com")
    link = only_link(mails)
    fields = {"password": "a new horse", "password_confirm": "a new horse"}
    assert submit(visitor, link, **fields).location == "/login"
    assert not is_logged_in(ann)
    assert "your password has been reset" in mails()[0].get_content()
    assert visitor.get(link).location == "/reset"
    assert "has already been used" in visitor.get("/reset").text
    assert log_in(visitor, "ann@example.com", "a new horse").location == "/"


def test_reset_link_expires_after_two_hours(client, add_user, mails, monkeypatch):
    """The link is valid for two hours. The form and the mail say so."""
    add_user("ann")
    assert "expires after two hours" in client.get("/reset").text
    submit(client, "/reset", email="ann@example.com")
    (mail,) = mails()
    assert "within 2 hours" in mail.get_content()
    (link,) = re.findall(r"http://localhost(/reset/\S+)", mail.get_content())
    sent_at, two_hours = time.time(), timedelta(hours=2).total_seconds()
    for seconds, location in ((two_hours - 60, None), (two_hours + 60, "/reset"), (two_hours - 60, None)):
        now = sent_at + seconds
        monkeypatch.setattr("itsdangerous.timed.time", SimpleNamespace(time=lambda now=now: now))
        assert client.get(link).location == location


def test_password_reset_does_not_reveal_accounts(app, add_user, mails, hashes):
    """Open, unknown and closed accounts: the same text and one hash each. Only the open account gets a mail."""
    add_user("ann")
    add_user("gone", active=False)
    for name in ("ann", "nobody", "gone"):
        browser = app.test_client()
        token = csrf_token(browser, "/reset")
        hashes.clear()
        email = f"{name}@example.com"
        page = browser.post("/reset", data={"csrf_token": token, "email": email})
        assert messages(page) == [f"If {email} has an account, we have sent it a link."]
        assert len(hashes) == 1, name
    assert [mail["To"] for mail in mails()] == ["ann@example.com"]


def test_mailed_links_use_the_clients_host(app, add_user, mails):
    """Mailed links have the scheme and host of the request, which the middleware puts into the WSGI environ."""
    add_user("ann")
    client = app.test_client()
    options = {"base_url": "https://blog.example.com"}
    token = csrf_token(client, "/reset", **options)
    form = {"csrf_token": token, "email": "ann@example.com"}
    client.post("/reset", data=form, headers={"Referer": "https://blog.example.com/reset"}, **options)
    assert "https://blog.example.com/reset/" in mails()[0].get_content()


def test_password_reset_revokes_all_credentials(app, log_in_as, mails):
    """A reset by mail ends all sessions and revokes all tokens and device cookies of an intruder."""
    intruder = log_in_as("ann")
    with app.app_context():
        _, token = ApiToken.issue(User.by_username("ann"), "x")
        db.session.commit()
    owner = app.test_client()
    submit(owner, "/reset", email="ann@example.com")
    submit(owner, only_link(mails), password="a new horse", password_confirm="a new horse")
    assert not is_logged_in(intruder)
    headers = {"Authorization": f"Bearer {token}"}
    assert app.test_client().get("/api/v1/me", headers=headers).status_code == 401
    with app.app_context():
        User.by_username("ann").locked_until = utc_now() + LOCK_DURATION
        db.session.commit()
    assert log_in(intruder, "ann@example.com", "a new horse").location is None
    assert log_in(owner, "ann@example.com", "a new horse").location == "/"


@pytest.mark.parametrize("revoke", [False, True])
def test_password_change_asks_about_tokens(app, log_in_as, revoke):
    """The form of a password change asks whether to revoke the API tokens too."""
    ann = log_in_as("ann")
    with app.app_context():
        _, token = ApiToken.issue(User.by_username("ann"), "x")
        db.session.commit()
    fields = {"password": PASSWORD, "new_password": "a new horse", "new_password_confirm": "a new horse"}
    submit(ann, "/change", **fields, **({"revoke_tokens": "y"} if revoke else {}))
    with app.app_context():
        assert (ApiToken.find(token) is None) is revoke


# --- Closing accounts -------------------------------------------------------------------------------------------------


def test_closing_an_account_requires_the_password(app, log_in_as, user):
    """A wrong password does not close the account. The correct one ends all sessions and tokens immediately."""
    ann = log_in_as("ann")
    other = app.test_client()
    log_in(other, "ann@example.com")
    with app.app_context():
        _, token = ApiToken.issue(User.by_username("ann"), "x")
        db.session.commit()
    assert submit(ann, "/account/deactivate", password="wrong").status_code == 422
    assert is_logged_in(other)
    assert submit(ann, "/account/deactivate", password=PASSWORD).location == "/"
    assert user("ann")["active"] is False
    assert not is_logged_in(ann) and not is_logged_in(other)
    assert messages(log_in(other, "ann@example.com")) == WRONG
    with app.app_context():
        assert ApiToken.find(token) is None


def test_deactivation_ends_sessions(app, log_in_as):
    """The first request after a deactivation is anonymous."""
    ann = log_in_as("ann")
    with app.app_context():
        User.by_username("ann").active = False
        db.session.commit()
    assert not is_logged_in(ann)


def test_reopening_an_account_brings_back_no_tokens(app, log_in_as):
    """Tokens and sessions of a closed account stay invalid after it was reopened."""
    ann, boss = log_in_as("ann"), log_in_as("boss", admin=True)
    with app.app_context():
        _, token = ApiToken.issue(User.by_username("ann"), "x")
        db.session.commit()
    for action in ("deactivate", "activate"):
        submit(boss, f"/admin/users/1/{action}", "/admin/users/1")
    assert not is_logged_in(ann)
    with app.app_context():
        assert User.by_username("ann").active
        assert ApiToken.find(token) is None


def test_last_admin_cannot_close_the_account(app, log_in_as):
    """The last admin cannot close their account. If there is another admin, they can."""
    boss = log_in_as("boss", admin=True)
    assert submit(boss, "/account/deactivate", password=PASSWORD).status_code == 409
    assert is_logged_in(boss)
    log_in_as("other", admin=True)
    assert submit(boss, "/account/deactivate", password=PASSWORD).location == "/"


# --- Tokens -----------------------------------------------------------------------------------------------------------


def test_token_is_shown_once(app, log_in_as):
    """A new token is shown once. The database contains only its hash."""
    ann = log_in_as("ann")
    page = submit(ann, "/account/tokens", name="backup script")
    (plain_text,) = re.findall(r"tripod_[\w-]{43}", page.text)
    assert plain_text not in ann.get("/account/tokens").text
    assert "backup script" in ann.get("/account/tokens").text
    with app.app_context():
        token = ApiToken.find(plain_text)
        assert token.user.username == "ann"
        assert plain_text not in str(vars(token))
        assert ApiToken.find(plain_text + "x") is None


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "nul \0"])
def test_token_name_is_validated(app, log_in_as, name):
    """A token without a valid name is rejected."""
    ann = log_in_as("ann")
    assert submit(ann, "/account/tokens", name=name).status_code == 422
    with app.app_context():
        assert db.session.query(ApiToken).count() == 0


def test_only_the_owner_revokes_a_token(app, log_in_as):
    """The owner can revoke a token. For other users it does not exist."""
    ann, bob = log_in_as("ann"), log_in_as("bob")
    submit(ann, "/account/tokens", name="mine")
    assert submit(bob, "/account/tokens/1/revoke", "/account/tokens").status_code == 404
    assert submit(ann, "/account/tokens/1/revoke", "/account/tokens").location == "/account/tokens"
    with app.app_context():
        assert db.session.query(ApiToken).count() == 0


def test_session_lasts_two_weeks(app, client, add_user):
    """A session survives closing the browser, and ends after 14 days."""
    add_user("ann")
    with client:
        log_in(client, "ann@example.com")
        assert session.permanent
    assert app.permanent_session_lifetime.days == 14
