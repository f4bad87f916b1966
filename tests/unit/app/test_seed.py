"""`flask seed`: a demo to look at."""

import re

import pytest
from flask_migrate import upgrade
from sqlalchemy import func, select

from app.account.models import User
from app.blog.models import BODY_MAX, Follow, Post, clean_body
from app.database import db


@pytest.fixture
def demo(make_app, empty_database):
    """An app on either kind of database, with tables and nobody in them."""
    app = make_app(empty_database)
    with app.app_context():
        upgrade()
        yield app


def seed(app, *options: str):
    return app.test_cli_runner().invoke(args=["seed", *options])


def count(model) -> int:
    return db.session.scalar(select(func.count()).select_from(model))


def bodies() -> list[str]:
    return list(db.session.scalars(select(Post.body).order_by(Post.id)))


def test_fills_the_database(demo):
    """So many people and notes as were asked for, follows among them, the newest note the last; one is an admin."""
    done = seed(demo, "--posts", "300", "--users", "20")
    assert done.exit_code == 0, done.output
    assert (count(User), count(Post)) == (20, 300) and count(Follow) >= 10
    moments = list(db.session.scalars(select(Post.created_at).order_by(Post.id)))
    assert moments == sorted(moments)
    assert all(clean_body(body) == body and len(body) <= BODY_MAX for body in bodies())
    said = re.search(r"as (\S+) \(an admin\) or (\S+);.*: (\S+)$", done.output.strip(), re.DOTALL)
    admin, member, password = said.groups()
    found = {user.email: user for user in db.session.scalars(select(User))}
    assert found[admin].is_admin and not found[member].is_admin
    assert all(user.verify_and_update_password(password) for user in (found[admin], found[member]))


def test_refuses_where_there_are_people(demo):
    """A database with people in it is left alone, unless --force says otherwise; then nobody is changed."""
    assert seed(demo, "--posts", "10", "--users", "2").exit_code == 0
    names = set(db.session.scalars(select(User.username)))
    refused = seed(demo)
    assert refused.exit_code == 1 and "flask seed --force" in refused.output and count(Post) == 10
    assert seed(demo, "--posts", "10", "--users", "3", "--force").exit_code == 0
    assert count(Post) == 20 and count(User) == 5
    assert names < set(db.session.scalars(select(User.username)))


def test_same_number_same_demo(demo):
    """--random-seed makes the same notes again, another number others."""
    for number in ("7", "7", "8"):
        assert seed(demo, "--posts", "40", "--users", "3", "--force", "--random-seed", number).exit_code == 0
    texts = bodies()
    assert texts[:40] == texts[40:80] != texts[80:]
