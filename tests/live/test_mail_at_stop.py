"""Mails that are being sent when a server stops are not lost."""

import secrets
from concurrent.futures import ThreadPoolExecutor

from deploy.settings import server_names
from tests.live.in_flight import logged
from tests.live.stack import Stack
from tests.smoke.client import Site


def test_mail_is_sent_before_the_stop(make_stack):
    """The mail of a registration is sent within SHUTDOWN_GRACE when the web container stops right after the response,
    although the mail server takes 2 s to answer, on every server.
    """
    stacks = {
        name: make_stack("slow-smtp.yml", WSGI_SERVER=name, SMTP_URL="smtp://mail:2525") for name in server_names()
    }

    def mails(stack: Stack) -> tuple[int, int, str]:
        """Return how many mails the mail server has accepted before and after the stop, and the exit status."""
        stack.up(ALLOWED_HOSTS=f"127.0.0.1:{stack.port}")
        username, password = f"user_{secrets.token_hex(6)}", secrets.token_urlsafe(16)
        form = {"username": username, "email": f"{username}@example.com"}
        Site(stack.url).fill_in("/register", form | {"password": password, "password_confirm": password})
        mail, accepted = stack.container("mail"), f"accepted for <{username}@example.com>"
        before = logged(mail, accepted)
        stack.compose("stop", "web")
        return before, logged(mail, accepted), stack.inspect("web", "{{.State.ExitCode}}")

    with ThreadPoolExecutor() as pool:
        results = dict(zip(stacks, pool.map(mails, stacks.values()), strict=True))
    assert results == dict.fromkeys(stacks, (0, 1, "0"))
