"""A company's CA reaches the app: its certificates are in the image, and every library of the app reads them."""

import contextlib
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest

from deploy import app_process, certificates
from deploy.errors import StackError
from tests.support.certificates import make_ca, make_company
from tests.support.ports import free_port

pytestmark = pytest.mark.needs("openssl")
# What a client prints if it trusts the server: that of https, smtps or a database.
CLIENTS = {
    "urllib": "import urllib.request as u; print(u.urlopen(f'https://localhost:{port}').status)",
    "requests": "import requests; print(requests.get(f'https://localhost:{port}').status_code)",
    "smtplib": "import smtplib; print(smtplib.SMTP_SSL('localhost', port, context=__import__('ssl')"
    ".create_default_context()).noop()[0])",
}


@pytest.fixture(scope="module")
def company() -> Iterator[Path]:
    """A folder with a company's CA, and with key and certificate of its server `localhost`."""
    with tempfile.TemporaryDirectory(prefix="ca-") as folder:
        os.chmod(folder, 0o755)
        make_company(Path(folder))
        yield Path(folder)


def bundle(*names: Path) -> str:
    return "\n".join(name.read_text() for name in names)


@pytest.fixture
def system(company, tmp_path, monkeypatch) -> Path:
    """The system's certificates as update-ca-certificates writes them, with those of `certificates.add`."""
    (tmp_path / "local").mkdir()
    other = tmp_path / "other.pem"
    make_ca(tmp_path, "other")
    file = tmp_path / "system.pem"
    file.write_text(other.read_text())
    added = certificates.add(company / "ca.pem", file, tmp_path / "local")
    file.write_text(bundle(file, *added))
    monkeypatch.setattr(certificates, "SYSTEM", file)
    return file


class Server(StreamRequestHandler):
    """Answers HTTP, and greets SMTP clients, which speak second."""

    def handle(self):
        is_http = self.server.speaks_first is False
        if not is_http:
            self.wfile.write(b"220 mail\r\n")
        while line := self.rfile.readline():
            if is_http and line == b"\r\n":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            if not is_http:
                self.wfile.write(b"250 ok\r\n")


@contextlib.contextmanager
def tls_server(company: Path, speaks_first: bool) -> Iterator[int]:
    """Run a TLS server with the company's certificate, and yield its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(company / "cert.pem", company / "key.pem")
    with ThreadingTCPServer(("127.0.0.1", 0), Server) as server:
        server.daemon_threads, server.speaks_first = True, speaks_first
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # of a client that does not trust the certificate
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def ask(client: str, environ: dict[str, str], port: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a client in a process with this environment, as the app."""
    command = [sys.executable, "-c", f"port = {port}\n{client}"]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30)


def environ_of_app() -> dict[str, str]:
    environ = {"PATH": os.environ["PATH"], "REQUESTS_CA_BUNDLE": ""}
    app_process.require_certificates(environ)
    return environ


@pytest.mark.parametrize("client", CLIENTS)
def test_libraries_of_the_app_trust_the_company(client, company, system, tmp_path):
    """urllib, requests and smtplib connect to a server with a certificate of the company, and not without it."""
    with tls_server(company, client == "smtplib") as port:
        trusted = ask(CLIENTS[client], environ_of_app(), port)
        assert trusted.stdout.strip() in ("200", "250"), trusted.stderr
        system.write_text((tmp_path / "other.pem").read_text())
        assert "CERTIFICATE_VERIFY_FAILED" in ask(CLIENTS[client], environ_of_app(), port).stderr


@pytest.fixture
def database(company) -> Iterator[int]:
    """The port of a PostgreSQL server that has a certificate of the company."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
        for name in ("cert.pem", "key.pem"):
            shutil.copy(company / name, folder)
            os.chmod(Path(folder, name), 0o600)
        for path in (folder, *Path(folder).iterdir()):
            if user:
                shutil.chown(path, user)

        def run(program: str, *arguments: str) -> None:
            command = [programs / program, "-D", f"{folder}/data", *arguments]
            subprocess.run(command, check=True, cwd=folder, user=user, stdout=subprocess.DEVNULL)

        run("initdb", "--username=tripod", "--auth=trust", "--locale=C", "--no-sync")
        tls = f"-c ssl=on -c ssl_cert_file={folder}/cert.pem -c ssl_key_file={folder}/key.pem"
        run("pg_ctl", "start", "--wait", "-l", f"{folder}/log", "-o", f"-k {folder} -p {port} {tls} -c fsync=off")
        try:
            yield port
        finally:
            run("pg_ctl", "stop", "--wait", "-m", "immediate")


@pytest.mark.needs("postgresql")
def test_database_of_the_company_is_trusted(database, system, tmp_path):
    """With sslmode=verify-full&sslrootcert=system, libpq checks the certificate against the same CAs."""
    url = f"postgresql://tripod@localhost:{database}/postgres?sslmode=verify-full&sslrootcert=system"
    client = f"import psycopg; print(psycopg.connect({url!r}).execute('SELECT 1').fetchone()[0])"
    trusted = ask(client, environ_of_app())
    assert trusted.stdout.strip() == "1", trusted.stderr
    system.write_text((tmp_path / "other.pem").read_text())
    assert "certificate verify failed" in ask(client, environ_of_app()).stderr


def test_own_choice_is_kept(system):
    """SSL_CERT_FILE and REQUESTS_CA_BUNDLE of the operator are kept; without system certificates nothing is set."""
    environ = {"SSL_CERT_FILE": "/own.pem"}
    app_process.require_certificates(environ)
    assert environ == {"SSL_CERT_FILE": "/own.pem", "REQUESTS_CA_BUNDLE": str(system)}
    system.unlink()
    app_process.require_certificates(bare := {})
    assert bare == {}


def test_only_new_certificates_are_added(company, system, tmp_path):
    """A bundle that contains the system's certificates too, as a host's own, adds only the others, once."""
    both = tmp_path / "both.pem"
    both.write_text(bundle(tmp_path / "other.pem", company / "ca.pem", company / "ca.pem").replace("\n", "\r\n"))
    assert certificates.add(both, system, tmp_path / "local") == []
    (added,) = certificates.add(both, tmp_path / "other.pem", tmp_path / "local")
    assert ssl.PEM_cert_to_DER_cert(added.read_text()) == ssl.PEM_cert_to_DER_cert((company / "ca.pem").read_text())


def test_bundle_without_a_certificate_is_an_error(system, tmp_path):
    """An empty bundle, the default, adds nothing; another file that is no bundle is an error with the fix."""
    assert certificates.add(Path(os.devnull), system, tmp_path) == []
    (tmp_path / "ca.der").write_text("binary")
    with pytest.raises(StackError) as raised:
        certificates.add(tmp_path / "ca.der", system, tmp_path)
    assert "openssl x509" in raised.value.fix
