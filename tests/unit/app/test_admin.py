"""Admin pages: permissions, actions and their records, and the command `flask admin`."""

import re
import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.account.models import User
from app.admin.models import AdminAction
from app.blog.models import Post
from app.database import db, utc_now
from tests.unit.app.helpers import bodies, csrf_token, log_in, messages, only_postgresql, submit

LOCKED = utc_now() + timedelta(days=1)
PAGES = ("/admin", "/admin/events", "/admin/users", "/admin/users/1", "/admin/posts", "/admin/posts/1")
ACTIONS = ("/admin/users/1/deactivate", "/admin/users/1/make-admin", "/admin/posts/1/hide")


@pytest.fixture
def admin(log_in_as, add_posts):
    """Return a client logged in as an admin (user 2), on a site with three posts by `author` (user 1)."""
    add_posts(3)
    return log_in_as("boss", admin=True)


@pytest.mark.parametrize("path", PAGES)
def test_admin_can_open_all_pages(admin, path):
    """An admin can open every page."""
    assert admin.get(path).status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_other_users_cannot_open_pages(app, admin, log_in_as, path):
    """Every page answers 403 to other users, and redirects anonymous clients to the login page."""
    response = log_in_as("ann").get(path)
    assert response.status_code == 403
    assert "Only admins" in response.text
    assert app.test_client().get(path).location == f"/login?next={path}"


def test_unknown_pages(app, admin, log_in_as):
    """Unknown pages below /admin are 404 for admins, other users and anonymous clients."""
    for browser in (admin, log_in_as("ann"), app.test_client()):
        assert browser.get("/admin/nothing").status_code == 404


@pytest.mark.parametrize("path", ACTIONS)
def test_other_users_cannot_apply_actions(app, admin, log_in_as, path):
    """Actions of other users are rejected (403) even with a valid CSRF token, and are neither applied nor recorded."""
    assert submit(log_in_as("ann"), path, "/account/tokens").status_code == 403
    assert submit(app.test_client(), path, "/login").location.startswith("/login")
    assert admin.post(path).status_code == 400  # without the CSRF token
    with app.app_context():
        assert db.session.get(User, 1).active and not db.session.get(User, 1).is_admin
        assert db.session.query(AdminAction).count() == 0


def test_revoked_role_takes_effect_immediately(app, admin, log_in_as):
    """A user whose role was revoked gets 403 for the next request."""
    other = log_in_as("other", admin=True)
    assert other.get("/admin").status_code == 200
    submit(admin, "/admin/users/3/remove-admin", "/admin/users/3")
    assert other.get("/admin").status_code == 403


def test_post_is_hidden_and_restored(admin, client):
    """A hidden post is on no page until it is restored. Both actions are recorded with their reason."""
    assert submit(admin, "/admin/posts/2/hide", "/admin/posts/2", reason=" spam ").location == "/admin/posts/2"
    assert bodies(client.get("/")) == ["post 3", "post 1"]
    assert client.get("/posts/2").status_code == 404
    assert "hidden" in admin.get("/admin/posts").text
    submit(admin, "/admin/posts/2/restore", "/admin/posts/2")
    assert bodies(client.get("/")) == ["post 3", "post 2", "post 1"]
    record = admin.get("/admin").text
    assert "hide post 2" in record and "restore post 2" in record and "spam" in record


def test_account_is_closed_and_reopened(app, admin, log_in_as):
    """Deactivation ends the user's sessions and prevents logins. Activation allows logins again."""
    ann = log_in_as("ann")
    submit(admin, "/admin/users/3/deactivate", "/admin/users/3")
    assert ann.get("/account").status_code == 302
    assert not log_in(app.test_client(), "ann@example.com").location
    submit(admin, "/admin/users/3/activate", "/admin/users/3")
    assert log_in(app.test_client(), "ann@example.com").location == "/"


def test_sessions_stay_ended_after_a_reopening(app, admin, log_in_as):
    """Sessions from before a deactivation stay ended after the activation, even if they were not used in between."""
    used, unused = log_in_as("ann"), app.test_client()
    log_in(unused, "ann@example.com")
    submit(admin, "/admin/users/3/deactivate", "/admin/users/3")
    assert used.get("/account").status_code == 302
    submit(admin, "/admin/users/3/activate", "/admin/users/3")
    assert used.get("/account").status_code == 302
    assert unused.get("/account").status_code == 302


