"""Rate limits: with several threads and servers, on both databases and Redis, and device cookies."""

import threading
import time
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from limits import parse
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy import func, select, text

from app import rate_limits
from app.account.models import User
from app.database import db
from app.rate_limit_storage import DatabaseStorage, RateLimit
from tests.unit.app.helpers import PASSWORD, csrf_token

ME, POSTS = "/api/v1/me", "/api/v1/posts"


def try_login(client, password: str = "wrong", email: str = "alice@example.com", **options):
    form = {"csrf_token": csrf_token(client, "/login"), "email": email, "password": password}
    return client.post("/login", data=form, **options)


def from_address(number: int) -> dict:
    return {"environ_base": {"REMOTE_ADDR": f"192.0.2.{number}"}}


def limit_writes(monkeypatch) -> None:
    """Lower WRITE_LIMIT to three writes per minute."""
    monkeypatch.setattr(rate_limits, "WRITE_LIMIT", replace(rate_limits.WRITE_LIMIT, item=parse("3/minute")))


# --- storage ----------------------------------------------------------------------------------------------------------


def test_concurrent_hits_are_all_counted(app):
    """Of 32 hits by eight threads, exactly as many pass as the limit allows."""
    passed, limit = [], parse("10/minute")

    def work():
        with app.app_context():
            limiter = FixedWindowRateLimiter(DatabaseStorage())
            for _ in range(4):
                passed.append(limiter.hit(limit, "key"))
                db.session.remove()

    run_together(work, 8)
    assert (len(passed), sum(passed)) == (32, 10)


def test_windows_expire(app):
    """An expired window starts again, and the rows of expired windows are deleted."""
    with app.app_context():
        storage = DatabaseStorage()
        assert [storage.incr("old", 60), storage.incr("old", 60), storage.incr("key", 60)] == [1, 2, 1]
        assert storage.get("old") == 2
        assert 59 < storage.get_expiry("old") - time.time() <= 60
        db.session.execute(text("UPDATE rate_limit SET expires_at = expires_at - 61"))
        db.session.commit()
        assert (storage.get("old"), storage.incr("key", 60)) == (0, 1)
        assert db.session.scalars(select(RateLimit.key)).all() == ["key"]
        storage.clear("key")
        assert (storage.get("key"), storage.check(), storage.reset()) == (0, True, 0)


def test_servers_share_counts(make_app, database, add_api_user):
    """Two servers that share only the database share the counts."""
    apps = [make_app(database), make_app(database)]
    add_api_user("alice", apps[0])
    statuses = [apps[number % 2].test_client().get(ME, auth=("alice", "x")).status_code for number in range(12)]
    assert statuses == [401] * 10 + [429] * 2


