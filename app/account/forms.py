"""Account forms. The other password forms are Flask-Security's own."""

import uuid
from collections.abc import Callable

from flask import current_app
from flask_security import RegisterFormV2, current_user
from flask_security.confirmable import send_confirmation_instructions
from flask_security.forms import ChangePasswordForm as SecurityChangePasswordForm
from flask_security.forms import ForgotPasswordForm as SecurityForgotPasswordForm
from flask_security.forms import LoginForm as SecurityLoginForm
from flask_security.forms import SendConfirmationForm as SecuritySendConfirmationForm
from flask_security.forms import VerifyForm as SecurityVerifyForm
from flask_security.recoverable import send_reset_password_instructions
from flask_wtf import FlaskForm
from wtforms import BooleanField, Field, PasswordField, SelectField, StringField, ValidationError
from wtforms.fields.choices import SelectChoice
from wtforms.validators import DataRequired, InputRequired, Length

from app.account.models import READ, USERNAME, WRITE, User, count_failed_login
from app.database import db, utc_now
from app.extensions import security
from app.mail import NOBODY
from app.validation import validate_plain_text


class LoginForm(SecurityLoginForm):
    """Logs a user in. There is no checkbox "remember me": all sessions have the same lifetime."""

    remember = None

    def validate_email(self, field: Field) -> None:
        """Look the user up, and end the transaction if there is none."""
        # Flask-Security would look the user up in validate(), and then hash a password while the transaction holds
        # SQLite's write lock (database.py).
        self.ifield = field
        self.user = security.datastore.find_user(email=field.data)
        if self.user is None:
            db.session.rollback()

    def validate(self, **kwargs) -> bool:
        """Check the password, and count every refused attempt.

        Flask-Security counts wrong passwords of existing accounts. Attempts without an account, and attempts with the
        correct password of a closed, locked or unconfirmed account, are counted too, so that they take the same time.
        """
        if super().validate(**kwargs):
            return True
        has_hashed = self.ifield is not None and set(self.errors) <= {self.ifield.name}
        if has_hashed and (self.user is None or self.user_authenticated):
            count_failed_login(self.user)
        return False


class VerifyForm(SecurityVerifyForm):
    """Asks for the password again. While the account is locked, the correct one is rejected too."""

    def validate(self, **kwargs) -> bool:
        """Check the password. Flask-Security counts wrong ones."""
        if not super().validate(**kwargs):
            return False
        if self.user.is_locked():
            self.password.errors.append("The password is wrong.")
            return False
        return True


class ForgotPasswordForm(SecurityForgotPasswordForm):
    """Requests a link to reset the password. The reset confirms the address, so it need not be confirmed already."""

    def validate(self, **kwargs) -> bool:
        """Look the user up."""
        # Flask-Security's own method would reject accounts that are not confirmed.
        if super(SecurityForgotPasswordForm, self).validate(**kwargs) and self.user.active:
            return True
        send_to_nobody(send_reset_password_instructions)
        return False


class SendConfirmationForm(SecuritySendConfirmationForm):
    """Requests a new confirmation link."""

    def validate(self, **kwargs) -> bool:
        """Look the user up."""
        if super().validate(**kwargs):
            return True
        send_to_nobody(send_confirmation_instructions)
        return False


class ChangePasswordForm(SecurityChangePasswordForm):
    """Changes the password. Other sessions end; the API tokens are only revoked on request."""

    revoke_tokens = BooleanField("Revoke all API tokens too")


class RegisterForm(RegisterFormV2):
    """Creates an account. Usernames are public, so the form says if one is taken. Email addresses are not."""

    username = StringField(
        "Username",
        description="3 to 30 characters: a–z, 0–9 and _. Your username is public.",
        render_kw={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"},
    )

    def validate_username(self, field: Field) -> None:
        """Normalize the username. Raises ValidationError if it is invalid or taken."""
        field.data = (field.data or "").strip().lower()
        if not USERNAME.fullmatch(field.data):
            raise ValidationError("A username has 3 to 30 characters: a–z, 0–9 and _.")
        if User.by_username(field.data):
            raise ValidationError("This username is taken. Please choose another one.")

    def to_dict(self, only_user: bool) -> dict:
        """Return the new user's attributes. Without a mail server, the email address counts as confirmed."""
        attributes = super().to_dict(only_user)
        attributes["confirmed_at"] = None if current_app.config["SMTP_URL"] else utc_now()
        return attributes


class DeactivateForm(FlaskForm):
    """Closes the user's own account."""

    password = PasswordField(
        "Your password",
        validators=[InputRequired("Enter your password to confirm.")],
        render_kw={"autocomplete": "current-password"},
    )

    def validate_password(self, field: Field) -> None:
        """Raises ValidationError if the password is wrong."""
        if not current_user.verify_and_update_password(field.data):
            raise ValidationError("The password is wrong.")


class TokenForm(FlaskForm):
    """Creates an API token."""

    name = StringField(
        "Name",
        description="What the token is for, for example “backup script”.",
        validators=[validate_plain_text, DataRequired("Enter a name for the token."), Length(max=80)],
    )
    scope = SelectField(
        "Permission",
        choices=[SelectChoice(WRITE, "Read and write"), SelectChoice(READ, "Read only")],
        default=WRITE,
    )
    days = SelectField(
        "Expires after",
        choices=[SelectChoice(days, f"{days} days") for days in (30, 90, 365)],
        default=90,
        coerce=int,
    )


def send_to_nobody(send: Callable[[User], None]) -> None:
    """Do the work of a mail whose address has no account, so that the response takes the same time."""
    send(User(email=NOBODY, username="nobody", password="", fs_uniquifier=uuid.uuid4().hex))
