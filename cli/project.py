"""What has to be true before the stack is started or asked, and what it answers."""

import json
import os
import time
import urllib.request

from cli import compose, dotenv, ports
from cli.console import say
from deploy.errors import EXIT_CONFIG, StackError
from deploy.settings import load_settings, server_names

ANSWER_LIMIT = 15  # seconds; healthy containers answer at once, a handover takes about one


def check_server(name):
    """Stop early at a server that does not exist."""
    if name not in server_names():
        raise StackError(
            f"There is no WSGI server '{name}'.",
            f"A server is a folder of deploy/servers; there are: {', '.join(server_names()) or 'none'}.",
            f"./stack up --server {server_names()[0] if server_names() else 'NAME'}",
            status=EXIT_CONFIG,
        )


def save_server(server):
    """Write WSGI_SERVER to .env, so that plain `docker compose up` keeps to it; says so, or why it does not hold."""
    known = dotenv.values().get("WSGI_SERVER") == server
    if not dotenv.set_value("WSGI_SERVER", server):
        say("  .env sets WSGI_SERVER more than once: change it there yourself, or the next start goes back.")
    elif os.environ.get("WSGI_SERVER", server) != server:
        say(f"  .env now says {server}; your shell's WSGI_SERVER={os.environ['WSGI_SERVER']} wins next time.")
    elif not known:
        say(f"  .env now says WSGI_SERVER={server}, so it stays.")


def check_settings(config):
    """Check on the host what the containers would refuse at boot, before anything is built or started."""
    load_settings(settings_values(config))


def settings_values(config):
    """The contract's variables as the containers will see them.

    NAME_FILE is left out: it names a file inside the container, and only there it can be judged.
    """
    both = [config["services"][name] for name in ("nginx", "web") if name in config["services"]]
    merged = {name: value for service in both for name, value in (service.get("environment") or {}).items()}
    merged["HTTP_PORT"] = published_port(config)[1]
    known = {name: value for name, value in merged.items() if value is not None}
    return {name: str(value) for name, value in known.items() if not name.endswith("_FILE")}


def published_port(config):
    """(address, port) that the front is published on, both as text: Nginx, or Apache where it is alone."""
    (port, *_) = [port for service in config["services"].values() for port in service.get("ports", [])]
    return port.get("host_ip", ""), str(port.get("published", "0"))


def check_port(config):
    """The port must be free, or held by this very project."""
    address, port = published_port(config)
    running = [held for one in compose.containers(config["name"]) for held in one.ports.values()]
    if int(port) in (0, *running) or ports.is_free(int(port), address):
        return
    raise StackError(
        f"Port {port} is taken by {ports.holder(int(port))}.",
        "The stack is to be published there, and only one can listen.",
        f"HTTP_PORT={_next_free(int(port), address)} ./stack up   (or a line HTTP_PORT=… in .env)",
    )


def _next_free(port, address):
    return next((higher for higher in range(port + 1, 65536) if ports.is_free(higher, address)), 0)


def fetch_liveness(url, timeout=3):
    """The answer of /healthz as a dict; {} if there is none."""
    # No proxy: a company's does not know this machine's 127.0.0.1.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/healthz", timeout=timeout) as response:
            return json.load(response)
    except (OSError, ValueError):
        return {}


def await_liveness(url, server):
    """The answer of /healthz, as soon as the server that was asked for gives it."""
    deadline, answer = time.monotonic() + ANSWER_LIMIT, {}
    while time.monotonic() < deadline:
        answer = fetch_liveness(url)
        if answer and server in (None, answer.get("wsgi_server")):
            return answer
        time.sleep(0.2)
    says = f"still says {answer}" if answer else "does not answer"
    raise StackError(
        f"The containers are healthy, but {url}/healthz {says}.",
        f"Expected was the server {server}." if answer else "Nobody could use the stack like that.",
        "./stack logs nginx",
    )


def require_containers(project):
    """The project's containers, or a StackError if there are none."""
    found = compose.containers(project)
    if not found:
        raise StackError("The stack is not running.", "It has no containers: there is nothing to show.", "./stack up")
    return found
