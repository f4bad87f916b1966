"""Versions of all software between the client and the app, as reported by the images and the engine."""

import platform

from deploy.settings import server_names
from tests.live.stack import docker, image_name, run_image


def of_the_images() -> list[str]:
    """Return the versions of Nginx, Python, the WSGI servers, Werkzeug and Apache."""
    packages = (*server_names(), "werkzeug")
    code = (
        "import sys, importlib.metadata as m;"
        "print('Python', sys.version.split()[0]);"
        f"[print(d.name, d.version) for n in {packages} for d in m.distributions(name=n)]"
    )
    nginx = _run_in("nginx", "nginx", "-v").strip().rpartition(" ")[2].replace("/", " ")
    apache = _run_in("web", "apache2", "-v").split("\n")[0].rpartition(":")[2].strip()
    return [nginx, *_run_in("web", "python3", "-c", code).splitlines(), apache]


def of_the_host() -> list[str]:
    """Return the versions of the Docker engine, Compose and the kernel."""
    engine = docker("version", "--format", "{{.Server.Version}}").stdout.strip()
    compose = docker("compose", "version", "--short").stdout.strip()
    return [f"Docker Engine {engine}", f"Compose {compose}", f"{platform.system()} {platform.release()}"]


def release() -> str:
    """Return the release that the web image contains."""
    return _run_in("web", "printenv", "RELEASE").strip()


def _run_in(service: str, *command: str) -> str:
    done = run_image("--network", "none", image_name(service), *command)
    return done.stdout + done.stderr
