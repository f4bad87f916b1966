"""Accounts: joining, logging in and out, passwords, tokens; and what strangers must not find out by them."""

import re
import sqlite3
from contextlib import closing

import pytest
from flask import session

from app.account import auth
from app.account.models import FAILED_LOGINS_MAX, LOCKED_FOR, ApiToken, User
from app.database import db, utc_now
from app.extensions import security
from tests.unit.app.web import PASSWORD, bodies, csrf_token, log_in, messages, submit

NEW = {"username": "ann", "email": "ann@example.com", "password": PASSWORD, "password_confirm": PASSWORD}
WRONG = ["Email and password do not match an account."]


@pytest.fixture
def user(app):
    """Return a function that returns a user's columns by name."""

    def read(name: str) -> dict:
        with app.app_context():
            found = User.named(name)
            return found and {column.name: getattr(found, column.name) for column in User.__table__.columns}

    return read


@pytest.fixture
def hashes(app, monkeypatch):
    """Return the list that each hashed or verified password adds to: what takes the time of an answer."""
    found = []
    context = security.pwd_context
    for name in ("hash", "verify"):
        real = getattr(context, name)
        monkeypatch.setattr(context, name, lambda *a, real=real, **k: found.append(a) or real(*a, **k))
    return found


def is_logged_in(client) -> bool:
    return client.get("/account").status_code == 200


def only_link(mails) -> str:
    """The path of the one link in the one mail."""
    (mail,) = mails()
    (path,) = re.findall(r"http://localhost(/(?:reset|confirm)/\S+)", mail.get_content())
    return path


@pytest.mark.parametrize("email", ["ann@example.com", "nobody@example.com"])
@pytest.mark.parametrize("password", [PASSWORD, "wrong"])
def test_others_write_while_a_password_is_hashed(client, add_user, sqlite_url, monkeypatch, email, password):
    """A log-in does not hold SQLite's write lock for the time of its hash, whether there is such an account or not."""
    add_user("ann")
    token, wrote, file = csrf_token(client, "/login"), [], sqlite_url.removeprefix("sqlite:///")

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


# --- Joining ------------------------------------------------------------------------------------------------


def test_joining_makes_an_account(client, user, mails):
    """Who joins gets a welcome by mail and can log in; the email is kept in lower case, the password as argon2id."""
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
        ("email", "", "Type your email"),
        ("email", "ann", "not an email"),
        ("email", "a\0@example.com", "not an email"),
        ("password", "", "Type a password"),
        ("password", "short", "at least 8"),
        ("password_confirm", "other", "not the same"),
    ],
)
def test_bad_input_is_refused_at_its_field(client, add_user, user, field, value, message):
    """What cannot be an account is refused beside its field, and makes none."""
    add_user("taken")
    page = submit(client, "/register", **NEW | {field: value})
    assert re.search(rf'id="{field}-error"[^>]*>[^<]*{message}', page.text), messages(page)
    assert user("ann") is None


def test_joining_tells_nobody_whether_an_email_has_an_account(app, client, add_user, mails, hashes):
    """The answer to a known and to a new address is the same to the byte, and takes one hash; the mail differs."""
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
    assert "has an account already" in warning.get_content()


def test_with_smtp_an_address_has_to_be_confirmed(make_app, sqlite_url, mails, monkeypatch, tmp_path):
    """Where mail can be sent, a new account opens by the mailed link alone: that link works, and only it."""
    app = make_app(sqlite_url, SMTP_URL="smtp://mail.example.com")
    sent = []
    monkeypatch.setattr("app.mail.send", lambda url, message: sent.append(message))
    client = app.test_client()
    submit(client, "/register", **NEW)
    assert messages(log_in(client, NEW["email"])) == WRONG
    (link,) = re.findall(r"http://localhost(/confirm/\S+)", sent[0].get_content())
    client.get(link[:-3] + "xyz")
    assert not log_in(client, NEW["email"]).location
    assert client.get(link).location == "/login"
    assert log_in(client, NEW["email"]).location == "/"


