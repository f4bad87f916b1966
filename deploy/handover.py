"""The handover: when this container's server answers, Nginx is pointed at it by one atomic rename.

Nginx connects to /run/tripod/current.sock, a symbolic link, and resolves it at every connect. So new requests go to
the new server at that instant, requests that the old one has accepted finish there, and Nginx is neither reloaded nor
told anything.

A container takes over by itself only where nobody serves. Beside one that does it stands by: `./stack switch` tries it
out and then runs

    python3 -m deploy.handover

in it. Whoever stands by takes over by itself, at its next health check, when the one that serves is gone.
"""

import http.client
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from deploy.settings import load_settings, socket_path

LINK = "current.sock"
ASK_EVERY = 0.05  # seconds; the first answer usually comes within half a second
YOUNG = 60  # seconds in which a server that has bound its socket surely listens
ANSWER_WITHIN = 5  # seconds for one answer to READY_PATH


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def get(settings: Mapping[str, str], path: str, host: str = "localhost") -> tuple[int, bytes]:
    """Status and body of GET `path`, asked of this container's own server; OSError or HTTPException if it is not up."""
    if settings["PORT"]:
        connection = http.client.HTTPConnection("127.0.0.1", int(settings["PORT"]), timeout=ANSWER_WITHIN)
    else:
        connection = _UnixConnection(socket_path(settings), ANSWER_WITHIN)
    try:
        connection.request("GET", path, headers={"Host": host, "Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def ready_marker(settings: Mapping[str, str]) -> Path:
    """The file that tells deploy/health that this container serves or stands by, beside its own socket."""
    return Path(socket_path(settings)).with_suffix(".done")


def is_ready(settings: Mapping[str, str]) -> bool:
    """Whether READY_PATH answers 200."""
    try:
        return get(settings, settings["READY_PATH"])[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def promote(settings: Mapping[str, str]) -> None:
    """Points current.sock at this container's socket; readers see the old link or the new one, never none."""
    own = Path(socket_path(settings))
    fresh = own.with_suffix(f".{os.getpid()}.link")  # a health check may do the same at the same time
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(own.name)
    fresh.replace(own.with_name(LINK))


def promote_if_orphaned(settings: Mapping[str, str]) -> None:
    """Takes over unless somebody serves: then this container stands by."""
    own = Path(socket_path(settings))
    link = own.with_name(LINK)
    target = link.with_name(os.readlink(link)) if link.is_symlink() else None
    if target is None or target != own and not _listens(target):
        promote(settings)


def _listens(path: Path) -> bool:
    """Whether somebody accepts connections at the socket, or will as soon as they are less busy."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            pass  # its queue is full
    return True


def prune_stale_sockets(settings: Mapping[str, str]) -> None:
    """Removes sockets that containers which are gone have left behind: nobody listens there, and not just not yet."""
    for path in Path(settings["RUNTIME_DIRECTORY"]).glob("*.sock"):
        if path.is_symlink() or time.time() - path.lstat().st_mtime < YOUNG:
            continue
        if not _listens(path):
            path.unlink(missing_ok=True)
            path.with_suffix(".done").unlink(missing_ok=True)
            path.with_suffix(".pulse").unlink(missing_ok=True)


def promote_when_ready(settings: Mapping[str, str]) -> None:
    """Waits in a process of its own, while deploy/start becomes the server; ends when that can take traffic.

    It waits for as long as the container runs: a database that comes back after an hour makes the app ready then.
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
        time.sleep(ASK_EVERY)
    os._exit(0)


if __name__ == "__main__":
    promote(load_settings(os.environ))
