"""Mail: sent by SMTP, or written to the log and to a folder."""

import logging
import smtplib
import socket
import stat
import threading

import pytest

from app import mail

MESSAGE = ("tripod@example.com", "ann@example.com", "Sübject", "Höllo\n\nhttps://example.com/" + "x" * 100 + "\n")


class Server(threading.Thread):
    """A minimal SMTP server that records the lines it receives."""

    def __init__(self, *extensions: str):
        super().__init__(daemon=True)
        self.extensions, self.lines = extensions, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.start()

    def run(self):
        with self.listener:
            connection, _ = self.listener.accept()
        with connection, connection.makefile("rw", newline="\r\n") as stream:
            self.answer(stream, "220 ready")
            in_data = False
            for line in stream:
                self.lines.append(line := line.rstrip("\r\n"))
                if in_data:
                    in_data = line != "."
                    if not in_data:
                        self.answer(stream, "250 taken")
                elif line.upper().startswith("EHLO"):
                    names = ["127.0.0.1", *self.extensions]
                    self.answer(stream, *(f"250-{name}" for name in names[:-1]), f"250 {names[-1]}")
                elif line.upper() == "DATA":
                    in_data = True
                    self.answer(stream, "354 go on")
                elif line.upper() == "QUIT":
                    return self.answer(stream, "221 bye")
                else:
                    self.answer(stream, "250 ok")

    @staticmethod
    def answer(stream, *lines: str) -> None:
        stream.write("".join(f"{line}\r\n" for line in lines))
        stream.flush()


def test_mail_is_sent():
    """A message is sent to the server in SMTP_URL, with its sender and recipient."""
    server = Server()
    mail.send(f"smtp://{server.url}", mail.compose(*MESSAGE))
    server.join(5)
    assert "mail from:<tripod@example.com>" in [line.lower().partition(" size")[0] for line in server.lines]
    assert "rcpt to:<ann@example.com>" in [line.lower() for line in server.lines]
    assert any(line.startswith("Message-ID: <") and line.endswith("@example.com>") for line in server.lines)


def test_password_is_not_sent_without_tls():
    """If the server does not support TLS, the password is not sent, and sending fails."""
    server = Server("AUTH PLAIN LOGIN")
    with pytest.raises(smtplib.SMTPNotSupportedError):
        mail.send(f"smtp://ann:hunter2@{server.url}", mail.compose(*MESSAGE))
    server.join(5)
    assert not any(line.upper().startswith("AUTH") for line in server.lines)


def test_mail_is_saved_without_a_server(tmp_path, caplog):
    """Without SMTP_URL, a message is written to the log and to a file that only the app's user can read."""
    mail.save(tmp_path / "state" / "mail", mail.compose(*MESSAGE))
    (file,) = (tmp_path / "state" / "mail").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert MESSAGE[3].strip() in caplog.text
    assert str(file) in caplog.text


def test_failed_delivery_is_logged(make_app, sqlite_url, caplog):
    """If the mail server is down, delivery does not raise. The log contains the reason but no password."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    app = make_app(sqlite_url, SMTP_URL=f"smtp://ann:hunter2@127.0.0.1:{port}")
    with app.app_context(), caplog.at_level(logging.ERROR):
        mail.deliver(app, mail.compose(*MESSAGE))
    assert "The mail was not sent" in caplog.text
    assert "hunter2" not in caplog.text


def test_header_injection():
    """A line break in a recipient or subject is rejected, because it could add headers and recipients."""
    for arguments in (("a@b.c", "x@y.z\nBcc: all@y.z", "s", "b"), ("a@b.c", "x@y.z", "s\r\nBcc: all@y.z", "b")):
        with pytest.raises(ValueError, match="linefeed"):
            mail.compose(*arguments)


def test_forms_show_the_mail_folder_in_development(make_app, sqlite_url):
    """Forms show where mails are written, but only in development."""
    for debug in (True, False):
        page = make_app(sqlite_url, DEBUG=debug).test_client().get("/reset").text
        assert ("SMTP_URL is not set" in page) is debug