def test_asking_for_the_confirmation_again_tells_nothing(make_app, sqlite_url, monkeypatch):
    """Whether the address waits to be confirmed, is confirmed or unknown: the answer is the same."""
    app = make_app(sqlite_url, SMTP_URL="smtp://mail.example.com")
    sent = []
    monkeypatch.setattr("app.mail.send", lambda url, message: sent.append(message["To"]))
    client = app.test_client()
    submit(client, "/register", **NEW)
    sent.clear()
    for email in (NEW["email"], "nobody@example.com"):
        said = messages(submit(client, "/confirm", email=email))
        assert said == [f"If {email} waits to be confirmed, we have sent a link there."]
    assert sent == [NEW["email"]]


# --- Logging in ---------------------------------------------------------------------------------------------


def test_log_ins_are_tracked_for_their_owner(app, add_user, user):
    """The account page shows when and from where the last log-ins came, and how many there were."""
    add_user("ann")
    for address in ("192.0.2.1", "192.0.2.2"):
        browser = app.test_client()
        browser.environ_base["REMOTE_ADDR"] = address
        log_in(browser, "ann@example.com")
    page = browser.get("/account").text
    assert page.index("192.0.2.2") < page.index("192.0.2.1")
    assert user("ann")["login_count"] == 2
    assert (utc_now() - user("ann")["current_login_at"]).total_seconds() < 60


def test_a_wrong_log_in_tells_nothing(app, client, add_user, hashes):
    """An unknown address, a wrong password, a closed and an unconfirmed account: same text, one hash each."""
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


def test_a_log_in_leads_back_and_never_away(app, add_user):
    """?next= leads to a page of the site; an address elsewhere, in any disguise, is not followed."""
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


def test_a_log_in_takes_over_no_prepared_session(app, client, add_user):
    """A CSRF token that was known before the log-in is refused after it: whoever planted it gains nothing."""
    add_user("ann")
    planted = csrf_token(client, "/login")
    log_in(client, "ann@example.com")
    assert client.post("/", data={"csrf_token": planted, "body": "forged"}).status_code == 400
    assert bodies(client.get("/")) == []


def test_a_copied_cookie_from_before_the_log_in_stays_anonymous(app, client, add_user):
    """Whoever has fixed a visitor's cookie is not logged in by that visitor's log-in."""
    add_user("ann")
    client.get("/login")
    attacker = app.test_client()
    attacker.set_cookie("session", client.get_cookie("session").value)
    log_in(client, "ann@example.com")
    assert is_logged_in(client)
    assert not is_logged_in(attacker)


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
def test_the_cookie_is_as_safe_as_the_connection(client, scheme, secure):
    """The session cookie is HttpOnly and SameSite=Lax, and Secure as soon as the connection is."""
    cookie = client.get("/login", base_url=f"{scheme}://localhost").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert ("Secure" in cookie) is secure


def test_logging_out_takes_a_post(log_in_as):
    """A link cannot log anybody out, and a POST without the token cannot either; the button can."""
    ann = log_in_as("ann")
    assert ann.get("/logout").status_code == 405
    assert ann.post("/logout").status_code == 400
    assert is_logged_in(ann)
    assert submit(ann, "/logout", "/account").location == "/"
    assert not is_logged_in(ann)


@pytest.mark.parametrize("path", ["/login", "/register", "/reset", "/confirm"])
def test_no_form_works_without_its_token(client, path):
    """Every form of a stranger is refused without the token of the page."""
    assert client.post(path, data=NEW).status_code == 400


@pytest.mark.parametrize(
    "path", ["/change", "/account", "/account/deactivate", "/account/tokens", "/following", "/admin"]
)
def test_ones_own_pages_ask_for_a_log_in(client, path):
    """Pages of an account lead a stranger to the log-in and back."""
    response = client.get(path)
    assert (response.status_code, response.location) == (302, f"/login?next={path}")


@pytest.mark.parametrize("path", ["/login", "/register", "/reset", "/account"])
def test_password_pages_are_kept_by_no_cache(log_in_as, client, path):
    """No page with a form for a password stays in a cache."""
    browser = log_in_as("ann") if path == "/account" else client
    assert "no-" in browser.get(path).headers["Cache-Control"]
    assert "=True" not in browser.get(path).headers["Cache-Control"]


