"""Mail: sent by SMTP if SMTP_URL is set, else written to the log and to a folder."""

import logging
import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

from flask import Flask, current_app
from flask_security import MailUtil

TIMEOUT = 10  # seconds to wait for the mail server
NOBODY = "nobody@localhost.invalid"  # mails to this address are composed, but not delivered
DEFAULT_PORTS = {"smtp": 587, "smtps": 465}

log = logging.getLogger(__name__)


class Mail(MailUtil):
    """Sends the mails of Flask-Security and normalizes email addresses."""

    def normalize(self, email: str) -> str:
        """Return the address in lower case: mail servers ignore case, so it is the same account."""
        return super().normalize(email).lower()

    def validate(self, email: str) -> str:
        """Return the normalized address. Raises ValueError if it is invalid."""
        return super().validate(email).lower()

    def send_mail(self, template, subject, recipient, sender, body, html, **context) -> None:
        """Deliver a mail."""
        deliver(current_app, compose(str(sender), recipient, str(subject), body))


def compose(sender: str, recipient: str, subject: str, body: str) -> EmailMessage:
    """Return a plain text message."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = subject
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message.set_content(body.strip() + "\n")
    return message


def deliver(app: Flask, message: EmailMessage) -> None:
    """Deliver `message` in a background thread, so that the response time does not reveal whether a mail is sent."""
    if message["To"] == NOBODY:
        task = (discard,)
    else:
        task = (send, url) if (url := app.config["SMTP_URL"]) else (save, Path(app.config["MAIL_FOLDER"]))
    # Not a daemon, so that a process that stops waits for it. By default a thread is what its creator is.
    thread = Thread(target=_log_errors, args=(*task, message), daemon=False)
    thread.start()
    if app.testing:
        thread.join()


def send(url: str, message: EmailMessage) -> None:
    """Send `message` with the server of an smtp:// (STARTTLS) or smtps:// URL. Raises OSError or SMTPException.

    Passwords are never sent without TLS. Without a password, an smtp:// server does not have to support TLS.
    """
    server = urlsplit(url)
    port = server.port or DEFAULT_PORTS[server.scheme]
    if server.scheme == "smtps":
        smtp = smtplib.SMTP_SSL(server.hostname, port, timeout=TIMEOUT, context=ssl.create_default_context())
    else:
        smtp = smtplib.SMTP(server.hostname, port, timeout=TIMEOUT)
    with smtp:
        smtp.ehlo()
        if server.scheme == "smtp" and (server.username or smtp.has_extn("starttls")):
            smtp.starttls(context=ssl.create_default_context())
        if server.username:
            smtp.login(unquote(server.username), unquote(server.password or ""))
        smtp.send_message(message)


def discard(message: EmailMessage) -> None:
    """Do not deliver `message`."""


def save(folder: Path, message: EmailMessage) -> None:
    """Write `message` to the log and to a file in `folder` that only the app's user can read."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / f"{message['Message-ID'].strip('<>')}.eml"
    file.touch(mode=0o600)
    file.write_bytes(bytes(message))
    log.warning("SMTP_URL is not set; this mail was not sent but saved as %s:\n%s", file, message.get_content())


def _log_errors(task: Callable, *arguments: Any) -> None:
    try:
        task(*arguments)
    except (OSError, smtplib.SMTPException) as error:
        log.error("The mail was not sent: %s", error)