def test_servers_share_counts_in_redis(make_app, database, redis_url, add_api_user):
    """With REDIS_URL, two servers share the counts in Redis, and the database table stays empty."""
    apps = [make_app(database, REDIS_URL=redis_url), make_app(database, REDIS_URL=redis_url)]
    alice = add_api_user("alice", apps[0])
    statuses = [apps[number % 2].test_client().get(ME, auth=("alice", "x")).status_code for number in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    written = apps[0].test_client().post(POSTS, json={"body": "x"}, headers=alice)
    assert (written.status_code, written.headers["RateLimit"]) == (201, '"writes";r=119;t=60')
    with apps[0].app_context():
        assert db.session.scalar(select(func.count()).select_from(RateLimit)) == 0


def test_database_replaces_an_unavailable_redis(make_app, database, tmp_path, add_api_user, caplog):
    """If Redis is unavailable, hits are counted in the database, and a warning is logged."""
    app = make_app(database, REDIS_URL=f"redis+unix://{tmp_path}/gone")
    add_api_user("alice", app)
    statuses = [app.test_client().get(ME, auth=("alice", "x")).status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    assert "Redis is not available" in caplog.text


# --- login ------------------------------------------------------------------------------------------------------------


def test_login_limit_per_address(client, app, add_api_user):
    """The 11th wrong password per minute from one address is 429 with Retry-After, for any accounts."""
    answers = [try_login(client, email=f"somebody{number}@example.com") for number in range(11)]
    assert {answer.status_code for answer in answers[:10]} == {200}
    assert answers[10].status_code == 429
    assert 1 <= int(answers[10].headers["Retry-After"]) <= 60
    assert answers[10].headers["RateLimit-Policy"] == '"address";q=10;w=60'
    assert answers[10].headers["RateLimit"].startswith('"address";r=0;t=')
    assert try_login(client, **from_address(1)).status_code == 200


@pytest.mark.parametrize("email", ["alice@example.com", "nobody@example.com"])
def test_login_limit_per_account(client, alice, email):
    """The 11th attempt per minute for one account is 429 from any address, whether the account exists or not."""
    spellings = [email, email.upper(), f" {email}"]
    statuses = [
        try_login(client, email=spellings[number % 3], **from_address(number)).status_code for number in range(11)
    ]
    assert statuses == [200] * 10 + [429]


def test_attackers_do_not_lock_out_the_owner(app, alice, monkeypatch):
    """While attackers exceed the limit and lock the account, the owner can log in with a device cookie."""
    monkeypatch.setattr("app.account.models.MAX_FAILED_LOGINS", 10)
    owner, attacker = app.test_client(), app.test_client()
    assert try_login(owner, PASSWORD).status_code in (302, 303)
    owner.delete_cookie("session")
    for number in range(12):
        try_login(attacker, **from_address(number))
    with app.app_context():
        assert User.by_username("alice").locked
    assert try_login(attacker, PASSWORD, **from_address(100)).status_code == 429
    assert try_login(owner, PASSWORD, **from_address(101)).status_code in (302, 303)


def test_login_limit_with_a_device_cookie(app, alice):
    """A browser with a device cookie is limited to ten attempts per minute, too."""
    client = app.test_client()
    try_login(client, PASSWORD)
    client.delete_cookie("session")
    statuses = [try_login(client, **from_address(number)).status_code for number in range(11)]
    assert statuses == [200] * 10 + [429]


def test_device_cookie_of_another_account(app, alice, bob):
    """For other accounts, attempts with a device cookie count like those of other clients."""
    known, unknown = app.test_client(), app.test_client()
    assert try_login(known, PASSWORD).status_code == 302
    known.delete_cookie("session")
    for number in range(10):
        try_login(unknown, email="bob@example.com", **from_address(number))
    assert try_login(known, email="bob@example.com", **from_address(100)).status_code == 429


@pytest.mark.parametrize("cookie", ["x", "x.y", "WyJhIl0.x"])
def test_forged_device_cookie(app, alice, cookie):
    """A device cookie without a valid signature is ignored."""
    client = app.test_client()
    client.set_cookie("device", cookie)
    statuses = [try_login(client, **from_address(number)).status_code for number in range(11)]
    assert statuses[10] == 429


def test_correct_passwords_are_not_counted(client, alice):
    """Logins and HTTP Basic requests with the correct password are not limited."""
    for _ in range(12):
        assert client.get(ME, auth=("alice", PASSWORD)).status_code == 200
        assert try_login(client, PASSWORD).status_code in (302, 303)
        client.delete_cookie("session")


# --- other limits -----------------------------------------------------------------------------------------------------


def test_write_limit_per_user(client, alice, bob, monkeypatch):
    """Writes that exceed the limit of their user are 429 in JSON. Other users and reads are not affected."""
    limit_writes(monkeypatch)
    remaining = []
    for _ in range(3):
        response = client.post(POSTS, json={"body": "x"}, headers=alice)
        remaining.append(response.headers["RateLimit"].split(";")[1])
    assert remaining == ["r=2", "r=1", "r=0"]
    refused = client.post(POSTS, json={"body": "x"}, headers=alice)
    assert (refused.status_code, refused.json["error"]) == (429, "Too Many Requests")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert client.post(POSTS, json={"body": "x"}, headers=bob).status_code == 201
    assert client.get(ME, headers=alice).status_code == 200


def test_write_limit_of_forms_per_user(log_in_as, monkeypatch):
    """Forms are limited per user, from any address. Other users with the same address are not affected."""
    limit_writes(monkeypatch)
    ann, bob = log_in_as("ann"), log_in_as("bob")
    token = csrf_token(ann, "/")
    posts = [ann.post("/", data={"csrf_token": token, "body": "x"}, **from_address(number)) for number in (1, 1, 2, 3)]
    assert [answer.status_code for answer in posts] == [303, 303, 303, 429]
    assert posts[0].headers["RateLimit-Policy"] == '"writes";q=3;w=60'
    token = csrf_token(bob, "/")
    assert bob.post("/", data={"csrf_token": token, "body": "x"}, **from_address(1)).status_code == 303


@pytest.mark.parametrize(("path", "allowed"), [("/register", 10), ("/reset", 5), ("/confirm", 5)])
@pytest.mark.parametrize("email", ["alice@example.com", "nobody@example.com"])
def test_mail_limits_per_account(client, alice, path, allowed, email):
    """Requests for mail to one address that exceed its hourly limit are 429, from any client and in any spelling."""
    token = csrf_token(client, path)
    spellings = [email, email.upper(), f" {email} ", email.replace("example", "ｅxample")]
    forms = [[("csrf_token", token), ("email", spelling)] for spelling in spellings]
    forms += [[*forms[0], ("email", f"x{number}@example.com")] for number in range(allowed)]  # a repeated field
    requests = [
        {"data": urlencode(form), "content_type": "application/x-www-form-urlencoded", **from_address(number)}
        for number, form in enumerate(forms[: allowed + 1])
    ]
    statuses = [client.post(path, **request).status_code for request in requests]
    assert 429 not in statuses[:-1]
    assert statuses[-1] == 429


@pytest.mark.parametrize(("path", "allowed"), [("/register", 60), ("/reset", 20)])
def test_mail_limits_per_address(client, path, allowed):
    """Requests for mail to many addresses from one client that exceed the hourly limit are 429."""
    form = {"csrf_token": csrf_token(client, path)}
    statuses = [
        client.post(path, data=form | {"email": f"x{number}@example.com"}).status_code for number in range(allowed + 1)
    ]
    assert 429 not in statuses[:-1]
    assert statuses[-1] == 429


@pytest.mark.parametrize("path", ["/account/deactivate", "/change"])
def test_password_limit_of_account_pages(app, alice, path):
    """With a stolen session, the own password is guessed ten times per minute at most, at the login page included."""
    client, attacker = app.test_client(), app.test_client()
    assert try_login(client, PASSWORD).status_code == 302
    client.delete_cookie("device")
    form = {"csrf_token": csrf_token(client, path), "password": "wrong"}
    statuses = [client.post(path, data=form, **from_address(number)).status_code for number in range(11)]
    assert 429 not in statuses[:-1]
    assert statuses[-1] == 429
    assert try_login(attacker, PASSWORD, **from_address(100)).status_code == 429


@pytest.mark.parametrize("body", [{"csrf_token": "x", "email": "a@example.com"}, "x" * 300_000], ids=["form", "large"])
def test_limits_are_counted_before_a_form_is_parsed(client, body):
    """Requests without a CSRF token and requests that are too large count, too."""
    statuses = [client.post("/login", data=body).status_code for _ in range(11)]
    assert statuses[-1] == 429
    assert set(statuses[:-1]) <= {400, 413}


def test_login_limit_per_account_for_a_repeated_field(client, alice):
    """An email field that is repeated with different values counts as the account that its first value names."""
    statuses = []
    for number in range(11):
        fields = [("email", "alice@example.com"), ("email", f"x{number}@example.com"), ("password", "wrong")]
        fields.append(("csrf_token", csrf_token(client, "/login")))
        kind = {"content_type": "application/x-www-form-urlencoded"}
        statuses.append(client.post("/login", data=urlencode(fields), **kind, **from_address(number)).status_code)
    assert statuses == [200] * 10 + [429]


def test_ipv6_networks_are_counted_as_one_client(app):
    """An IPv6 client has 2^64 addresses, so its /64 network is counted."""
    keys = {"2001:db8::1": "2001:db8::/64", "2001:db8::ffff": "2001:db8::/64", "192.0.2.1": "192.0.2.1"}
    keys |= {"192.0.2.1:443": "192.0.2.1:443", "": "::/64"}  # invalid addresses from a proxy must not cause a 500
    for address, key in keys.items():
        with app.test_request_context(environ_base={"REMOTE_ADDR": address}):
            assert rate_limits.client_address() == key


def test_limits_can_be_disabled(make_app, database, add_api_user):
    """RATE_LIMITS=off disables all limits."""
    app = make_app(database, RATE_LIMITS=False)
    add_api_user("alice", app)
    for _ in range(12):
        answer = app.test_client().get(ME, auth=("alice", "x"))
        assert (answer.status_code, "RateLimit" in answer.headers) == (401, False)


@pytest.mark.parametrize("path", ["/readyz", "/", "/login"])
def test_reads_are_not_limited(client, path, monkeypatch):
    """Reads, including health checks, are not counted."""
    limit_writes(monkeypatch)
    for _ in range(12):
        assert client.get(path).status_code == 200


def run_together(work, count: int) -> None:
    """Run `work` in `count` threads, and wait for them."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
