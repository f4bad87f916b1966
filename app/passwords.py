"""The rules for passwords: long ones are accepted, and those that are easy to guess are rejected, without a network."""

from typing import Any

from flask import current_app
from flask_security import PasswordUtil
from flask_security.utils import get_message, password_complexity_validator

MAX_LENGTH = 1024  # characters, after normalization

# zxcvbn tries every combination of the letters that such symbols can stand for. With all of them, 72 characters (its
# maximum) take 5 s; within these limits, a password takes 0.1 s at most.
CHECKED_LENGTH = 32  # characters; a password with a strong beginning is strong
SYMBOLS = set("@({[<!|$+%")
MAX_SYMBOLS = 4  # a password with more different ones is no common password


class Passwords(PasswordUtil):
    """Flask-Security's rules for passwords, with a maximum length that has a message of its own."""

    def normalize(self, password: str) -> str:
        """Return the password in a single form of Unicode, so that `ä` is the same on every keyboard.

        Everything that reads a password calls this. A password that is too long stays too long, and therefore wrong,
        but is cut: the hash function raises an exception for more than 4096 characters.
        """
        return super().normalize(password[: MAX_LENGTH + 1])[: MAX_LENGTH + 1]

    def validate(self, password: str, is_register: bool, **user: Any) -> tuple[list[str] | None, str]:
        """Return why a new password is rejected, or None, and the normalized password."""
        password = self.normalize(password)
        minimum = current_app.config["SECURITY_PASSWORD_LENGTH_MIN"]
        if len(password) > MAX_LENGTH:
            return [f"The password is too long. The maximum is {MAX_LENGTH} characters."], password
        if len(password) < minimum:
            return [get_message("PASSWORD_INVALID_LENGTH", length=minimum)[0]], password
        if len(SYMBOLS & set(password)) > MAX_SYMBOLS:
            return None, password
        return password_complexity_validator(password[:CHECKED_LENGTH], is_register, **user), password
