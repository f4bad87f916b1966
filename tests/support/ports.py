"""TCP ports for tests."""

import secrets
import socket


def free_port() -> int:
    """Return a free port below the kernel's range for outgoing connections (32768 and higher), which could take it
    first.
    """
    while True:
        port = secrets.choice(range(20_000, 32_768))
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
