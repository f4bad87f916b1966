"""Mail: by SMTP where SMTP_URL names a server, else into the log and a folder, so that nothing has to be set up."""

import logging
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

from flask import Flask, current_app
from flask_security import MailUtil

PATIENCE = 10  # seconds for a mail server to answer
STANDARD_PORTS = {"smtp": 587, "smtps": 465}

log = logging.getLogger(__name__)


class Mail(MailUtil):
    """Sends what Flask-Security wants sent, and says how an address is written."""

    def normalize(self, email: str) -> str:
        return super().normalize(email).lower()  # the same mailbox in practice, so one account

    def validate(self, email: str) -> str:
        return super().validate(email).lower()

    def send_mail(self, template, subject, recipient, sender, body, html, **context) -> None:
        deliver(current_app, compose(str(sender), recipient, str(subject), body))


def compose(sender: str, recipient: str, subject: str, body: str) -> EmailMessage:
    """Return a message of plain text."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, recipient, subject
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=sender.rpartition("@")[2])
    message.set_content(body.strip() + "\n")
    return message


def deliver(app: Flask, message: EmailMessage) -> None:
    """Hand `message` over, without waiting for it: how long that takes must not tell whether an account exists."""
    url, folder = app.config["SMTP_URL"], Path(app.config["MAIL_FOLDER"])
    task = Thread(target=_attempt, args=(send, url, message) if url else (keep, folder, message))
    task.start()
    if app.testing:
        task.join()


def send(url: str, message: EmailMessage) -> None:
    """Send `message` by the server of an smtp:// (STARTTLS) or smtps:// URL. Raises OSError, SMTPException.

    A password is never sent in the clear; without one an smtp:// server need not know TLS.
    """
    server = urlsplit(url)
    kind = smtplib.SMTP_SSL if server.scheme == "smtps" else smtplib.SMTP
    context = {"context": ssl.create_default_context()} if server.scheme == "smtps" else {}
    with kind(server.hostname, server.port or STANDARD_PORTS[server.scheme], timeout=PATIENCE, **context) as smtp:
        smtp.ehlo()
        if server.scheme == "smtp" and (server.username or smtp.has_extn("starttls")):
            smtp.starttls(context=ssl.create_default_context())
        if server.username:
            smtp.login(unquote(server.username), unquote(server.password or ""))
        smtp.send_message(message)


def keep(folder: Path, message: EmailMessage) -> None:
    """Write `message` into the log and to a file of its own in `folder`, which only this user can read."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / f"{message['Message-ID'].strip('<>')}.eml"
    file.touch(mode=0o600)
    file.write_bytes(bytes(message))
    log.warning("no SMTP_URL, so this mail is only in %s:\n%s", file, message.get_content())


def _attempt(task, *arguments) -> None:
    try:
        task(*arguments)
    except (OSError, smtplib.SMTPException) as error:
        log.error("mail was not sent: %s", error)
