"""Rate limits: they hold over threads and servers, on both databases and Redis, and shut out no owner for ever."""

import threading
import time

import pytest
from flask_migrate import upgrade
from limits import parse
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy import func, select, text

from app import limits
from app.account.models import User
from app.counting import DatabaseStorage, RateLimit
from app.database import db
from tests.unit.app.web import PASSWORD, csrf_token

ME, POSTS = "/api/v1/me", "/api/v1/posts"


@pytest.fixture
def migrated_app(make_app, empty_database):
    """Return an app on each database in turn."""
    app = make_app(empty_database)
    with app.app_context():
        upgrade()
    return app


def try_password(client, password: str = "wrong", email: str = "alice@example.com", **options):
    form = {"csrf_token": csrf_token(client, "/login"), "email": email, "password": password}
    return client.post("/login", data=form, **options)


def from_address(number: int) -> dict:
    return {"environ_base": {"REMOTE_ADDR": f"192.0.2.{number}"}}


# --- counting ---------------------------------------------------------------------------------------------------------


def test_no_try_is_counted_too_few(migrated_app):
    """Of 32 tries by eight threads exactly as many pass as the limit allows."""
    passed, limit = [], parse("10/minute")

    def work():
        with migrated_app.app_context():
            limiter = FixedWindowRateLimiter(DatabaseStorage())
            for _ in range(4):
                passed.append(limiter.hit(limit, "key"))
                db.session.remove()

    run_together(work, 8)
    assert (len(passed), sum(passed)) == (32, 10)


def test_a_window_ends(migrated_app):
    """After its time a window begins anew, tells when it ends, and the rows of old ones are removed."""
    with migrated_app.app_context():
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


def test_servers_count_together(make_app, sqlite_url, join):
    """What one server has counted holds on another: they share the database, and nothing else."""
    apps = [make_app(sqlite_url), make_app(sqlite_url)]
    join("alice", apps[0])
    statuses = [apps[number % 2].test_client().get(ME, auth=("alice", "x")).status_code for number in range(12)]
    assert statuses == [401] * 10 + [429] * 2