def test_account_is_unlocked(app, admin, add_user):
    """A user whose account was locked can log in after an admin has unlocked it."""
    add_user("ann", locked_until=utc_now().replace(year=2999))
    assert not log_in(app.test_client(), "ann@example.com").location
    assert "locked" in admin.get("/admin/users").text
    submit(admin, "/admin/users/3/unlock", "/admin/users/3")
    assert log_in(app.test_client(), "ann@example.com").location == "/"


def test_admin_role_is_granted_and_revoked(app, admin):
    """An admin can grant and revoke the role. Both actions are recorded."""
    for action, outcome in (("make-admin", True), ("make-admin", True), ("remove-admin", False)):
        submit(admin, f"/admin/users/1/{action}", "/admin/users/1")
        with app.app_context():
            assert db.session.get(User, 1).is_admin is outcome
    with app.app_context():
        assert [action.action for action in AdminAction.page().items] == ["remove-admin", "make-admin", "make-admin"]


@pytest.mark.parametrize("action", ["deactivate", "remove-admin"])
def test_admins_cannot_change_their_own_account(app, admin, action):
    """Actions on the admin's own account are rejected, and the page does not offer them."""
    assert submit(admin, f"/admin/users/2/{action}", "/admin/users").status_code == 409
    assert f"/admin/users/2/{action}" not in admin.get("/admin/users/2").text
    assert admin.get("/admin").status_code == 200


def test_recorded_actions_are_paginated(app, admin):
    """Every recorded action can be reached: the page of the newest ones links to the older ones."""
    with app.app_context():
        db.session.add_all(AdminAction(admin_id=2, action="hide", target=f"post {n}") for n in range(1, 61))
        db.session.commit()
    page = admin.get("/admin").text
    assert "post 60" in page and "post 10<" not in page
    (older,) = re.findall(r'rel="next" href="([^"]+)"', page)
    page = admin.get(older).text
    assert "post 10<" in page and "post 1<" in page and 'rel="next"' not in page


def test_unknown_targets_and_actions(admin):
    """Unknown users, posts and actions are 404, and nothing is recorded."""
    for path in ("/admin/users/9/unlock", "/admin/posts/9/hide", "/admin/posts/1/explode"):
        assert submit(admin, path, "/admin/posts/1").status_code == 404
    assert "No actions yet" in admin.get("/admin").text


@pytest.mark.parametrize("reason", ["x" * 201, "nul \0"])
def test_invalid_reason_prevents_the_action(app, admin, reason):
    """An action with an invalid reason is not applied."""
    assert submit(admin, "/admin/posts/1/hide", "/admin/posts/1", reason=reason).status_code == 422
    with app.app_context():
        assert db.session.get(Post, 1).hidden_at is None


def test_user_search(admin, add_user):
    """The search matches usernames and email addresses. % is not a wildcard."""
    add_user("somebody")
    for query, count in (("OME", 1), ("somebody@example", 1), ("@example.com", 3), ("%25", 0)):
        assert admin.get(f"/admin/users?q={query}").text.count('class="fw-semibold"') == count


def test_statistics(admin):
    """The overview shows the number of accounts, posts, hidden posts and follows."""
    submit(admin, "/admin/posts/2/hide", "/admin/posts/2")
    page = admin.get("/admin").text
    for name, count in (("accounts", 2), ("posts", 3), ("hidden posts", 1), ("follows", 0)):
        assert f"<dt>{name}</dt><dd>{count}</dd>" in page


def test_statistics_of_the_last_24_hours(app, admin, add_user):
    """Posts and logins count as recent for 24 hours."""
    moments = [utc_now() - timedelta(hours=hours) for hours in (23, 25, 24 * 29)]
    for number, moment in enumerate(moments):
        add_user(f"user{number}", current_login_at=moment)
    with app.app_context():
        for post, moment in zip(db.session.query(Post), moments, strict=True):
            post.created_at = moment
        db.session.commit()
    page = admin.get("/admin").text
    assert "<dt>posts in the last 24 hours</dt><dd>1</dd>" in page
    assert "<dt>accounts with a login in the last 24 hours</dt><dd>2</dd>" in page  # user0 and the admin


# --- flask admin ------------------------------------------------------------------------------------------------------


def run(app, *arguments, **options):
    return app.test_cli_runner().invoke(args=["admin", *arguments], **options)


