"""TLS certificates for tests, made with openssl."""

import subprocess
from pathlib import Path


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def _request(folder: Path, subject: str, key: str, *arguments: str) -> None:
    new = ("req", "-newkey", "rsa:2048", "-nodes", "-sha256", "-subj", f"/CN={subject}", "-keyout", key)
    _openssl(folder, *new, *arguments)


def make_ca(folder: Path, name: str) -> None:
    """Write NAME.pem, the certificate of a new CA, and NAME.key."""
    usage = "keyUsage=critical,keyCertSign"  # Python 3.13 requires it
    _request(folder, name, f"{name}.key", "-x509", "-days", "2", "-addext", usage, "-out", f"{name}.pem")


def make_company(folder: Path) -> None:
    """Write ca.pem, the certificate of a company's CA, and cert.pem and key.pem of its server `localhost`."""
    make_ca(folder, "ca")
    _request(folder, "localhost", "key.pem", "-out", "request.pem")
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    sign = ("x509", "-req", "-days", "2", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
    _openssl(folder, *sign, "-extfile", "names", "-in", "request.pem", "-out", "cert.pem")
