"""`flask seed`: people, notes and follows to look at, made up, in one transaction."""

import random
import secrets
import uuid
from collections.abc import Iterator
from datetime import timedelta
from itertools import count, islice, product
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
from app.database import db, utc_now

BATCH = 2000  # notes between two steps of the progress bar
MOST_FOLLOWED = 15  # by one person
PACE = timedelta(minutes=20)  # between two notes, on average
LONGEST_PAST = timedelta(days=730)

DEMO = tomllib.loads(Path(__file__).with_name("seed.toml").read_text())


def init_app(app: Flask) -> None:
    """Register the command."""
    app.cli.command("seed")(seed)


@click.option("--posts", default=2000, show_default=True, type=click.IntRange(0), help="how many notes")
@click.option("--users", default=40, show_default=True, type=click.IntRange(2, 10_000), help="how many people")
@click.option("--force", is_flag=True, help="also where there are people already")
@click.option("--random-seed", type=int, help="the same number makes the same people and notes")
@with_appcontext
def seed(posts: int, users: int, force: bool, random_seed: int | None) -> None:
    """Fill the database with a demo, all of it or nothing."""
    if not force and db.session.scalar(select(User.id).limit(1)):
        raise click.ClickException(
            "There are people in this database already.\nInvented notes would stand among theirs, for everybody to "
            "see.\nType: flask seed --force, if that is what you want."
        )
    chance, password = random.Random(random_seed), secrets.token_urlsafe(12)
    people = add_users(chance, users, password)
    add_follows(chance, people)
    with click.progressbar(length=posts, label="Notes") as bar:
        rows = notes(chance, posts, people)
        while batch := list(islice(rows, BATCH)):
            db.session.execute(insert(Post), batch)
            bar.update(len(batch))
    make_admin(people[0])
    db.session.commit()
    click.echo(
        f"{users} people, {posts} notes. Log in as {people[0].email} (an admin) or {people[1].email}; everybody's "
        f"password is shown only now: {password}"
    )


def add_users(chance: random.Random, number: int, password: str) -> list[User]:
    """Return so many new users, who all have this password."""
    taken = set(db.session.scalars(select(User.username)))
    shared = {"password": hash_password(password), "created_at": utc_now() - LONGEST_PAST}
    chosen = islice((name for name in usernames() if name not in taken), number)
    people = [
        User(username=name, email=f"{name}@example.com", fs_uniquifier=uuid.uuid4().hex, **shared)
        for name in chance.sample(list(chosen), number)
    ]
    db.session.add_all(people)
    db.session.flush()  # gives them ids
    return people


def usernames() -> Iterator[str]:
    """Yield names without end, well mixed: ada_abbott, ben_baker, …, ada_baker, …, ada_abbott2, …"""
    last = DEMO["last_names"]
    for number in count(1):
        for shift, (place, first) in product(range(len(last)), enumerate(DEMO["first_names"])):
            yield f"{first}_{last[(place + shift) % len(last)]}{number if number > 1 else ''}"


def add_follows(chance: random.Random, people: list[User]) -> None:
    """Let everybody follow some of the others."""
    ids = [user.id for user in people]
    rows = [
        {"follower_id": follower, "followed_id": followed}
        for follower in ids
        for followed in chance.sample(ids, chance.randint(1, min(MOST_FOLLOWED, len(ids))))
        if followed != follower
    ]
    if rows:  # with two people chance may have drawn nobody
        db.session.execute(insert(Follow), rows)


def notes(chance: random.Random, number: int, people: list[User]) -> Iterator[dict]:
    """Yield the rows of so many notes, the oldest first, up to now."""
    step = min(PACE, LONGEST_PAST / max(number, 1))
    moment = utc_now() - step * number
    for _ in range(number):
        written = moment + step * chance.random()
        yield {"author_id": chance.choice(people).id, "body": text(chance), "created_at": written}
        moment += step


def text(chance: random.Random) -> str:
    """Return a short text as somebody might write it."""
    texts = {name: chance.choice(choices) for name, choices in DEMO["texts"].items()}
    words = chance.choice(DEMO["notes"]).format_map(texts)
    return words[0].upper() + words[1:]
