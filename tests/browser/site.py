"""The stack under test as its administrator sees it: the app's commands, and the mails that it kept."""

import email
import email.policy
import re

from tests.live.stack import Stack

MAIL = "/var/lib/tripod/mail"  # app/config.py: without SMTP_URL, in the state directory


class Site(Stack):
    """A live stack with a demo in it."""

    def flask(self, *words: str) -> str:
        """Run one of the app's commands; returns what it says."""
        return self.compose("exec", "-T", "web", "deploy/exec", "flask", "--app", "app.wsgi", *words).stdout

    def mailed_link(self, recipient: str, path: str) -> str:
        """The path of the link that begins with `path` in the newest mail to somebody."""
        newest_first = self.compose("exec", "-T", "web", "sh", "-c", f"ls -t {MAIL}/*.eml").stdout.split()
        for file in newest_first:
            text = self.compose("exec", "-T", "web", "cat", file).stdout
            message = email.message_from_string(text, policy=email.policy.default)
            if message["To"] == recipient:
                [link] = re.findall(rf"{self.url}({path}\S+)", message.get_content())
                return link
        raise AssertionError(f"no mail to {recipient} among {len(newest_first)}")
