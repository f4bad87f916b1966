"""`flask admin EMAIL`: create an admin."""

import click
from flask_security import hash_password

from app.account.models import USERNAME, User
from app.admin.actions import activate, make_admin, unlock
from app.admin.views import bp
from app.database import db, utc_now
from app.extensions import security


@bp.cli.command("admin")
@click.argument("email")
@click.option("--username", help="Username of a new account. Default: the local part of EMAIL.")
@click.option("--password", help="Password of a new account. Default: prompt for it.")
def admin(email: str, username: str | None, password: str | None) -> None:
    """Make the user with EMAIL an admin, and create the account if it does not exist."""
    email = _validate_email(email)
    user = security.datastore.find_user(email=email)
    if user is None:
        user = _create_user(email, username, password)
    changes = _open(user)
    make_admin(user)
    db.session.commit()
    if changes:
        click.echo(f"The account was {' and '.join(changes)} before; now it is open.")
    click.echo(f"{email} (username: {user.username}) is an admin. Log in at /login, then open /admin.")


def _open(user: User) -> list[str]:
    """Make sure that the user can log in: this command is the way back if no admin can. Return what prevented it."""
    changes = []
    if not user.active:
        changes.append("closed")
        activate(user)
    if user.locked:
        changes.append("locked")
        unlock(user)
    if user.confirmed_at is None:
        changes.append("not confirmed")
        user.confirmed_at = utc_now()
    return changes


def _validate_email(email: str) -> str:
    try:
        return security.mail_util.validate(email)
    except ValueError:
        raise _error(
            f"{email!r} is not a valid email address.",
            "Users log in with their email address.",
            "flask admin you@example.com",
        ) from None


def _create_user(email: str, username: str | None, password: str | None) -> User:
    username = username or email.partition("@")[0]
    if not USERNAME.fullmatch(username) or User.by_username(username):
        raise _error(
            f"The username {username!r} is taken or invalid.",
            "Usernames are unique and have 3 to 30 characters: a-z, 0-9 and _.",
            f"flask admin {email} --username NAME",
        )
    password = password or click.prompt("Password", hide_input=True, confirmation_prompt=True)
    problems, password = security.password_util.validate(password, True)
    if problems:
        raise _error(
            f"{problems[0]}.",
            "The password is too weak for an admin.",
            f"flask admin {email} (with a longer password)",
        )
    return security.datastore.create_user(email=email, username=username, password=hash_password(password))


def _error(error: str, cause: str, fix: str) -> click.ClickException:
    return click.ClickException(f"{error}\ncause: {cause}\nfix:   {fix}")
