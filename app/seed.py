"""`flask seed`: people, notes and follows to look at, made up, in one transaction."""

import random
import secrets
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count, islice, product

import click
from flask import Flask
from flask.cli import with_appcontext
from flask_security import hash_password
from sqlalchemy import insert, select

from app.account.models import User
from app.admin.actions import make_admin
from app.blog.models import Follow, Post
from app.database import utc_now
from app.extensions import db

BATCH = 2000  # notes between two steps of the progress bar
MOST_FOLLOWED = 15  # by one person
PACE = timedelta(minutes=20)  # between two notes, on average
LONGEST_PAST = timedelta(days=730)

FIRST = "ada ben cleo dan eva finn grace hugo ines jonas kim lea milo nora otto pia quinn rosa sam tess".split()
LAST = "abbott baker castillo diaz ekman fischer garcia haddad ito jensen klein lopez moreau novak okafor".split()

# Slots are filled from SLOTS, again and again.
NOTES = (
    "{start} {thing} {finding}.",
    "{start} {thing} {finding}. {end}",
    "{question} {end}",
    "{question}",
    "Note to myself: {advice}.",
    "Today I learned: {advice}. {end}",
    "{place}: {thing} {finding}.",
    "Reading {link} on the train. {end}",
    "{advice}. See {link}.",
)
SLOTS = {
    "start": ("After two hours,", "It turns out that", "Good news:", "Nobody told me that", "Since this morning"),
    "thing": ("the old printer", "my sourdough", "the night train", "our release script", "the tomato plant",
              "the coffee machine", "the map of the new path", "our smallest server", "the borrowed bicycle"),
    "finding": ("works again", "needs one more day", "is better than I remembered", "makes a strange noise",
                "was worth the wait", "has a mind of its own", "fits into half the space"),
    "question": ("Does anybody know a quiet place to work near the station?", "Which of you still keeps a paper diary?",
                 "What do you cook when there is no time?", "Who else has seen the northern lights last night?",
                 "How do you name your branches?", "Is there a good book about bridges?"),
    "end": ("Small things.", "Back to work.", "More about it tomorrow.", "I did not expect that.", "Tea first.",
            "Thanks to all who helped!"),
    "advice": ("measure before you make it faster", "water the plants on Sundays", "write the error message first",
               "buy the ticket before the weekend", "a backup is one that was restored once", "shorter notes are read",
               "label the cables on both ends"),
    "place": ("In the garden", "On the pier", "Second floor, left", "Somewhere behind the museum", "At the market"),
    "link": ("https://example.com/bridges", "https://example.org/timetable", "https://example.net/recipes?of=bread"),
}


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
    taken, hashed, now = set(db.session.scalars(select(User.username))), hash_password(password), utc_now()
    chosen = list(islice((name for name in usernames() if name not in taken), number))
    rows = [
        {"username": name, "email": f"{name}@example.com", "password": hashed, "fs_uniquifier": uuid.uuid4().hex,
         "created_at": now - LONGEST_PAST, "confirmed_at": now - LONGEST_PAST}
        for name in chance.sample(chosen, number)
    ]
    db.session.execute(insert(User), rows)
    by_name = {user.username: user for user in db.session.scalars(select(User).where(User.username.in_(chosen)))}
    return [by_name[row["username"]] for row in rows]


def usernames() -> Iterator[str]:
    """Yield names without end, well mixed: ada_abbott, ben_baker, …, ada_baker, …, ada_abbott2, …"""
    for number in count(1):
        for shift, (place, first) in product(range(len(LAST)), enumerate(FIRST)):
            yield f"{first}_{LAST[(place + shift) % len(LAST)]}{number if number > 1 else ''}"


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
        yield {"author_id": chance.choice(people).id, "body": text(chance), "created_at": within(chance, moment, step)}
        moment += step


def within(chance: random.Random, start: datetime, step: timedelta) -> datetime:
    """Return a moment between `start` and `start + step`."""
    return start + step * chance.random()


def text(chance: random.Random) -> str:
    """Return a short text as somebody might write it."""
    words = chance.choice(NOTES).format_map({slot: chance.choice(choices) for slot, choices in SLOTS.items()})
    return words[0].upper() + words[1:]
