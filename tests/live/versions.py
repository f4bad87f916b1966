"""The versions of everything between a client and the app, as the images and the engine report them."""

import platform

from deploy.settings import server_names
from tests.live.stack import docker, image_name, run_image


def of_the_images() -> list[str]:
    """Nginx, the interpreter, the servers and what levels them."""
    packages = (*server_names(), "werkzeug")
    code = (
        "import sys, importlib.metadata as m;"
        "print('Python', sys.version.split()[0]);"
        f"[print(d.name, d.version) for n in {packages} for d in m.distributions(name=n)]"
    )
    nginx = _inside("nginx", "nginx", "-v").strip().rpartition(" ")[2].replace("/", " ")
    apache = _inside("web", "apache2", "-v").split("\n")[0].rpartition(":")[2].strip()
    return [nginx, *_inside("web", "python3", "-c", code).splitlines(), apache]


def of_the_host() -> list[str]:
    """The engine and the kernel below it."""
    engine = docker("version", "--format", "{{.Server.Version}}").stdout.strip()
    compose = docker("compose", "version", "--short").stdout.strip()
    return [f"Docker Engine {engine}", f"Compose {compose}", f"{platform.system()} {platform.release()}"]


def release() -> str:
    """What the web image says it holds."""
    return _inside("web", "printenv", "RELEASE").strip()


def _inside(service: str, *command: str) -> str:
    done = run_image("--network", "none", image_name(service), *command)
    return done.stdout + done.stderr