def test_redis_counts_for_all_servers(make_app, sqlite_url, redis_url, join):
    """With REDIS_URL the counts are there: two servers share them, and the table stays empty."""
    apps = [make_app(sqlite_url, REDIS_URL=redis_url), make_app(sqlite_url, REDIS_URL=redis_url)]
    alice = join("alice", apps[0])
    statuses = [apps[number % 2].test_client().get(ME, auth=("alice", "x")).status_code for number in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    written = apps[0].test_client().post(POSTS, json={"body": "x"}, headers=alice)
    assert (written.status_code, written.headers["RateLimit"]) == (201, '"writes";r=119;t=60')
    with apps[0].app_context():
        assert db.session.scalar(select(func.count()).select_from(RateLimit)) == 0


def test_without_redis_the_database_counts(make_app, sqlite_url, tmp_path, join, caplog):
    """A Redis that is gone takes nothing down, and no limit away: the database counts, and the log says so."""
    app = make_app(sqlite_url, REDIS_URL=f"redis+unix://{tmp_path}/gone")
    join("alice", app)
    statuses = [app.test_client().get(ME, auth=("alice", "x")).status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    assert "Redis does not count" in caplog.text


# --- log-in -----------------------------------------------------------------------------------------------------------


def test_passwords_cannot_be_guessed_from_one_address(client, app, join):
    """The eleventh wrong password a minute from one address is 429, with Retry-After, whichever the account is."""
    answers = [try_password(client, email=f"somebody{number}@example.com") for number in range(11)]
    assert {answer.status_code for answer in answers[:10]} == {200}
    assert answers[10].status_code == 429
    assert 1 <= int(answers[10].headers["Retry-After"]) <= 60
    assert answers[10].headers["RateLimit-Policy"] == '"address";q=10;w=60'
    assert answers[10].headers["RateLimit"].startswith('"address";r=0;t=')
    assert try_password(client, **from_address(1)).status_code == 200


@pytest.mark.parametrize("email", ["alice@example.com", "nobody@example.com"])
def test_passwords_cannot_be_guessed_from_many_addresses(client, alice, email):
    """The eleventh try a minute for one account is 429 wherever it comes from, whether the account exists or not."""
    spellings = [email, email.upper(), f" {email}"]
    statuses = [
        try_password(client, email=spellings[number % 3], **from_address(number)).status_code for number in range(11)
    ]
    assert statuses == [200] * 10 + [429]


def test_strangers_do_not_shut_out_the_owner(app, alice, monkeypatch):
    """While strangers use up an account's tries, and lock it, a browser that its owner has used gets in."""
    monkeypatch.setattr("app.account.models.FAILED_LOGINS_MAX", 10)
    known, stranger = app.test_client(), app.test_client()
    assert try_password(known, PASSWORD).status_code in (302, 303)
    known.delete_cookie("session")
    for number in range(12):
        try_password(stranger, **from_address(number))
    with app.app_context():
        assert User.named("alice").locked
    assert try_password(stranger, PASSWORD, **from_address(100)).status_code == 429
    assert try_password(known, PASSWORD, **from_address(101)).status_code in (302, 303)


def test_a_known_browser_may_not_guess_either(app, alice):
    """A browser that its owner has used has ten tries a minute, too, and none for another account."""
    client = app.test_client()
    try_password(client, PASSWORD)
    client.delete_cookie("session")
    statuses = [try_password(client, **from_address(number)).status_code for number in range(11)]
    assert statuses == [200] * 10 + [429]


@pytest.mark.parametrize("cookie", ["x", "x.y", "WyJhIl0.x"])
def test_a_forged_device_is_unknown(app, alice, cookie):
    """A cookie that this app has not signed is worth nothing."""
    client = app.test_client()
    client.set_cookie("device", cookie)
    statuses = [try_password(client, **from_address(number)).status_code for number in range(11)]
    assert statuses[10] == 429


def test_right_passwords_are_not_counted(client, alice):
    """Who knows the password may log in, or use HTTP Basic, as often as they like."""
    for _ in range(12):
        assert client.get(ME, auth=("alice", PASSWORD)).status_code == 200
        assert try_password(client, PASSWORD).status_code in (302, 303)
        client.delete_cookie("session")


# --- everything else --------------------------------------------------------------------------------------------------


def test_writes_are_limited_for_each_user(client, alice, bob, monkeypatch):
    """Beyond its limit a user's write is 429, as JSON; others write on, and reading is free."""
    monkeypatch.setattr(limits, "WRITES", limits.Limit("writes", parse("3/minute"), limits.person))
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


@pytest.mark.parametrize(
    ("path", "form", "allowed"),
    [("/register", {"email": "x@example.com"}, 60), ("/reset", {"email": "alice@example.com"}, 5)],
)
def test_forms_that_send_mail_are_limited(client, alice, path, form, allowed):
    """Registering, and asking for a new password, are 429 after some tries in an hour."""
    form = form | {"csrf_token": csrf_token(client, path)}
    statuses = [client.post(path, data=form).status_code for _ in range(allowed + 1)]
    assert 429 not in statuses[:-1]
    assert statuses[-1] == 429


def test_a_network_of_ipv6_counts_as_one(app):
    """A client of IPv6 has 2^64 addresses to try from, so its network is what counts."""
    keys = {"2001:db8::1": "2001:db8::/64", "2001:db8::ffff": "2001:db8::/64", "192.0.2.1": "192.0.2.1"}
    keys |= {"192.0.2.1:443": "192.0.2.1:443", "": "::/64"}  # nothing that a proxy writes may end in a 500
    for address, key in keys.items():
        with app.test_request_context(environ_base={"REMOTE_ADDR": address}):
            assert limits.address() == key


def test_limits_can_be_off(make_app, sqlite_url, join):
    """RATE_LIMITS=off counts nothing, for load tests."""
    app = make_app(sqlite_url, RATE_LIMITS=False)
    join("alice", app)
    for _ in range(12):
        answer = app.test_client().get(ME, auth=("alice", "x"))
        assert (answer.status_code, "RateLimit" in answer.headers) == (401, False)


@pytest.mark.parametrize("path", ["/readyz", "/", "/login"])
def test_reading_is_not_limited(client, path, monkeypatch):
    """Reading, health above all, is never counted."""
    monkeypatch.setattr(limits, "WRITES", limits.Limit("writes", parse("3/minute"), limits.person))
    for _ in range(12):
        assert client.get(path).status_code == 200


def run_together(work, count: int) -> None:
    """Run `work` in so many threads, and wait for them."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
