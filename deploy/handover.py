"""Hand over requests from the active container to this one, by one atomic rename.

Nginx connects to /run/tripod/current.sock, a symbolic link that it resolves for every connection. After the rename new
requests go to the new container, in-flight requests finish in the old one, and Nginx needs no reload.

A container promotes itself only if no other container is active. Otherwise it is a standby container: `./stack switch`
runs the smoke check (deploy/smoke_check.py) in it and then promotes it with

    python3 -m deploy.handover

A standby container promotes itself with its next health check (deploy/health) when the active container is gone.
"""

import http.client
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from deploy import heartbeat, own_requests, server_process
from deploy.settings import load_settings, socket_path

LINK = "current.sock"
POLL_INTERVAL = 0.05  # seconds; most servers answer within half a second after their start
MIN_STALE_AGE = 60  # seconds; a server that has bound its socket listens long before this


def ready_marker(settings: Mapping[str, str]) -> Path:
    """The file that tells deploy/health that this container is active or standby; it is beside the socket."""
    return Path(socket_path(settings)).with_suffix(".ready")


def is_ready(settings: Mapping[str, str]) -> bool:
    """Whether READY_PATH answers 2xx or 3xx."""
    try:
        return own_requests.get(settings, settings["READY_PATH"]).is_ready
    except (OSError, http.client.HTTPException):
        return False


def promote(settings: Mapping[str, str]) -> None:
    """Make this container the active one. Readers of current.sock see the old link or the new one, never none."""
    own_socket = Path(socket_path(settings))
    new_link = own_socket.with_suffix(f".{os.getpid()}.link")  # a health check may promote at the same time
    new_link.unlink(missing_ok=True)
    new_link.symlink_to(own_socket.name)
    new_link.replace(own_socket.with_name(LINK))


def promote_if_orphaned(settings: Mapping[str, str]) -> None:
    """Make this container the active one unless another one is; otherwise it stays a standby container."""
    own_socket = Path(socket_path(settings))
    link = own_socket.with_name(LINK)
    active = link.with_name(os.readlink(link)) if link.is_symlink() else None
    if active is None or active != own_socket and not _has_listener(active):
        promote(settings)


def _has_listener(path: Path) -> bool:
    """Whether a process listens on the socket, even if its queue is full at the moment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            pass  # the queue is full
    return True


def prune_stale_sockets(settings: Mapping[str, str]) -> None:
    """Remove the sockets of containers that no longer exist, and the files beside them."""
    for path in Path(settings["RUNTIME_DIRECTORY"]).glob("*.sock"):
        if path.is_symlink() or time.time() - path.lstat().st_mtime < MIN_STALE_AGE:
            continue
        if not _has_listener(path):
            for suffix in (".sock", ".ready", heartbeat.SUFFIX, server_process.SUFFIX):
                path.with_suffix(suffix).unlink(missing_ok=True)


def promote_when_ready(settings: Mapping[str, str]) -> None:
    """Start a process that waits until this container is ready, while deploy/start becomes the server.

    It waits without a time limit, until the server exits: a database may come back after an hour, and then the app
    becomes ready.
    """
    server = os.getpid()
    ready_marker(settings).unlink(missing_ok=True)
    if os.fork():
        return
    while os.getppid() == server:
        if is_ready(settings):
            promote_if_orphaned(settings)
            ready_marker(settings).touch()
            prune_stale_sockets(settings)
            break
        time.sleep(POLL_INTERVAL)
    os._exit(0)


if __name__ == "__main__":
    promote(load_settings(os.environ))
