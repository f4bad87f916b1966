"""Account forms. The other password forms are Flask-Security's own."""

from flask import current_app
from flask_security import RegisterFormV2, current_user
from flask_security.forms import ChangePasswordForm as SecurityChangePasswordForm
from flask_security.forms import LoginForm as SecurityLoginForm
from flask_security.utils import get_message
from flask_wtf import FlaskForm
from wtforms import Field, PasswordField, StringField, ValidationError
from wtforms.validators import DataRequired, InputRequired, Length

from app.account.models import USERNAME, User
from app.database import db, utc_now
from app.extensions import security
from app.validation import validate_plain_text

# Names that would look official in a post, and the mailboxes of RFC 2142. `flask admin` can still create them.
RESERVED_USERNAMES = frozenset(
    "abuse admin administrator api billing contact help hostmaster info mail marketing moderator noc no_reply noreply "
    "official owner postmaster root sales security staff support system team tripod usenet webmaster www".split()
)


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

    def validate_password(self, field: Field) -> None:
        """Normalize the password, which Flask-Security does only if the account exists."""
        field.data = security.password_util.normalize(field.data)


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
        if field.data in RESERVED_USERNAMES or User.by_username(field.data):
            raise ValidationError("This username is taken. Please choose another one.")

    def to_dict(self, only_user: bool) -> dict:
        """Return the new user's attributes. Without a mail server, the email address counts as confirmed."""
        attributes = super().to_dict(only_user)
        attributes["confirmed_at"] = None if current_app.config["SMTP_URL"] else utc_now()
        return attributes


class ChangePasswordForm(SecurityChangePasswordForm):
    """Changes the user's own password. A wrong current password counts as a failed login."""

    def validate(self, **options) -> bool:
        """Return whether the form is valid, and count a wrong password."""
        is_valid = super().validate(**options)
        if get_message("INVALID_PASSWORD")[0] in self.password.errors:
            current_user.track_failed_authn("password")
        return is_valid


class DeactivateForm(FlaskForm):
    """Closes the user's own account."""

    password = PasswordField(
        "Your password",
        validators=[InputRequired("Enter your password to confirm.")],
        render_kw={"autocomplete": "current-password"},
    )

    def validate_password(self, field: Field) -> None:
        """Raises ValidationError if the password is wrong, which counts as a failed login."""
        if not current_user.verify_and_update_password(field.data):
            current_user.track_failed_authn("password")
            raise ValidationError("The password is wrong.")


class TokenForm(FlaskForm):
    """Creates an API token."""

    name = StringField(
        "Name",
        description="What the token is for, for example “backup script”.",
        validators=[validate_plain_text, DataRequired("Enter a name for the token."), Length(max=80)],
    )