def test_command_creates_an_admin(app):
    """`flask admin EMAIL` prompts for a password and creates an account that can log in and open /admin."""
    result = run(app, "Boss@example.com", input="correct horse\ncorrect horse\n")
    assert result.exit_code == 0, result.output
    assert "(username: boss) is an admin" in result.output
    client = app.test_client()
    log_in(client, "boss@example.com")
    assert client.get("/admin").status_code == 200


def test_command_promotes_an_existing_user(app, add_user):
    """For an existing account, there is no prompt and the password does not change."""
    add_user("ann")
    for _ in range(2):
        assert run(app, "ann@example.com").exit_code == 0
    client = app.test_client()
    assert log_in(client, "ann@example.com").location == "/"
    assert messages(client.get("/admin")) == []
    assert client.get("/admin").status_code == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "is not a valid email address"),
        (["x@example.com"], "--username NAME"),
        (["new@example.com", "--username", "ann"], "is taken or invalid"),
        (["new@example.com", "--password", "short"], "at least 8"),
    ],
)
def test_command_rejects_invalid_arguments(app, add_user, arguments, message):
    """Invalid arguments exit with status 1 and print error, cause and fix. No account is created."""
    add_user("ann")
    result = run(app, *arguments)
    assert result.exit_code == 1
    assert message in result.output
    assert len(result.output.strip().splitlines()) == 3
    with app.app_context():
        assert db.session.query(User).count() == 1


@pytest.mark.parametrize("columns", [{"active": False}, {"confirmed_at": None}, {"locked_until": LOCKED}])
def test_command_reopens_an_account(app, add_user, columns):
    """The command is the way back if no admin can log in: it opens the account, and says what prevented logins."""
    add_user("ann", **columns)
    output = run(app, "ann@example.com").output
    assert "now it is open" in output
    client = app.test_client()
    assert log_in(client, "ann@example.com").location == "/"
    assert client.get("/admin").status_code == 200


# --- the last admin ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["remove-admin", "deactivate"])
def test_two_admins_cannot_remove_each_other(app, log_in_as, action):
    """If two admins remove each other at the same time, one of them stays, also if there are others."""
    log_in_as("other", admin=True)
    admins = [log_in_as("first", admin=True), log_in_as("second", admin=True)]
    paths = [f"/admin/users/{number}" for number in (3, 2)]
    tokens = [csrf_token(admin, path) for admin, path in zip(admins, paths, strict=True)]
    barrier, statuses = threading.Barrier(2), []

    def remove(admin, path, token):
        barrier.wait()
        statuses.append(admin.post(f"{path}/{action}", data={"csrf_token": token}).status_code)

    threads = [threading.Thread(target=remove, args=row) for row in zip(admins, paths, tokens, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # 403 or 302: the second request began after the first one was finished.
    assert sorted(statuses) in ([302, 303], [303, 403])
    with app.app_context():
        assert [user.is_admin and user.active for user in db.session.query(User)].count(True) == 2


@only_postgresql
def test_removal_waits_for_a_concurrent_removal(app, log_in_as):
    """A removal that has begun before another one was committed sees its result: a former admin removes nobody."""
    first, second = log_in_as("first", admin=True), log_in_as("second", admin=True)
    tokens = csrf_token(first, "/admin/users/2"), csrf_token(second, "/admin/users/1")
    entered, lock = threading.Event(), User.lock_admins
    statuses = {}

    def remove(name, admin, path, token):
        statuses[name] = admin.post(f"{path}/remove-admin", data={"csrf_token": token}).status_code

    def lock_and_start_other():
        lock()
        if not entered.is_set():
            entered.set()
            thread.start()
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                with db.engine.connect() as connection:
                    if connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                        return
            pytest.fail("The other removal did not wait.")

    thread = threading.Thread(target=remove, args=("second", second, "/admin/users/1", tokens[1]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(User, "lock_admins", staticmethod(lock_and_start_other))
        remove("first", first, "/admin/users/2", tokens[0])
        thread.join()
    assert statuses == {"first": 303, "second": 403}


def test_actions_are_paginated(app, admin):
    """The overview has pages with all admin actions."""
    with app.app_context():
        rows = [AdminAction(admin_id=2, action="hide", target=f"post {number}") for number in range(60)]
        db.session.add_all(rows)
        db.session.commit()
    page = admin.get("/admin").text
    assert "hide post 59<" in page and "hide post 9<" not in page
    older = page.split('rel="next" href="')[1].split('"')[0]
    assert "hide post 9<" in admin.get(older).text
