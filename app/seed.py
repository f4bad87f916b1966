"""`flask seed`: fill the database with demo data."""

import random
import secrets
import uuid
from collections.abc import Iterator
from datetime import timedelta
from itertools import count, islice
from pathlib import Path

import click
import tomllib
from flask import Flask
from flask.cli import with_appcontext
from flask_security import hash_password
from sqlalchemy import insert, select

from app.account.models import User
from app.admin.actions import make_admin
from app.blog.models import Follow, Post
from app.database import db, utc_now, write_transaction

BATCH_SIZE = 2000  # posts per INSERT and per update of the progress bar
MAX_FOLLOWED = 15  # users that one user follows
AVERAGE_INTERVAL = timedelta(minutes=20)  # between two posts
MAX_AGE = timedelta(days=730)  # of posts and accounts

DEMO = tomllib.loads(Path(__file__).with_name("seed.toml").read_text())


def init_app(app: Flask) -> None:
    """Register the command."""
    app.cli.command("seed")(seed)


@click.option("--posts", default=2000, show_default=True, type=click.IntRange(0), help="Number of posts.")
@click.option("--users", default=40, show_default=True, type=click.IntRange(2, 10_000), help="Number of users.")
@click.option("--force", is_flag=True, help="Add the demo data even if the database contains users.")
@click.option("--random-seed", type=int, help="Create the same users and posts for the same number.")
@with_appcontext
def seed(posts: int, users: int, force: bool, random_seed: int | None) -> None:
    """Add demo data: users, posts and follows, in one transaction."""
    if not force and db.session.scalar(select(User.id).limit(1)):
        raise click.ClickException(
            "The database already contains users.\n"
            "cause: Demo posts would be public next to the posts of these users.\n"
            "fix:   flask seed --force"
        )
    rng = random.Random(random_seed)
    password = secrets.token_urlsafe(12)
    password_hash = hash_password(password)  # before the transaction, which holds SQLite's write lock
    with write_transaction():
        demo_users = add_users(rng, users, password_hash)
        add_follows(rng, demo_users)
        add_posts(rng, posts, demo_users)
        admin, user = demo_users[:2]
        make_admin(admin)
    click.echo(f"Added {users} users and {posts} posts.")
    click.echo(f"Log in as {admin.email} (an admin) or {user.email}.")
    click.echo(f"Password of all demo users, shown only now: {password}")


def add_users(rng: random.Random, number: int, password_hash: str) -> list[User]:
    """Add `number` users with the same password and return them in random order."""
    existing = set(db.session.scalars(select(User.username)))
    names = list(islice((name for name in usernames() if name not in existing), number))
    created_at = utc_now() - MAX_AGE
    users = []
    for name in rng.sample(names, number):
        user = User(
            username=name,
            email=f"{name}@example.com",
            password=password_hash,
            fs_uniquifier=uuid.uuid4().hex,
            created_at=created_at,
        )
        users.append(user)
    db.session.add_all(users)
    db.session.flush()  # assigns the ids
    return users


def usernames() -> Iterator[str]:
    """Yield distinct usernames without end: ada_abbott, ben_baker, …, ada_baker, …, ada_abbott2, …"""
    first_names, last_names = DEMO["first_names"], DEMO["last_names"]
    for number in count(1):
        suffix = str(number) if number > 1 else ""
        for shift in range(len(last_names)):
            for place, first_name in enumerate(first_names):
                last_name = last_names[(place + shift) % len(last_names)]
                yield f"{first_name}_{last_name}{suffix}"


def add_follows(rng: random.Random, users: list[User]) -> None:
    """Make each user follow some of the others."""
    ids = [user.id for user in users]
    rows = []
    for follower in ids:
        number = rng.randint(1, min(MAX_FOLLOWED, len(ids)))
        for followed in rng.sample(ids, number):
            if followed != follower:
                rows.append({"follower_id": follower, "followed_id": followed})
    if rows:  # with two users, each sample can consist of the follower alone
        db.session.execute(insert(Follow), rows)


def add_posts(rng: random.Random, number: int, users: list[User]) -> None:
    """Add `number` posts and show a progress bar."""
    rows = post_rows(rng, number, users)
    with click.progressbar(length=number, label="Posts") as progress:
        while batch := list(islice(rows, BATCH_SIZE)):
            db.session.execute(insert(Post), batch)
            progress.update(len(batch))


def post_rows(rng: random.Random, number: int, users: list[User]) -> Iterator[dict]:
    """Yield the rows of `number` posts, oldest first, up to the current time."""
    interval = min(AVERAGE_INTERVAL, MAX_AGE / max(number, 1))
    start = utc_now() - interval * number
    for index in range(number):
        created_at = start + interval * (index + rng.random())
        yield {"author_id": rng.choice(users).id, "body": post_body(rng), "created_at": created_at}


def post_body(rng: random.Random) -> str:
    """Return the text of a demo post."""
    phrases = {name: rng.choice(choices) for name, choices in DEMO["phrases"].items()}
    body = rng.choice(DEMO["posts"]).format_map(phrases)
    return body[0].upper() + body[1:]
