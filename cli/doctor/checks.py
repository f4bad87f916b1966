"""The checks of ./stack doctor: the state of the host and of the running stack, and how to correct it.

A check is a function of the gathered facts. It returns its finding if there is no problem, and otherwise raises
Failure or Doubt with the finding and the fix. The project's own files are not checked here: the tests do that.
"""

import ipaddress

from cli import sudo
from deploy import resources
from deploy.settings import MAX_BACKLOG

CHECKS = {}  # name → function, in the order of the report

MIN_OPEN_FILES = 8192  # two for each of Nginx's 4,096 connections (nginx/nginx.conf)
MIN_CERTIFICATE_DAYS = 14
MAX_PACKAGE_DAYS = 30
POSTGRES_MAX_CONNECTIONS = 100  # PostgreSQL's default
MIN_REQUESTS = 20  # in the access log, to judge the proxies by


class Finding(Exception):
    """A problem, and how to correct it."""

    level = ""

    def __init__(self, finding, fix):
        super().__init__(finding, fix)
        self.finding, self.fix = finding, fix


class Failure(Finding):
    """A finding that is wrong in any case; an error in the report."""

    level = "error"


class Doubt(Finding):
    """A finding that may be intended; a warning in the report."""

    level = "warning"


def check(name):
    """Register a function as the check of this name."""

    def register(function):
        CHECKS[name] = function
        return function

    return register


def _is_private(address):
    return ipaddress.ip_address(address).is_private


def _setting(facts, name, service="web"):
    return facts.in_container[service]["settings"][name]


# --- settings ---------------------------------------------------------------------------------------------------------


@check("settings")
def valid_settings(facts):
    """The settings in the shell and in .env are valid: ./stack up would start the stack with them."""
    if facts.setting_errors:
        raise Failure(
            "; ".join(error.error for error in facts.setting_errors),
            "; ".join(error.fix for error in facts.setting_errors) + "; then: ./stack up",
        )
    return "valid, as ./stack up would use them"


# --- containers -------------------------------------------------------------------------------------------------------


@check("containers")
def container_health(facts):
    """Nginx and web run and are healthy."""
    for service in ("nginx", "web"):
        if service not in facts.inspected:
            raise Failure(f"no {service} container exists", "./stack up")
        state = facts.inspected[service]["State"]
        health = state.get("Health", {}).get("Status")
        if state["Status"] != "running" or health == "unhealthy":
            raise Failure(f"{service} is {health or state['Status']}", f"./stack logs {service}")
        error = facts.in_container[service].get("error")
        if error:
            raise Failure(f"no command can be run in {service}: {error}", f"./stack logs {service}")
    return "nginx and web are running and healthy"


@check("restarts")
def restarts(facts):
    """Docker has not restarted a container."""
    counts = {
        service: inspected["RestartCount"]
        for service, inspected in facts.inspected.items()
        if inspected["RestartCount"]
    }
    if counts:
        listed = ", ".join(f"{service} (restarts: {count})" for service, count in counts.items())
        raise Doubt(f"Docker has restarted {listed}", f"./stack logs {next(iter(counts))}")
    return "none since the containers were created"


@check("migrations")
def migrations(facts):
    """The last migrations have succeeded."""
    status = facts.inspected.get("migrate", {}).get("State", {}).get("ExitCode")
    if status:
        raise Failure(f"the last run exited with status {status}", "./stack logs migrate")
    return "the last run succeeded"


