"""Run inside a container by facts.py, as `python3 -c`: prints what only its own processes see, as JSON."""

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


def connects(path):
    """Whether this container's user may connect to the serving container, and somebody is there; "" if so."""
    import socket

    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:
            pass  # its queue is full
        except OSError as error:
            return error.strerror
    return ""


# Nginx's image has no servers to choose from.
names = {variable.name for variable in SETTINGS} - {"WSGI_SERVER"}
settings = load_settings(os.environ, names)
secret = settings.pop("SECRET_KEY") or read(f"{settings['STATE_DIRECTORY']}/secret_key")
database = settings.pop("DATABASE_URL")
mounts = {line.split()[1]: line.split()[2] for line in read("/proc/mounts").splitlines()}
events = read("/sys/fs/cgroup/memory.events") or read("/sys/fs/cgroup/memory/memory.oom_control")
events = dict(line.split() for line in events.splitlines())
print(
    json.dumps(
        {
            "settings": settings,
            "secret_length": len(secret),
            "database": database.partition(":")[0],
            "somaxconn": int(read("/proc/sys/net/core/somaxconn") or 0),
            "files": os.sysconf("SC_OPEN_MAX"),
            "shm": mounts.get("/dev/shm", ""),
            "root_is_read_only": not os.access("/srv", os.W_OK) and os.statvfs("/").f_flag & os.ST_RDONLY != 0,
            "first_process": read("/proc/1/comm"),
            "memory": int(
                read("/sys/fs/cgroup/memory.current") or read("/sys/fs/cgroup/memory/memory.usage_in_bytes") or 0
            ),
            "out_of_memory": int(events.get("oom_kill", 0)),
            "folders": {path: folder(path) for path in FOLDERS if os.path.isdir(path)},
            "no_way_to_web": connects(f"{settings['RUNTIME_DIRECTORY']}/current.sock"),
        }
    )
)
