"""What a result depends on: the hardware, the versions and the images."""

import os
import platform
import re
from datetime import date
from pathlib import Path

from bench.docker import docker

TAG = os.environ.get("IMAGE_TAG") or "latest"


def describe() -> dict[str, str]:
    """The date, the hardware and the versions."""
    [model] = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())[:1] or [platform.machine()]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "date": str(date.today()),
        "cpu": f"{os.cpu_count()} × {model}",
        "memory": f"{memory:.0f} GB",
        "kernel": f"Linux {platform.release()}",
        **_versions(),
    }


def _versions() -> dict[str, str]:
    """The versions of the engine and of the software in the image bench."""
    engine = docker("version", "--format", "{{.Server.Version}}").stdout.strip()
    packages = "from importlib.metadata import version as v; print(v('gunicorn'), v('uwsgi'), v('mod_wsgi'), sep='\\n')"
    script = f'nginx -v 2>&1; apache2 -v | head -1; python3 -V; python3 -c "{packages}"'
    lines = docker("run", "--rm", "--network", "none", f"tripod-bench:{TAG}", "sh", "-c", script).stdout.splitlines()
    names = ("Nginx", "Apache", "Python", "Gunicorn", "uWSGI", "mod_wsgi")  # in the order of the script's lines
    numbers = {name: re.search(r"\d+(\.\d+)+", line)[0] for name, line in zip(names, lines, strict=True)}
    return {"engine": f"Docker Engine {engine}"} | {name: f"{name} {number}" for name, number in numbers.items()}


def image_sizes() -> dict[str, float]:
    """MB of the two images that every host runs."""
    return {
        name: int(docker("image", "inspect", "--format", "{{.Size}}", f"tripod-{name}:{TAG}").stdout) / 1e6
        for name in ("web", "nginx")
    }
