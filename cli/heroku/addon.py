"""The add-on heroku-postgresql: a temporary PostgreSQL server for one rehearsal."""

import contextlib
import os
import pwd
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cli.heroku.dyno import free_port

PROGRAMS = Path("/usr/lib/postgresql/17/bin")
USER = "postgres"
STARTED_WITHIN = 30  # seconds


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Start a server on a free port with a random password; yield its DATABASE_URL in Heroku's form, postgres://…"""
    port, password = free_port(), secrets.token_hex(16)
    # A short path, since that of a Unix socket has at most 107 bytes: unix(7).
    with tempfile.TemporaryDirectory(prefix="tripod-pg-") as home:
        Path(home, "password").write_text(password)
        subprocess.run(["chown", "-R", USER, home], check=True)
        options = [
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--auth=scram-sha-256",
            f"--pwfile={home}/password",
        ]
        initdb = _as_user("initdb", *options, f"{home}/data", stdout=subprocess.PIPE)
        output = initdb.communicate()[0].decode()
        if initdb.returncode:
            raise RuntimeError(f"initdb failed:\n{output}")
        values = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": home, "fsync": "off"}
        settings = [word for name, value in values.items() for word in ("-c", f"{name}={value}")]
        with open(Path(home, "log"), "w") as log:
            server = _as_user("postgres", "-D", f"{home}/data", *settings, stdout=log)
        try:
            _await_answer(server, home, port)
            yield f"postgres://{USER}:{password}@127.0.0.1:{port}/{USER}"
        finally:
            server.send_signal(signal.SIGINT)  # fast shutdown; SIGTERM would wait until all clients disconnect
            server.wait()


def _as_user(program: str, *arguments: str, **options) -> subprocess.Popen:
    """Start a program of PostgreSQL as its user; none of them runs as root."""
    group = pwd.getpwnam(USER).pw_gid
    return subprocess.Popen(
        [PROGRAMS / program, *arguments],
        user=USER,
        group=group,
        extra_groups=[],
        cwd="/",
        env={"PATH": os.defpath},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        **options,
    )


def _await_answer(server: subprocess.Popen, home: str, port: int) -> None:
    deadline = time.monotonic() + STARTED_WITHIN
    pg_isready = [PROGRAMS / "pg_isready", "--quiet", f"--host={home}", f"--port={port}"]
    while subprocess.run(pg_isready).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start:\n{Path(home, 'log').read_text()}")
        time.sleep(0.05)
