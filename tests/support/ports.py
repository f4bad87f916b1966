"""TCP ports for tests."""

import secrets
import socket


def free_port() -> int:
    """Below those that the kernel gives to connections (32768 on): one of them could take it before Docker does."""
    while True:
        port = secrets.choice(range(20_000, 32_768))
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
