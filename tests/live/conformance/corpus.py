"""The HTTP requests of Gunicorn's own tests, from the source distribution of the locked version."""

import json
import os
import re
import subprocess
import tarfile
from pathlib import Path

from tests.live.stack import ROOT

PIP = "/opt/tools/bin/pip"  # in the image `test`


def fetch(folder: Path) -> dict[str, dict[str, bytes]]:
    """Return the bytes to send, by kind ("valid" or "invalid") and name."""
    found: dict[str, dict[str, bytes]] = {"valid": {}, "invalid": {}}
    with tarfile.open(_download(folder)) as archive:
        for member in archive:
            if match := re.search(r"/tests/requests/(valid|invalid)/(\w+)\.http$", member.name):
                found[match[1]][match[2]] = decode(archive.extractfile(member).read())
    return {kind: dict(sorted(payloads.items())) for kind, payloads in found.items()}


def _download(folder: Path) -> Path:
    locked = json.loads((ROOT / "Pipfile.lock").read_text())["default"]["gunicorn"]
    wanted = folder / "requirements.txt"
    wanted.write_text(f"gunicorn{locked['version']} {' '.join(f'--hash={each}' for each in locked['hashes'])}\n")
    command = [PIP, "download", "--quiet", "--no-deps", "--no-binary=gunicorn", "--require-hashes", "-r", str(wanted)]
    done = subprocess.run(command, cwd=folder, env=_pip_environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("gunicorn-*.tar.gz"))


def _pip_environment() -> dict[str, str]:
    """Return the environment for pip, with the settings that ./stack passes in PIP_CONF and CA_BUNDLE."""
    settings, certificates = os.environ.get("PIP_CONF"), os.environ.get("CA_BUNDLE")
    pip = ({"PIP_CONFIG_FILE": settings} if settings else {}) | ({"PIP_CERT": certificates} if certificates else {})
    return os.environ | pip


def decode(text: bytes) -> bytes:
    r"""Return the bytes that a file describes: line breaks are ignored; \r\n, \n, \t, \0 and \xHH are escapes."""
    text = text.replace(b"\n", b"").replace(b"\\r\\n", b"\r\n")
    text = text.replace(b"\\0", b"\0").replace(b"\\n", b"\n").replace(b"\\t", b"\t")
    return re.sub(rb"\\x([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), text)
