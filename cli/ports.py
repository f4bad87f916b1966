"""Who holds a TCP port of this machine."""

import errno
import os
import socket
from pathlib import Path

from cli import console

LISTENING = "0A"  # the state of a listening socket in /proc/net/tcp


def is_free(port, address=""):
    """Whether somebody could listen there now."""
    with socket.socket() as probe:
        # Old connections that fade away do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            # A port that this user may not take (below 1024) is free all the same: the engine may.
            return error.errno != errno.EADDRINUSE
    return True


def holder(port):
    """A sentence part that names who listens on the port, as well as this user can see it."""
    asked = console.capture(["docker", "ps", "--filter", f"publish={port}", "--format", "{{.Names}}"])
    names = asked.stdout.split()
    if names:
        return f"the container {names[0]}"
    process = listening_process(port)
    return f"the process {process[1]} (pid {process[0]})" if process else "a process of another user"


def listening_process(port):
    """(pid, command) of the process that listens on the port; None if it cannot be seen."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port)}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(link) in sockets for link in (folder / "fd").iterdir()):
                return int(folder.name), (folder / "comm").read_text().strip()
        except OSError:  # it has ended, or belongs to somebody else
            continue
    return None


def _inodes(port):
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        rows = table.read_text().splitlines()[1:] if table.exists() else []
        for columns in map(str.split, rows):
            if columns[3] == LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                yield columns[9]