@check("packages")
def packages(facts):
    """The Debian packages of the images are not so old that security fixes are likely to be missing."""
    updated = min(facts.in_container[service]["packages_updated"] for service in ("nginx", "web"))
    days = int((facts.now - updated) // 86400)
    fix = "./stack release --upgrade && ./stack up"
    if not updated:
        raise Doubt("the images were built before their packages had a date", fix)
    if days > MAX_PACKAGE_DAYS:
        raise Doubt(f"Debian's packages in the images are {days} days old: security fixes since then are missing", fix)
    return f"Debian's packages in the images are {days} days old"


# --- requests ---------------------------------------------------------------------------------------------------------


@check("socket")
def upstream_socket(facts):
    """Nginx can connect to the socket of the active container."""
    error = facts.in_container["nginx"]["connect_error"]
    if error:
        raise Failure(f"Nginx cannot connect to the app's socket: {error}", "./stack up   (then: ./stack logs web)")
    return "Nginx can connect to the active container"


@check("responses")
def responses(facts):
    """/healthz answers 200, and the front page is not a server error."""
    if not facts.pages:
        return "not checked: no port is published"
    liveness = facts.pages["liveness"].status
    if liveness in (301, 302, 307, 308):
        raise Failure(
            f"/healthz answers {liveness}, so health checks fail", "exclude /healthz from redirects to https in the app"
        )
    if liveness != 200:
        raise Failure(f"/healthz answers {liveness or 'nothing'}", "./stack logs web")
    front_page = facts.pages["front page"].status
    if front_page >= 500:
        raise Failure(f"/ answers {front_page}", "./stack logs web")
    return f"/healthz answers 200, / answers {front_page or 'nothing'}"


@check("shared settings")
def shared_settings(facts):
    """Nginx and web were started with the same values of the settings that both read."""
    for name in ("MAX_BODY_SIZE", "REQUEST_TIMEOUT", "TRUSTED_PROXIES"):
        nginx, web = (_setting(facts, name, service) for service in ("nginx", "web"))
        if nginx != web:
            raise Failure(f"{name} is {nginx} in nginx, but {web} in web", "./stack up")
    return "nginx and web use the same values"


@check("trusted proxies")
def trusted_proxies(facts):
    """TRUSTED_PROXIES fits the X-Forwarded-For headers of the access log."""
    trusted = int(_setting(facts, "TRUSTED_PROXIES", "nginx"))
    requests = [line for line in facts.access_log if line.get("path") not in ("/healthz", "/readyz")]
    if len(requests) < MIN_REQUESTS:
        return f"TRUSTED_PROXIES={trusted}; not checked: fewer than {MIN_REQUESTS} requests in the log"
    proxies = [line["forwarded_for"].count(",") + 1 for line in requests if line.get("forwarded_for")]
    # Any client can send the header. What a proxy on this machine or in its network sends comes from a private address.
    if trusted <= 1 and len(proxies) > len(requests) / 2 and all(_is_private(line["client"]) for line in requests):
        count = max(set(proxies), key=proxies.count)
        raise Doubt(
            f"TRUSTED_PROXIES is {trusted}, but most requests seem to pass {count} more: all clients would share the "
            "address of the proxy, and links lack https",
            f"TRUSTED_PROXIES={count + 1} in .env, then: ./stack up   (only if you run these proxies: any client can "
            "send the header, and with a number that is too high choose its address)",
        )
    if trusted > 1 and len(proxies) < len(requests) / 2:
        raise Failure(
            f"TRUSTED_PROXIES is {trusted}, but most requests pass no other proxy: clients can forge their address",
            "TRUSTED_PROXIES=1 in .env, then: ./stack up",
        )
    clients = {line["client"] for line in requests}
    if trusted <= 1 and len(requests) > 200 and len(clients) == 1:
        raise Doubt(
            f"all {len(requests)} requests came from {clients.pop()}: a proxy without X-Forwarded-For, or Docker's own",
            "configure the proxy to send X-Forwarded-For, or set CLIENT_CONNECTIONS=0 in .env, then: ./stack up",
        )
    return f"TRUSTED_PROXIES={trusted} fits the headers of {len(requests)} requests"


@check("published port")
def published_port(facts):
    """The port is open to the proxy alone if there is one, and clients over IPv6 keep their addresses."""
    network = facts.inspected.get("nginx", {}).get("NetworkSettings", {})
    bindings = (network.get("Ports") or {}).get("8080/tcp") or []
    addresses = [binding["HostIp"] for binding in bindings]
    if not addresses:
        return "no port is published"
    trusted = int(_setting(facts, "TRUSTED_PROXIES", "nginx"))
    if trusted > 1 and {"0.0.0.0", "::", ""} & set(addresses):
        raise Doubt(
            f"TRUSTED_PROXIES is {trusted}, but the port is open on all addresses: clients that connect past the proxy "
            "can forge their address and scheme",
            "HTTP_BIND=127.0.0.1 in .env (the address that the proxy connects to), then: ./stack up",
        )
    has_ipv6 = any(each.get("GlobalIPv6Address") for each in network.get("Networks", {}).values())
    if any(":" in address for address in addresses) and not has_ipv6:
        raise Doubt(
            "the port is published on IPv6, but the network has none: Docker's proxy relays these connections, so all "
            "IPv6 clients have one address and share the limits of one client",
            "HTTP_BIND=0.0.0.0 in .env (or enable_ipv6 for the network edge, with Engine 27), then: ./stack up",
        )
    return f"published on {', '.join(addresses)}" + (", with IPv6 in the network" if has_ipv6 else ", IPv4 alone")


@check("allowed hosts")
def allowed_hosts(facts):
    """ALLOWED_HOSTS is set."""
    allowed = _setting(facts, "ALLOWED_HOSTS")
    if allowed == "*":
        raise Doubt(
            "every host name is accepted, so clients can put any host into the links of a page",
            "ALLOWED_HOSTS=app.example.com in .env, then: ./stack up",
        )
    return allowed


@check("certificate")
def certificate(facts):
    """The certificate of the public URL is valid for some time."""
    if facts.certificate_error:
        raise Failure(facts.certificate_error, "renew the certificate, or correct the proxy in front of this stack")
    if facts.certificate_days is None:
        return "not checked; to check it: ./stack doctor https://app.example.com"
    if facts.certificate_days < MIN_CERTIFICATE_DAYS:
        raise Failure(
            f"it expires in {facts.certificate_days:.0f} days",
            "renew it on the proxy that terminates TLS, and check its automatic renewal",
        )
    return f"valid for {facts.certificate_days:.0f} days"


# --- resources --------------------------------------------------------------------------------------------------------


@check("request queue")
def request_queue(facts):
    """The kernel allows a backlog of WEB_QUEUE connections."""
    wanted, limit = int(_setting(facts, "WEB_QUEUE")), facts.in_container["web"]["somaxconn"]
    if limit < wanted:
        # A sysctl on the host has no effect: each network namespace starts with the kernel's default.
        raise Failure(
            f"WEB_QUEUE is {wanted}, but the kernel limits it to {limit} (net.core.somaxconn)",
            f"WEB_QUEUE={limit} in .env, or sysctls: {{net.core.somaxconn: {MAX_BACKLOG}}} for web in "
            "docker-compose.yml; then: ./stack up",
        )
    return f"{wanted} requests can wait, the kernel allows {limit}"


@check("memory")
def memory(facts):
    """The memory limit of web suffices for its worker processes, and the kernel has killed none."""
    killed, used = facts.in_container["web"]["oom_kills"], facts.in_container["web"]["memory"]
    if killed:
        raise Failure(
            f"out of memory: the kernel has killed processes of web (kills: {killed})",
            "a higher WEB_MEMORY or a lower WEB_CONCURRENCY in .env, then: ./stack up",
        )
    workers, limit = int(_setting(facts, "WEB_CONCURRENCY")), facts.inspected["web"]["HostConfig"]["Memory"]
    if not limit:
        raise Doubt(
            "web has no memory limit and could exhaust the memory of the host",
            "WEB_MEMORY=512m in .env, then: ./stack up",
        )
    if workers * resources.MEMORY_PER_WORKER > limit:
        raise Failure(
            f"{workers} workers in {limit // 2**20} MB: less than {resources.MEMORY_PER_WORKER // 2**20} MB each",
            f"WEB_CONCURRENCY={limit // resources.MEMORY_PER_WORKER} or a higher WEB_MEMORY in .env, then: ./stack up",
        )
    if used > 0.9 * limit:
        raise Doubt(
            f"{used * 100 // limit} % of {limit // 2**20} MB are in use",
            "a higher WEB_MEMORY in .env, then: ./stack up",
        )
    return f"{workers} workers use {used // 2**20} of {limit // 2**20} MB"


@check("open files")
def open_files(facts):
    """Nginx may open enough files for its connections."""
    limit = facts.in_container["nginx"]["open_files"]
    if limit < MIN_OPEN_FILES:
        raise Failure(
            f"Nginx may open {limit} files, but needs {MIN_OPEN_FILES} for its connections",
            "ulimits: {nofile: 65536} for nginx in docker-compose.yml, then: ./stack up",
        )
    return f"Nginx may open {limit} files"


@check("disk")
def disk(facts):
    """The disk of the Docker engine and the writable folders of the containers have free space."""
    if facts.disk:
        free, size = facts.disk
        if free < max(2**30, size // 20):
            raise Failure(
                f"{free / 2**30:.1f} of {size / 2**30:.0f} GB are free on the disk of Docker's volumes",
                "docker system df   (shows what uses the space; docker image prune --all removes unused images)",
            )
    for facts_in_container in facts.in_container.values():
        for path, folder in facts_in_container.get("folders", {}).items():
            if folder["free"] < min(64 * 2**20, folder["size"] // 2):
                raise Failure(f"{path} has only {folder['free'] // 2**20} MB left", "free some space on its volume")
    if not facts.disk:
        return "the folders of the containers have free space"
    return f"{free / 2**30:.0f} of {size / 2**30:.0f} GB are free"


@check("volume owners")
def volume_owners(facts):
    """The folders of the app belong to the user of its processes."""
    user, folders = facts.in_container["web"]["uid"], facts.in_container["web"]["folders"]
    for name in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY", "ASSETS_DIRECTORY"):
        path = _setting(facts, name)
        owner = folders[path]["owner"] if path in folders else None
        if owner != user:
            raise Failure(
                f"{path} belongs to uid {owner}, but the app runs as uid {user}"
                if owner is not None
                else f"{path} does not exist",
                f"docker compose run --rm --user 0 --cap-add CHOWN web chown -R {user}:{user} {path}",
            )
    return "the folders of the app belong to its user"


@check("secret key")
def secret_key(facts):
    """SECRET_KEY is long enough, whether set or generated."""
    length = facts.in_container["web"]["secret_length"]
    if length < 16:
        raise Failure(
            f"it has only {length} characters: sessions could be forged" if length else "no secret key exists",
            "remove SECRET_KEY from .env, then: ./stack up   (generates one; all users have to log in again)",
        )
    return f"{length} characters, the same for all workers"


@check("database connections")
def database_connections(facts):
    """PostgreSQL accepts the connections of two containers, as during a release."""
    kind = facts.in_container["web"]["database"]
    if kind.startswith("sqlite"):
        return "SQLite in the state volume"
    # Up to ten for each worker (app/database.py), and twice the workers while two containers run.
    needed = int(_setting(facts, "WEB_CONCURRENCY")) * min(10, int(_setting(facts, "WEB_THREADS"))) * 2 + 3
    if needed > POSTGRES_MAX_CONNECTIONS:
        raise Doubt(
            f"a release may need {needed} connections; PostgreSQL's default is {POSTGRES_MAX_CONNECTIONS}",
            f"max_connections = {needed} in postgresql.conf, or a lower WEB_CONCURRENCY or WEB_THREADS in .env",
        )
    return f"{kind}: at most {needed} during a release"


@check("clock")
def clock(facts):
    """The clock of this machine is synchronized."""
    if facts.clock_is_behind:
        raise Failure(
            "the system clock is behind the date of this release, so sessions and certificates seem invalid",
            sudo.shell_line("timedatectl set-ntp true"),
        )
    if facts.clock_is_synchronized is None:
        return "not checked: only Linux shows whether it is synchronized"
    if not facts.clock_is_synchronized:
        raise Doubt("the system clock is not synchronized (NTP)", sudo.shell_line("timedatectl set-ntp true"))
    return "synchronized"
