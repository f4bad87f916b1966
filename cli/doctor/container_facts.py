"""Print what only the processes of a container can see, as JSON. facts.py runs this there with `python3 -c`."""

import json
import os
import shutil
from pathlib import Path

from deploy.settings import SETTINGS, load_settings

FOLDERS = ("/var/lib/tripod", "/run/tripod", "/var/lib/tripod-assets", "/var/cache/nginx", "/var/tmp", "/tmp")


def read(path):
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def folder(path):
    status, space = os.stat(path), shutil.disk_usage(path)
    return {"owner": status.st_uid, "free": space.free, "size": space.total}


def packages_updated():
    """When the packages of the image were updated, in seconds since 1970; 0 in images of older versions."""
    try:
        return os.stat("/etc/packages-updated").st_mtime
    except OSError:
        return 0


def connect_error(path):
    """Why this container cannot connect to the socket; empty if it can."""
    import socket

    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:
            pass  # the queue is full, so a server listens
        except OSError as error:
            return error.strerror
    return ""


# The image of Nginx contains no servers, so WSGI_SERVER could not be checked there.
names = {setting.name for setting in SETTINGS} - {"WSGI_SERVER"}
settings = load_settings(os.environ, names)
secret = settings.pop("SECRET_KEY") or read(f"{settings['STATE_DIRECTORY']}/secret_key")
database = settings.pop("DATABASE_URL")
events = read("/sys/fs/cgroup/memory.events") or read("/sys/fs/cgroup/memory/memory.oom_control")
events = dict(line.split() for line in events.splitlines())
print(
    json.dumps(
        {
            "settings": settings,
            "secret_length": len(secret),
            "database": database.partition(":")[0],
            "somaxconn": int(read("/proc/sys/net/core/somaxconn") or 0),
            "uid": os.getuid(),
            "packages_updated": packages_updated(),
            "open_files": os.sysconf("SC_OPEN_MAX"),
            "memory": int(
                read("/sys/fs/cgroup/memory.current") or read("/sys/fs/cgroup/memory/memory.usage_in_bytes") or 0
            ),
            "oom_kills": int(events.get("oom_kill", 0)),
            "folders": {path: folder(path) for path in FOLDERS if os.path.isdir(path)},
            "connect_error": connect_error(f"{settings['RUNTIME_DIRECTORY']}/current.sock"),
        }
    )
)
