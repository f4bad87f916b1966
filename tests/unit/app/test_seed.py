"""`flask seed`: demo data."""

import re

import pytest
from sqlalchemy import func, select

from app.account.models import User
from app.blog.models import BODY_MAX, Follow, Post, clean_body
from app.database import db


@pytest.fixture
def demo(app):
    """Return an app whose context is active."""
    with app.app_context():
        yield app


def seed(app, *options: str):
    return app.test_cli_runner().invoke(args=["seed", *options])


def count(model) -> int:
    return db.session.scalar(select(func.count()).select_from(model))


def bodies() -> list[str]:
    return list(db.session.scalars(select(Post.body).order_by(Post.id)))


def test_adds_demo_data(demo):
    """The command adds the requested numbers of users and posts, in chronological order, follows, and an admin."""
    done = seed(demo, "--posts", "300", "--users", "20")
    assert done.exit_code == 0, done.output
    assert (count(User), count(Post)) == (20, 300) and count(Follow) >= 10
    moments = list(db.session.scalars(select(Post.created_at).order_by(Post.id)))
    assert moments == sorted(moments)
    assert all(clean_body(body) == body and len(body) <= BODY_MAX for body in bodies())
    login = re.search(r"as (\S+) \(an admin\) or (\S+)\.$.*: (\S+)$", done.output.strip(), re.DOTALL | re.MULTILINE)
    admin, member, password = login.groups()
    users = {user.email: user for user in db.session.scalars(select(User))}
    assert users[admin].is_admin and not users[member].is_admin
    assert all(user.verify_and_update_password(password) for user in (users[admin], users[member]))


def test_requires_force_if_there_are_users(demo):
    """A database with users is not changed without --force. With --force, existing users are kept."""
    assert seed(demo, "--posts", "10", "--users", "2").exit_code == 0
    names = set(db.session.scalars(select(User.username)))
    refused = seed(demo)
    assert refused.exit_code == 1 and "flask seed --force" in refused.output and count(Post) == 10
    assert seed(demo, "--posts", "10", "--users", "3", "--force").exit_code == 0
    assert count(Post) == 20 and count(User) == 5
    assert names < set(db.session.scalars(select(User.username)))


def test_random_seed_is_reproducible(demo):
    """The same --random-seed creates the same posts. A different number creates other posts."""
    for number in ("7", "7", "8"):
        assert seed(demo, "--posts", "40", "--users", "3", "--force", "--random-seed", number).exit_code == 0
    texts = bodies()
    assert texts[:40] == texts[40:80] != texts[80:]
