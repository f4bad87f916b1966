"""The forms of an account. Flask-Security has the ones for passwords; these change or add to them."""

from flask import current_app
from flask_security import RegisterFormV2, current_user
from flask_security.forms import LoginForm as SecurityLoginForm
from flask_wtf import FlaskForm
from wtforms import Field, PasswordField, StringField, ValidationError
from wtforms.validators import DataRequired, InputRequired, Length

from app.account.models import USERNAME, User
from app.database import db, utc_now
from app.extensions import security
from app.text import plain_text


class LoginForm(SecurityLoginForm):
    """Asks for email and password; how long a session lasts is the same for all."""

    remember = None

    def validate_email(self, field: Field) -> None:
        # Else validate() would look, and others could not write while it hashes a password (database.py).
        self.ifield, self.user = field, security.datastore.find_user(email=field.data)
        if self.user is None:
            db.session.rollback()


class RegisterForm(RegisterFormV2):
    """Makes an account. That a username is taken is no secret, for it is public; that an email is, is one."""

    username = StringField(
        "Username",
        description="3 to 30 of a–z, 0–9 and _. Everybody sees it.",
        render_kw={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"},
    )

    def validate_username(self, field: Field) -> None:
        field.data = (field.data or "").strip().lower()
        if not USERNAME.fullmatch(field.data):
            raise ValidationError("A username has 3 to 30 characters: a to z, 0 to 9 and _.")
        if User.named(field.data):
            raise ValidationError("This username is taken. Please choose another one.")

    def to_dict(self, only_user: bool) -> dict:
        # Where no mail can be sent nobody could confirm anything.
        return super().to_dict(only_user) | {"confirmed_at": None if current_app.config["SMTP_URL"] else utc_now()}


class DeactivateForm(FlaskForm):
    """Closes one's own account."""

    password = PasswordField(
        "Your password",
        validators=[InputRequired("Type your password, so that nobody else can do this.")],
        render_kw={"autocomplete": "current-password"},
    )

    def validate_password(self, field: Field) -> None:
        if not current_user.verify_and_update_password(field.data):
            raise ValidationError("This is not your password.")


class TokenForm(FlaskForm):
    """Makes a token."""

    name = StringField(
        "What is it for?",
        description="So that you know it again, such as “backup script”.",
        validators=[plain_text, DataRequired("Give the token a name."), Length(max=80)],
    )
