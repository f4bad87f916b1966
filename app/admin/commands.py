"""`flask admin EMAIL`: makes the first admin."""

import click
from flask_security import hash_password

from app.account.models import USERNAME, User
from app.admin.actions import make_admin
from app.admin.views import bp
from app.database import db
from app.extensions import security


@bp.cli.command("admin")
@click.argument("email")
@click.option("--username", help="of a new account; default: the first part of the email")
@click.option("--password", help="of a new account; default: asked for")
def admin(email: str, username: str | None, password: str | None) -> None:
    """Make the account of EMAIL an admin; make the account first if there is none."""
    email = _valid_email(email)
    user = security.datastore.find_user(email=email) or _create(email, username, password)
    make_admin(user)
    db.session.commit()
    click.echo(f"{email} is an admin, as {user.username}. Log in at /login, then see /admin.")


def _valid_email(email: str) -> str:
    try:
        return security.mail_util.validate(email)
    except ValueError:
        advice = "People log in with theirs.\nType: flask admin you@example.com"
        raise click.ClickException(f"{email!r} is not an email address.\n{advice}") from None


def _create(email: str, username: str | None, password: str | None) -> User:
    username = username or email.partition("@")[0]
    if not USERNAME.fullmatch(username) or User.named(username):
        advice = f"It stands in the address of a user's page.\nChoose one: flask admin {email} --username NAME"
        raise click.ClickException(f"{username!r} is taken, or not 3 to 30 of a-z, 0-9 and _.\n{advice}")
    password = password or click.prompt("Password", hide_input=True, confirmation_prompt=True)
    problems, password = security.password_util.validate(password, True)
    if problems:
        advice = "This account will be able to close all others.\nChoose a longer password."
        raise click.ClickException(f"{problems[0]}.\n{advice}")
    return security.datastore.create_user(email=email, username=username, password=hash_password(password))
