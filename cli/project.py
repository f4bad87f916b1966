"""Checks before the stack is started, and questions to the running stack."""

import json
import os
import time
import urllib.request

from cli import compose, dotenv, ports
from cli.console import say
from deploy.errors import EXIT_CONFIG, StackError, StackErrors
from deploy.settings import load_settings, server_names

ANSWER_LIMIT = 15  # seconds; healthy containers answer at once, a handover takes about one second


def check_server(name):
    """Raise StackError if there is no such WSGI server."""
    if name not in server_names():
        raise StackError(
            f"There is no WSGI server '{name}'.",
            f"The WSGI servers are the folders of deploy/servers: {', '.join(server_names()) or 'none'}.",
            f"./stack up --server {server_names()[0] if server_names() else 'NAME'}",
            EXIT_CONFIG,
        )


def save_server(server):
    """Write WSGI_SERVER to .env, so that plain `docker compose up` uses the same server, and report it."""
    is_saved = dotenv.values().get("WSGI_SERVER") == server
    if not dotenv.set_value("WSGI_SERVER", server):
        say("  .env sets WSGI_SERVER more than once and was not changed: edit it, or the next start uses its value.")
    elif os.environ.get("WSGI_SERVER", server) != server:
        say(f"  WSGI_SERVER={server} was saved in .env, but your shell sets {os.environ['WSGI_SERVER']}: unset it.")
    elif not is_saved:
        say(f"  WSGI_SERVER={server} was saved in .env.")


def check_settings(config):
    """Check all settings, those of the containers and those of Compose, before anything is built or started."""
    errors = []
    for check in (lambda: load_settings(settings_values(config)), compose.load_host_settings):
        try:
            check()
        except StackErrors as raised:
            errors += raised.errors
    if errors:
        by_message = {error.error: error for error in errors}  # HTTP_PORT and HTTP_BIND are in both
        raise StackErrors(by_message.values())


def settings_values(config):
    """Return the settings that the containers of nginx and web get, by name.

    NAME_FILE is left out: the file is inside the container, where the entry point checks it.
    """
    services = [config["services"][name] for name in ("nginx", "web") if name in config["services"]]
    values = {name: value for service in services for name, value in (service.get("environment") or {}).items()}
    port = published_port(config)
    if port:
        # Compose shows an IPv6 address without the brackets that HTTP_BIND has.
        values |= {"HTTP_BIND": f"[{port[0]}]" if ":" in port[0] else port[0] or None, "HTTP_PORT": port[1]}
    return {name: str(value) for name, value in values.items() if value is not None and not name.endswith("_FILE")}


def web_environment(config):
    """Return the variables that are set for the service web."""
    variables = config["services"]["web"].get("environment") or {}
    return {name: value for name, value in variables.items() if value}


def published_port(config):
    """Return (address, port), as texts, that Nginx or Apache alone is published on; None if no port is published."""
    services = config["services"]
    by_target = {
        port.get("target"): (port.get("host_ip", ""), str(port.get("published", "0")))
        for port in services[compose.front_service(services)].get("ports") or []
    }
    return compose.front_port(by_target)


def check_port(config):
    """Raise StackError if another process listens on the published port."""
    published = published_port(config)
    if not published:
        return
    address, port = published[0], int(published[1])
    own = [port for container in compose.containers(config["name"]) for _, port in container.ports.values()]
    if port in (0, *own) or ports.is_free(port, address):
        return
    raise StackError(
        f"Port {port} is taken by {ports.describe_holder(port)}.",
        "The stack must listen on this port (HTTP_PORT).",
        f"HTTP_PORT={_next_free(port, address)} ./stack up   (or set HTTP_PORT in .env)",
    )


def _next_free(port, address):
    return next((higher for higher in range(port + 1, 65536) if ports.is_free(higher, address)), 0)


def fetch_liveness(url, timeout=3):
    """Return the response of /healthz as a dict; {} without a response."""
    # No proxy: a company's proxy cannot reach this machine's 127.0.0.1.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/healthz", timeout=timeout) as response:
            return json.load(response)
    except (OSError, ValueError):
        return {}


def await_liveness(url, server):
    """Return the response of /healthz as soon as it comes from this WSGI server, or from any if `server` is None."""
    deadline, answer = time.monotonic() + ANSWER_LIMIT, {}
    while time.monotonic() < deadline:
        answer = fetch_liveness(url)
        if answer and server in (None, answer.get("wsgi_server", server)):  # HEALTHZ_DETAILS may be off
            return answer
        time.sleep(0.2)
    if answer:
        raise StackError(
            f"{url}/healthz is answered by {answer.get('wsgi_server')}, not by {server}.",
            "The containers are healthy, but Nginx still sends requests to the previous web container.",
            "./stack status",
        )
    raise StackError(
        f"{url}/healthz does not answer.",
        f"The containers are healthy, but {url} cannot be reached from this machine.",
        "./stack logs nginx",
    )


def describe_answer(answer):
    """Describe a response of /healthz, or that there is none."""
    if not answer:
        return "does not answer; see ./stack logs"
    if "wsgi_server" not in answer:  # HEALTHZ_DETAILS is off
        return "answers"
    return f"answered by {answer['wsgi_server']}, release {answer.get('release')}"


def require_containers(project):
    """Return the project's containers, or raise StackError if it has none."""
    containers = compose.containers(project)
    if not containers:
        raise StackError("The stack is not running.", f"The project '{project}' has no containers.", "./stack up")
    return containers
