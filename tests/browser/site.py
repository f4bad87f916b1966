"""The stack under test, with access to the app's commands and saved mails."""

import email
import email.policy
import re

from tests.live.stack import Stack

MAIL = "/var/lib/tripod/mail"  # app/config.py: without SMTP_URL, in the state directory


class Site(Stack):
    """A live stack with demo data."""

    def flask(self, *words: str) -> str:
        """Run a command of the app and return its output."""
        return self.compose("exec", "-T", "web", "deploy/exec", "flask", "--app", "app.wsgi", *words).stdout

    def mailed_link(self, recipient: str, path: str) -> str:
        """Return the path of the link that begins with `path` in the newest mail to `recipient`."""
        newest_first = self.compose("exec", "-T", "web", "sh", "-c", f"ls -t {MAIL}/*.eml").stdout.split()
        for file in newest_first:
            text = self.compose("exec", "-T", "web", "cat", file).stdout
            message = email.message_from_string(text, policy=email.policy.default)
            if message["To"] == recipient:
                [link] = re.findall(rf"{self.url}({path}\S+)", message.get_content())
                return link
        raise AssertionError(f"None of the {len(newest_first)} saved mails is addressed to {recipient}.")
