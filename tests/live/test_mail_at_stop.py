"""Mails that are being sent when a server stops are not lost."""

import secrets

import pytest

from tests.live.in_flight import logged
from tests.live.stack import Stack
from tests.smoke.client import Site


@pytest.fixture(scope="module")
def stack(make_stack) -> Stack:
    """The sample app with a slow mail server; not started yet."""
    return make_stack("slow-smtp.yml", SMTP_URL="smtp://mail:2525", ALLOWED_HOSTS="127.0.0.1")


def test_mail_is_sent_before_the_stop(stack, server):
    """The mail of a registration is sent within SHUTDOWN_GRACE when the web container stops right after the response,
    although the mail server takes 3 s to answer.
    """
    stack.up(WSGI_SERVER=server)
    username, password = f"user_{secrets.token_hex(6)}", secrets.token_urlsafe(16)
    form = {"username": username, "email": f"{username}@example.com"}
    Site(stack.url).fill_in("/register", form | {"password": password, "password_confirm": password})
    mail, accepted = stack.container("mail"), f"accepted for <{username}@example.com>"
    assert logged(mail, accepted) == 0
    stack.compose("stop", "web")
    assert logged(mail, accepted) == 1
    assert stack.inspect("web", "{{.State.ExitCode}}") == "0"