def test_many_wrong_passwords_lock_an_account(make_app, sqlite_url, app, add_user, user):
    """After twenty wrong passwords in a row even the right one is refused, with the same words; then it ends."""
    app.config["RATE_LIMITS"] = False
    add_user("ann")
    client = app.test_client()
    for _ in range(FAILED_LOGINS_MAX):
        assert messages(log_in(client, "ann@example.com", "wrong")) == WRONG
    assert messages(log_in(client, "ann@example.com")) == WRONG
    assert user("ann")["locked_until"] > utc_now()
    with app.app_context():
        User.named("ann").locked_until -= LOCKED_FOR
        db.session.commit()
    assert log_in(client, "ann@example.com").location == "/"
    assert user("ann")["locked_until"] is None


def test_a_log_in_forgets_the_wrong_ones_before(app, client, add_user, user):
    """Only wrong passwords in a row count."""
    add_user("ann")
    log_in(client, "ann@example.com", "wrong")
    assert user("ann")["failed_logins"] == 1
    log_in(client, "ann@example.com")
    assert user("ann")["failed_logins"] == 0


def test_strangers_do_not_shut_out_the_owner(app, log_in_as, mails):
    """While an account is locked, its owner's own browser may log in, and a mailed link unlocks it for others."""
    known = log_in_as("ann")
    submit(known, "/logout", "/account")
    with app.app_context():
        User.named("ann").locked_until = utc_now() + LOCKED_FOR
        db.session.commit()
    other = app.test_client()
    assert messages(log_in(other, "ann@example.com")) == WRONG
    submit(other, "/reset", email="ann@example.com")
    link = only_link(mails)
    submit(other, link, password="a new horse", password_confirm="a new horse")
    assert log_in(other, "ann@example.com", "a new horse").location == "/"


def test_the_owners_browser_passes_a_lock(app, log_in_as):
    """A browser that was logged in before is let in while strangers guess."""
    known = log_in_as("ann")
    submit(known, "/logout", "/account")
    with app.app_context():
        User.named("ann").locked_until = utc_now() + LOCKED_FOR
        db.session.commit()
    assert log_in(known, "ann@example.com").location == "/"


# --- Passwords ----------------------------------------------------------------------------------------------


def test_passwords_cost_what_owasp_advises(make_app, sqlite_url):
    """In production a hash is argon2id with the memory and time that OWASP asks for at least."""
    app = make_app(sqlite_url, SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS=auth.ARGON2)
    with app.app_context():
        hashed = security.pwd_context.hash(PASSWORD)
    memory, time = (auth.ARGON2[f"argon2__{name}_cost"] for name in ("memory", "time"))
    assert hashed.startswith(f"$argon2id$v=19$m={memory},t={time},p=1$")
    assert memory >= 19 * 1024 and time >= 2


def test_changing_the_password_ends_other_sessions(app, log_in_as, mails):
    """The session that changes it goes on, all others end, the page says so and a mail tells the owner."""
    ann = log_in_as("ann")
    other = app.test_client()
    log_in(other, "ann@example.com")
    fields = {"new_password": "a new horse", "new_password_confirm": "a new horse"}
    assert messages(submit(ann, "/change", password="wrong", **fields)) == ["This is not your password."]
    assert is_logged_in(other)
    assert submit(ann, "/change", password=PASSWORD, **fields).location == "/account"
    assert "Everywhere else you are logged out now." in ann.get("/account").text
    assert not is_logged_in(other)
    assert "has just been changed" in mails()[-1].get_content()
    assert messages(log_in(other, "ann@example.com")) == WRONG
    assert log_in(other, "ann@example.com", "a new horse").location == "/"


def test_a_forgotten_password_is_reset_once(app, log_in_as, mails):
    """The mailed link sets a new password, ends all sessions, and is worth nothing after that."""
    ann = log_in_as("ann")
    stranger = app.test_client()
    submit(stranger, "/reset", email="Ann@example.com")
    link = only_link(mails)
    fields = {"password": "a new horse", "password_confirm": "a new horse"}
    assert submit(stranger, link, **fields).location == "/login"
    assert not is_logged_in(ann)
    assert "just been reset" in mails()[0].get_content()
    assert stranger.get(link).location == "/reset"
    assert "has been used" in stranger.get("/reset").text
    assert log_in(stranger, "ann@example.com", "a new horse").location == "/"


