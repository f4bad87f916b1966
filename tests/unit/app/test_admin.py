"""The admins' pages: who gets in, what they can do, and that each action leaves a record."""

import pytest

from app.account.models import User
from app.admin.models import AdminAction
from app.blog.models import Post
from app.database import db, utc_now
from tests.unit.app.web import bodies, log_in, messages, submit

PAGES = ("/admin", "/admin/users", "/admin/users/1", "/admin/posts", "/admin/posts/1")
ACTIONS = ("/admin/users/1/deactivate", "/admin/users/1/make-admin", "/admin/posts/1/hide")


@pytest.fixture
def boss(log_in_as, add_posts):
    """Return the browser of an admin (user 2), on a site with three notes of `author` (user 1)."""
    add_posts(3)
    return log_in_as("boss", admin=True)


@pytest.mark.parametrize("path", PAGES)
def test_admins_see_every_page(boss, path):
    """Every page is there for an admin."""
    assert boss.get(path).status_code == 200


@pytest.mark.parametrize("path", [*PAGES, "/admin/nothing"])
def test_nobody_else_sees_any(app, boss, log_in_as, path):
    """A user gets 403 from every page; a stranger the log-in."""
    if path != "/admin/nothing":  # what is not there is 404 for all
        response = log_in_as("ann").get(path)
        assert response.status_code == 403
        assert "Only admins" in response.text
        assert app.test_client().get(path).location == f"/login?next={path}"


@pytest.mark.parametrize("path", ACTIONS)
def test_nobody_else_does_anything(app, boss, log_in_as, path):
    """A user's action is 403, also with a good token of another page, and does and records nothing."""
    assert submit(log_in_as("ann"), path, "/account/tokens").status_code == 403
    assert submit(app.test_client(), path, "/login").location.startswith("/login")
    assert boss.post(path).status_code == 400  # without its token
    with app.app_context():
        assert db.session.get(User, 1).active and not db.session.get(User, 1).is_admin
        assert db.session.query(AdminAction).count() == 0


def test_who_is_admin_no_longer_is_out_at_once(app, boss, log_in_as):
    """An admin who loses the role gets 403 with the next request."""
    other = log_in_as("other", admin=True)
    assert other.get("/admin").status_code == 200
    submit(boss, "/admin/users/3/remove-admin", "/admin/users/3")
    assert other.get("/admin").status_code == 403


def test_a_note_is_hidden_and_restored(boss, client):
    """Hiding takes a note from every page and restoring brings it back; both stand in the record, with the reason."""
    assert submit(boss, "/admin/posts/2/hide", "/admin/posts/2", note=" spam ").location == "/admin/posts/2"
    assert bodies(client.get("/")) == ["post 3", "post 1"]
    assert client.get("/posts/2").status_code == 404
    assert "hidden" in boss.get("/admin/posts").text
    submit(boss, "/admin/posts/2/restore", "/admin/posts/2")
    assert bodies(client.get("/")) == ["post 3", "post 2", "post 1"]
    record = boss.get("/admin").text
    assert "hide post 2" in record and "restore post 2" in record and "spam" in record


def test_an_account_is_closed_and_opened(app, boss, log_in_as):
    """Deactivating ends the user's sessions at once and refuses log-ins; activating lets log in again."""
    ann = log_in_as("ann")
    submit(boss, "/admin/users/3/deactivate", "/admin/users/3")
    assert ann.get("/account").status_code == 302
    assert not log_in(app.test_client(), "ann@example.com").location
    submit(boss, "/admin/users/3/activate", "/admin/users/3")
    assert log_in(app.test_client(), "ann@example.com").location == "/"


def test_an_account_is_unlocked(app, boss, add_user):
    """Unlocking lets somebody log in whom too many wrong passwords have locked out."""
    add_user("ann", locked_until=utc_now().replace(year=2999))
    assert not log_in(app.test_client(), "ann@example.com").location
    assert "locked" in boss.get("/admin/users").text
    submit(boss, "/admin/users/3/unlock", "/admin/users/3")
    assert log_in(app.test_client(), "ann@example.com").location == "/"


