"""The add-on heroku-postgresql: a PostgreSQL of its own for a rehearsal, gone afterwards."""

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
UP_WITHIN = 30  # seconds


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Starts one on a free port of this machine with a random password; yields its DATABASE_URL, as postgres://…"""
    port, password = free_port(), secrets.token_hex(16)
    # Short: the path of a Unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="tripod-pg-") as home:
        Path(home, "password").write_text(password)
        subprocess.run(["chown", "-R", USER, home], check=True)
        how = ["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={home}/password"]
        made = _as_user("initdb", *how, f"{home}/data", stdout=subprocess.PIPE)
        output = made.communicate()[0].decode()
        if made.returncode:
            raise RuntimeError(f"PostgreSQL could not be made:\n{output}")
        options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": home, "fsync": "off"}
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with open(Path(home, "log"), "w") as log:
            server = _as_user("postgres", "-D", f"{home}/data", *settings, stdout=log)
        try:
            _await_answer(server, home, port)
            yield f"postgres://{USER}:{password}@127.0.0.1:{port}/{USER}"
        finally:
            server.send_signal(signal.SIGINT)  # fast shutdown; SIGTERM would wait for every client to leave
            server.wait()


def _as_user(program: str, *arguments: str, **how) -> subprocess.Popen:
    """Starts a program of PostgreSQL, which refuses to run as root."""
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
        **how,
    )


def _await_answer(server: subprocess.Popen, home: str, port: int) -> None:
    deadline = time.monotonic() + UP_WITHIN
    question = [PROGRAMS / "pg_isready", "--quiet", f"--host={home}", f"--port={port}"]
    while subprocess.run(question).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start:\n{Path(home, 'log').read_text()}")
        time.sleep(0.05)
