"""Add the CA certificates of a bundle to those of the system, when the image `web` is built.

    python3 -m deploy.certificates BUNDLE

writes each certificate that the system lacks to a file of its own; `update-ca-certificates` does the rest. An empty
bundle adds nothing.
"""

import hashlib
import re
import sys
from pathlib import Path

from deploy.errors import EXIT_CONFIG, StackError

SYSTEM = Path("/etc/ssl/certs/ca-certificates.crt")  # written by update-ca-certificates of Debian and Ubuntu
LOCAL = Path("/usr/local/share/ca-certificates")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s+[^-]+-----END CERTIFICATE-----")


def add(bundle: Path, system: Path = SYSTEM, local: Path = LOCAL) -> list[Path]:
    """Write the certificates of the bundle that `system` lacks to the folder `local`, and return their files."""
    text = bundle.read_text()
    known = {_without_spaces(one) for one in _CERTIFICATE.findall(system.read_text())}
    found = {_without_spaces(one): one for one in _CERTIFICATE.findall(text)}
    if text.strip() and not found:
        raise StackError(
            "CA_BUNDLE contains no certificate.",
            "It must be a file with one or more certificates in the PEM format (-----BEGIN CERTIFICATE-----).",
            "openssl x509 -inform der -in ca.crt -out ca.pem   (converts the binary format DER)",
            EXIT_CONFIG,
        )
    files = []
    for key, certificate in found.items():
        if key not in known:
            files.append(local / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.crt")
            files[-1].write_text(f"{certificate}\n")
    return files


def _without_spaces(certificate: str) -> str:
    return "".join(certificate.split())


if __name__ == "__main__":
    try:
        print(f"certificates added: {len(add(Path(sys.argv[1])))}")
    except StackError as error:
        print(error, file=sys.stderr)
        sys.exit(error.status)
