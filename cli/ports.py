"""TCP ports of this machine: whether a port is free, and which process listens on it."""

import errno
import os
import socket
from pathlib import Path

from cli import console

LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp


def is_free(port, address=""):
    """Whether a process could listen on the port now: on the address, or on all IPv4 and IPv6 addresses."""
    if address in ("", "0.0.0.0"):
        return all(_can_bind(port, each) for each in ("0.0.0.0", "::"))
    return _can_bind(port, address)


def _can_bind(port, address):
    """Whether the address has the port free. It has if the kernel does not have the address, or no IPv6."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT do not count
            if ":" in address:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address, port))
    except OSError as error:
        # A port below 1024 counts as free although this user may not use it: the engine may.
        return error.errno != errno.EADDRINUSE
    return True


def describe_holder(port):
    """Describe the process or container that listens on the port, for an error message."""
    ps = console.capture(["docker", "ps", "--filter", f"publish={port}", "--format", "{{.Names}}"])
    names = ps.stdout.split()
    if names:
        return f"the container {names[0]}"
    process = listening_process(port)
    return f"the process {process[1]} (pid {process[0]})" if process else "another process"


def listening_process(port):
    """Return (pid, name) of the process that listens on the port.

    Return None for a process of another user, and on systems without /proc, such as macOS.
    """
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(link) in sockets for link in (folder / "fd").iterdir()):
                return int(folder.name), (folder / "comm").read_text().strip()
        except OSError:  # the process has exited, or belongs to another user
            continue
    return None


def _listening_inodes(port):
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        rows = table.read_text().splitlines()[1:] if table.exists() else []
        for columns in map(str.split, rows):
            if columns[3] == LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                yield columns[9]