def test_a_reset_link_is_for_two_hours(app, add_user, mails, monkeypatch):
    """An old link is refused, and the page says how long they last."""
    add_user("ann")
    client = app.test_client()
    submit(client, "/reset", email="ann@example.com")
    link = only_link(mails)
    app.config["SECURITY_RESET_PASSWORD_WITHIN"] *= -1  # everything is too old now
    assert client.get(link).location == "/reset"
    app.config["SECURITY_RESET_PASSWORD_WITHIN"] *= -1
    assert client.get(link).status_code == 200


def test_resetting_tells_nobody_whether_an_email_has_an_account(app, add_user, mails, hashes):
    """Known, unknown and closed: the same words, one hash each, and a mail to the known alone."""
    add_user("ann")
    add_user("gone", active=False)
    for name in ("ann", "nobody", "gone"):
        browser = app.test_client()
        token = csrf_token(browser, "/reset")
        hashes.clear()
        email = f"{name}@example.com"
        page = browser.post("/reset", data={"csrf_token": token, "email": email})
        assert messages(page) == [f"If {email} has an account, we have sent a link there."]
        assert len(hashes) == 1, name
    assert [mail["To"] for mail in mails()] == ["ann@example.com"]


def test_links_in_mail_are_as_the_proxy_says(app, add_user, mails):
    """A mailed link has the scheme and host that the visitor used, as the middleware has put them into environ."""
    add_user("ann")
    client = app.test_client()
    options = {"base_url": "https://notes.example.com"}
    token = csrf_token(client, "/reset", **options)
    form = {"csrf_token": token, "email": "ann@example.com"}
    client.post("/reset", data=form, headers={"Referer": "https://notes.example.com/reset"}, **options)
    assert "https://notes.example.com/reset/" in mails()[0].get_content()


# --- Closing an account -------------------------------------------------------------------------------------


def test_closing_an_account_takes_its_password(app, log_in_as, user):
    """A wrong password closes nothing; the right one ends every session and every token at once."""
    ann = log_in_as("ann")
    other = app.test_client()
    log_in(other, "ann@example.com")
    with app.app_context():
        _, token = ApiToken.issue(User.named("ann"), "x")
        db.session.commit()
    assert submit(ann, "/account/deactivate", password="wrong").status_code == 422
    assert is_logged_in(other)
    assert submit(ann, "/account/deactivate", password=PASSWORD).location == "/"
    assert user("ann")["active"] is False
    assert not is_logged_in(ann) and not is_logged_in(other)
    assert messages(log_in(other, "ann@example.com")) == WRONG
    with app.app_context():
        assert ApiToken.find(token) is None


def test_a_deactivated_users_session_ends_at_once(app, log_in_as):
    """The next request after somebody has set `active` off is a stranger's."""
    ann = log_in_as("ann")
    with app.app_context():
        User.named("ann").active = False
        db.session.commit()
    assert not is_logged_in(ann)


# --- Tokens -------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once(app, log_in_as):
    """Making a token shows it on that page alone; the database has only its hash."""
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
def test_a_token_has_a_name(app, log_in_as, name):
    """A token without a fitting name is refused at the field."""
    ann = log_in_as("ann")
    assert submit(ann, "/account/tokens", name=name).status_code == 422
    with app.app_context():
        assert db.session.query(ApiToken).count() == 0


def test_tokens_are_revoked_by_their_owner_alone(app, log_in_as):
    """The owner's button ends a token; for anybody else it is not there."""
    ann, bob = log_in_as("ann"), log_in_as("bob")
    submit(ann, "/account/tokens", name="mine")
    assert submit(bob, "/account/tokens/1/revoke", "/account/tokens").status_code == 404
    assert submit(ann, "/account/tokens/1/revoke", "/account/tokens").location == "/account/tokens"
    with app.app_context():
        assert db.session.query(ApiToken).count() == 0


def test_a_session_lasts_two_weeks(app, client, add_user):
    """A log-in outlives the browser's window, and not for ever."""
    add_user("ann")
    with client:
        log_in(client, "ann@example.com")
        assert session.permanent
    assert app.permanent_session_lifetime.days == 14