def test_roles_are_given_and_taken(app, boss):
    """An admin makes another one, and takes it back; both are recorded."""
    for action, outcome in (("make-admin", True), ("make-admin", True), ("remove-admin", False)):
        submit(boss, f"/admin/users/1/{action}", "/admin/users/1")
        with app.app_context():
            assert db.session.get(User, 1).is_admin is outcome
    with app.app_context():
        assert [action.action for action in AdminAction.latest()] == ["remove-admin", "make-admin", "make-admin"]


@pytest.mark.parametrize("action", ["deactivate", "remove-admin"])
def test_no_admin_locks_everybody_out(app, boss, action):
    """What one could do to one's own account is refused, and the page does not offer it."""
    assert submit(boss, f"/admin/users/2/{action}", "/admin/users").status_code == 409
    assert f"/admin/users/2/{action}" not in boss.get("/admin/users/2").text
    assert boss.get("/admin").status_code == 200


def test_what_is_not_there_is_404(boss):
    """Unknown users, notes and actions are 404, and nothing is recorded."""
    for path in ("/admin/users/9/unlock", "/admin/posts/9/hide", "/admin/posts/1/explode"):
        assert submit(boss, path, "/admin/posts/1").status_code == 404
    assert "Nothing yet" in boss.get("/admin").text


@pytest.mark.parametrize("note", ["x" * 201, "nul \0"])
def test_a_bad_reason_stops_the_action(app, boss, note):
    """An action whose reason cannot be recorded is not done either."""
    assert submit(boss, "/admin/posts/1/hide", "/admin/posts/1", note=note).status_code == 422
    with app.app_context():
        assert db.session.get(Post, 1).hidden_at is None


def test_users_are_found_by_name_and_email(boss, add_user):
    """The search looks into names and emails; % is a letter like others."""
    add_user("somebody")
    for query, count in (("OME", 1), ("somebody@example", 1), ("@example.com", 3), ("%25", 0)):
        assert boss.get(f"/admin/users?q={query}").text.count('class="fw-semibold"') == count


def test_figures_count(boss):
    """The overview counts accounts and notes, hidden ones apart."""
    submit(boss, "/admin/posts/2/hide", "/admin/posts/2")
    page = boss.get("/admin").text
    for name, count in (("accounts", 2), ("notes", 3), ("hidden notes", 1), ("follows", 0)):
        assert f"<dt>{name}</dt><dd>{count}</dd>" in page


# --- flask admin --------------------------------------------------------------------------------------------


def run(app, *arguments, **options):
    return app.test_cli_runner().invoke(args=["admin", *arguments], **options)


def test_the_first_admin_is_made_on_the_command_line(app):
    """`flask admin EMAIL` asks for a password and makes an account that can log in and see /admin."""
    result = run(app, "Boss@example.com", input="correct horse\ncorrect horse\n")
    assert result.exit_code == 0, result.output
    assert "as boss" in result.output
    client = app.test_client()
    log_in(client, "boss@example.com")
    assert client.get("/admin").status_code == 200


def test_an_account_that_is_there_becomes_admin(app, add_user):
    """For an account that exists nothing is asked, and its password stays."""
    add_user("ann")
    for _ in range(2):
        assert run(app, "ann@example.com").exit_code == 0
    client = app.test_client()
    assert log_in(client, "ann@example.com").location == "/"
    assert messages(client.get("/admin")) == []
    assert client.get("/admin").status_code == 200


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "is not an email address"),
        (["x@example.com"], "--username NAME"),
        (["new@example.com", "--username", "ann"], "is taken"),
        (["new@example.com", "--password", "short"], "at least 8"),
    ],
)
def test_what_makes_no_admin_is_said(app, add_user, arguments, said):
    """Bad arguments end with status 1, what is wrong, why and what to type, and make no account."""
    add_user("ann")
    result = run(app, *arguments)
    assert result.exit_code == 1
    assert said in result.output
    assert len(result.output.strip().splitlines()) == 3
    with app.app_context():
        assert db.session.query(User).count() == 1
