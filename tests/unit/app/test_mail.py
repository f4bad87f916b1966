"""Mail: sent by SMTP, or written to the log and to a folder."""

import contextlib
import logging
import smtplib
import socket
import ssl
import stat
import subprocess
import threading
from base64 import b64encode
from pathlib import Path

import pytest

from app import mail

MESSAGE = ("tripod@example.com", "ann@example.com", "Sübject", "Höllo\n\nhttps://example.com/" + "x" * 100 + "\n")


class Server(threading.Thread):
    """A minimal SMTP server that records the lines it receives, separately for those it receives over TLS.

    With a certificate, it supports STARTTLS; with `implicit_tls`, connections begin with the TLS handshake.
    """

    def __init__(self, *extensions: str, certificate: Path | None = None, implicit_tls: bool = False):
        super().__init__(daemon=True)
        self.extensions, self.lines, self.encrypted = extensions, [], []
        self.certificate, self.implicit_tls = certificate, implicit_tls
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.start()

    def run(self):
        with self.listener:
            connection, _ = self.listener.accept()
        connection.settimeout(10)
        with contextlib.suppress(OSError), connection:
            if self.implicit_tls:
                return self.talk_over_tls(connection, greet=True)
            if self.talk(connection, self.lines) == "STARTTLS":
                self.talk_over_tls(connection, greet=False)

    def talk_over_tls(self, connection: socket.socket, greet: bool) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        with context.wrap_socket(connection, server_side=True) as encrypted:
            self.talk(encrypted, self.encrypted, greet)

    def talk(self, connection: socket.socket, lines: list[str], greet: bool = True) -> str | None:
        """Record lines until the client sends QUIT or STARTTLS, and return that command."""
        with connection.makefile("rw", newline="\r\n") as stream:
            if greet:
                self.answer(stream, "220 ready")
            in_data = False
            for line in stream:
                lines.append(line := line.rstrip("\r\n"))
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
                elif line.upper().startswith("AUTH"):
                    self.answer(stream, "235 authenticated")
                elif line.upper() in ("QUIT", "STARTTLS"):
                    self.answer(stream, "221 bye" if line.upper() == "QUIT" else "220 go on")
                    return line.upper()
                else:
                    self.answer(stream, "250 ok")
        return None

    @staticmethod
    def answer(stream, *lines: str) -> None:
        stream.write("".join(f"{line}\r\n" for line in lines))
        stream.flush()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> dict[str, Path]:
    """Return self-signed certificates (each a file with its key) for this host and for another host."""
    folder, found = tmp_path_factory.mktemp("certificates"), {}
    for name in ("IP:127.0.0.1", "DNS:other.example"):
        found[name] = file = folder / f"{name.partition(':')[2]}.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "1", "-subj", "/CN=test"]
        command += ["-addext", f"subjectAltName={name}", "-keyout", file, "-out", f"{file}.crt"]
        subprocess.run(command, check=True, capture_output=True)
        file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return found


@pytest.fixture
def trust(monkeypatch):
    """Return a function that adds a certificate to the trusted ones, as an administrator of the host would."""
    return lambda file: monkeypatch.setenv("SSL_CERT_FILE", str(file))


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


EXTENSIONS = {"smtp": ["STARTTLS", "AUTH PLAIN"], "smtps": ["AUTH PLAIN"]}
CREDENTIALS = "AUTH PLAIN " + b64encode(b"\0ann\0hunter 2").decode()


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_credentials_are_sent_over_tls(certificates, trust, scheme):
    """With a password in SMTP_URL, the login and the mail are sent over TLS, and only over TLS."""
    trust(certificates["IP:127.0.0.1"])
    server = Server(*EXTENSIONS[scheme], certificate=certificates["IP:127.0.0.1"], implicit_tls=scheme == "smtps")
    mail.send(f"{scheme}://ann:hunter%202@{server.url}", mail.compose(*MESSAGE))
    server.join(5)
    assert CREDENTIALS in server.encrypted
    assert server.encrypted.index(CREDENTIALS) < server.encrypted.index("data")
    assert "rcpt to:<ann@example.com>" in [line.lower() for line in server.encrypted]
    assert {line.partition(" ")[0].upper() for line in server.lines} <= {"EHLO", "STARTTLS"}


@pytest.mark.parametrize("login", ["", "ann:hunter%202@"])
@pytest.mark.parametrize("certificate", ["IP:127.0.0.1", "DNS:other.example"], ids=["untrusted", "of another host"])
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_invalid_certificate_is_refused(certificates, trust, scheme, certificate, login):
    """If the certificate is untrusted, or trusted but of another host, neither the password nor the mail is sent."""
    if certificate == "DNS:other.example":
        trust(certificates[certificate])
    server = Server(*EXTENSIONS[scheme], certificate=certificates[certificate], implicit_tls=scheme == "smtps")
    with pytest.raises(ssl.SSLCertVerificationError):
        mail.send(f"{scheme}://{login}{server.url}", mail.compose(*MESSAGE))
    server.join(5)
    assert server.encrypted == []
    assert {line.partition(" ")[0].upper() for line in server.lines} <= {"EHLO", "STARTTLS"}


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_silent_mail_server_times_out(monkeypatch, scheme):
    """A mail server that accepts the connection but never answers is given up after TIMEOUT seconds."""
    assert mail.TIMEOUT == 10
    monkeypatch.setattr(mail, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closing = threading.Timer(5, listener.shutdown, [socket.SHUT_RDWR])  # so that the test ends without a timeout
        closing.start()
        with pytest.raises((OSError, smtplib.SMTPException), match="timed out"):
            mail.send(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", mail.compose(*MESSAGE))
        closing.cancel()


def test_mail_is_saved_without_a_server(tmp_path, caplog):
    """Without SMTP_URL, a message is written to the log and to a file that only the app's user can read."""
    mail.save(tmp_path / "state" / "mail", mail.compose(*MESSAGE))
    (file,) = (tmp_path / "state" / "mail").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert MESSAGE[3].strip() in caplog.text
    assert str(file) in caplog.text


def test_failed_delivery_is_logged(make_app, database, caplog):
    """If the mail server is down, delivery does not raise. The log contains the reason but no password."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    app = make_app(database, SMTP_URL=f"smtp://ann:hunter2@127.0.0.1:{port}")
    with app.app_context(), caplog.at_level(logging.ERROR):
        mail.deliver(app, mail.compose(*MESSAGE))
    assert "The mail was not sent" in caplog.text
    assert "hunter2" not in caplog.text


def test_header_injection():
    """A line break in a recipient or subject is rejected, because it could add headers and recipients."""
    for arguments in (("a@b.c", "x@y.z\nBcc: all@y.z", "s", "b"), ("a@b.c", "x@y.z", "s\r\nBcc: all@y.z", "b")):
        with pytest.raises(ValueError, match="linefeed"):
            mail.compose(*arguments)


def test_forms_show_the_mail_folder_in_development(make_app, database):
    """Forms show where mails are written, but only in development."""
    for debug in (True, False):
        page = make_app(database, DEBUG=debug).test_client().get("/reset").text
        assert ("SMTP_URL is not set" in page) is debug
