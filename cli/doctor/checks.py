"""The checks: each judges one thing that stacks of this kind fail by, and says what it found and what to do.

A check is a function with one argument, the facts; its docstring's first line is its name. It returns what it found,
or raises Bad or Doubtful with that and with what to type.
"""

from cli import sudo
from deploy import resources
from deploy.settings import MAX_BACKLOG

CHECKS = []


class Doubtful(Exception):
    """Found, and perhaps meant so: `Doubtful(found, fix)`."""


class Bad(Doubtful):
    """Found, and wrong."""


def check(function):
    """Makes a function one of the checks; they run in the order of this file."""
    CHECKS.append(function)
    return function


def _setting(facts, name, service="web"):
    return facts.inside[service]["settings"][name]


# --- the containers ---------------------------------------------------------------------------------------------------


@check
def running(facts):
    """containers"""
    for service in ("nginx", "web"):
        if service not in facts.inspected:
            raise Bad(f"there is no {service} container", "./stack up")
        state = facts.inspected[service]["State"]
        if state["Status"] != "running" or state.get("Health", {}).get("Status") == "unhealthy":
            health = state.get("Health", {}).get("Status")
            raise Bad(f"{service} is {health or state['Status']}", f"./stack logs {service}")
        if "error" in facts.inside[service]:
            raise Bad(f"{service} can't be looked into: {facts.inside[service]['error']}", f"./stack logs {service}")
    return "nginx and web run and are healthy"


@check
def restarts(facts):
    """restarts"""
    again = {name: one["RestartCount"] for name, one in facts.inspected.items() if one["RestartCount"]}
    if again:
        told = ", ".join(f"{name} {count} times" for name, count in again.items())
        raise Doubtful(f"Docker has started again: {told}", f"./stack logs {next(iter(again))}")
    return "none since the containers were made"


@check
def migrated(facts):
    """migrations"""
    state = facts.inspected.get("migrate", {}).get("State", {})
    if state.get("ExitCode"):
        raise Bad(f"the last ones ended with status {state['ExitCode']}", "./stack logs migrate")
    return "the last ones ended well"


@check
def signals(facts):
    """stop signals"""
    wanted = {"nginx": "SIGQUIT", "web": "SIGTERM"}
    for service, signal in wanted.items():
        found = facts.inspected[service]["Config"].get("StopSignal") or "SIGTERM"
        if found != signal:
            raise Bad(f"{service} is stopped by {found}: requests in flight would be cut", "./stack up   (builds anew)")
    return "each container gets its own graceful one"


@check
def grace(facts):
    """time to stop"""
    for service in ("nginx", "web"):
        seconds = facts.inspected[service]["Config"].get("StopTimeout") or 10
        needed = int(_setting(facts, "SHUTDOWN_GRACE"))
        if seconds <= needed:
            raise Bad(
                f"Docker kills {service} after {seconds} s, SHUTDOWN_GRACE is {needed} s",
                "docker-compose.yml: stop_grace_period: 65s",
            )
    return f"{needed} s for requests in flight, then Docker waits until {seconds} s"


@check
def sealed(facts):
    """read-only roots"""
    open_ones = [name for name in ("nginx", "web") if not facts.inside[name]["root_is_read_only"]]
    if open_ones:
        raise Bad(f"{' and '.join(open_ones)} can be written to", "docker-compose.yml: read_only: true")
    return "nothing but volumes and /tmp can be written"


# --- the way of a request ---------------------------------------------------------------------------------------------


@check
def way_to_web(facts):
    """socket"""
    wrong = facts.inside["nginx"]["no_way_to_web"]
    if wrong:
        raise Bad(f"Nginx can't reach the app by its socket: {wrong}", "./stack up; ./stack logs web")
    return "Nginx reaches the serving container"


@check
def alive(facts):
    """answer"""
    status = facts.pages["alive"].status if "alive" in facts.pages else 0
    if status in (301, 302, 307, 308):
        raise Bad(
            "/healthz is redirected: what asks for it sees no health",
            "leave /healthz out of what sends people to https",
        )
    if status != 200:
        raise Bad(f"/healthz gives {status or 'nothing'}", "./stack logs web")
    if facts.pages["first"].status >= 500:
        raise Bad(f"/ gives {facts.pages['first'].status}", "./stack logs web")
    return f"/healthz 200, / {facts.pages['first'].status}"


@check
def large_headers(facts):
    """large cookies"""
    status = facts.pages["large cookie"].status
    if status != 200:
        raise Bad(f"a cookie of 8 kB gives {status or 'nothing'}", "./stack prove -k headers   (tells which limit)")
    return "8 kB reach the app"


@check
def lost_files(facts):
    """missing static files"""
    answer = facts.pages["no file"]
    if answer.status != 404 or "immutable" in answer.headers.get("cache-control", ""):
        kept = answer.headers.get("cache-control", "no Cache-Control")
        raise Bad(
            f"a file that is not there gives {answer.status}, {kept}: caches may keep that over the next release",
            "./stack up   (with the files of nginx/)",
        )
    return "404, not to be kept"


@check
def same_limits(facts):
    """limits"""
    for name in ("MAX_BODY_SIZE", "REQUEST_TIMEOUT", "TRUSTED_PROXIES"):
        values = {service: _setting(facts, name, service) for service in ("nginx", "web")}
        if len(set(values.values())) > 1:
            told = f"{name} is {values['nginx']} in nginx and {values['web']} in web"
            raise Bad(told, "./stack up   (both read .env anew)")
    return "nginx and web keep the same ones"


@check
def proxies(facts):
    """proxies in front"""
    trusted = int(_setting(facts, "TRUSTED_PROXIES", "nginx"))
    lines = [line for line in facts.access_log if line.get("path") not in ("/healthz", "/readyz")]
    if len(lines) < 20:
        return f"TRUSTED_PROXIES={trusted}; too few requests in the log to judge it"
    forwarded = [line["forwarded_for"].count(",") + 1 for line in lines if line.get("forwarded_for")]
    if trusted <= 1 and len(forwarded) > len(lines) / 2:
        count = max(set(forwarded), key=forwarded.count)
        raise Bad(
            f"most requests come through {count} more, but TRUSTED_PROXIES is {trusted}: all clients have the "
            "proxy's address, and links lack https",
            f"TRUSTED_PROXIES={count + 1} in .env, then ./stack up",
        )
    if trusted > 1 and len(forwarded) < len(lines) / 2:
        raise Bad(
            f"TRUSTED_PROXIES is {trusted}, but most requests come through none: an address can be invented",
            "TRUSTED_PROXIES=1 in .env, then ./stack up",
        )
    clients = {line["client"] for line in lines}
    if trusted <= 1 and len(lines) > 200 and len(clients) == 1:
        raise Doubtful(
            f"{len(lines)} requests came from {clients.pop()} alone: a proxy that names nobody, or Docker's",
            "let the proxy send X-Forwarded-For, or CLIENT_CONNECTIONS=0 in .env",
        )
    return f"TRUSTED_PROXIES={trusted} fits the headers of {len(lines)} requests"


@check
def hosts(facts):
    """host names"""
    allowed = _setting(facts, "ALLOWED_HOSTS")
    if allowed == "*":
        raise Doubtful("any is served: a made-up one would stand in links", "ALLOWED_HOSTS=app.example.com in .env")
    return allowed


@check
def certificate(facts):
    """certificate"""
    if facts.certificate_error:
        raise Bad(facts.certificate_error, "renew it, or mend what stands in front of this stack")
    if facts.certificate_days is None:
        return "not asked: ./stack doctor https://app.example.com"
    if facts.certificate_days < 14:
        raise Bad(f"it ends in {facts.certificate_days:.0f} days", "renew it where TLS ends, and see why nobody did")
    return f"good for {facts.certificate_days:.0f} days"


# --- what it may use --------------------------------------------------------------------------------------------------


@check
def queue(facts):
    """queue"""
    wanted, limit = int(_setting(facts, "WEB_QUEUE")), facts.inside["web"]["somaxconn"]
    if limit < wanted:
        # Not by sysctl on the host: a container has a value of its own, which begins with the kernel's default.
        raise Bad(
            f"the kernel allows {limit} (net.core.somaxconn), WEB_QUEUE is {wanted}",
            f"WEB_QUEUE={limit} in .env, or for web in docker-compose.yml "
            f"sysctls: {{net.core.somaxconn: {MAX_BACKLOG}}}; then ./stack up",
        )
    return f"{wanted} requests may wait, the kernel allows {limit}"


@check
def heartbeat(facts):
    """/dev/shm"""
    if facts.inside["web"]["shm"] != "tmpfs":
        kind = facts.inside["web"]["shm"] or "not there"
        raise Bad(
            f"it is {kind}, not memory: workers would seem to freeze on a slow disk",
            "leave /dev/shm of the web container as Docker makes it",
        )
    return "memory"


@check
def workers(facts):
    """workers and memory"""
    inside = facts.inside["web"]
    if inside["out_of_memory"]:
        raise Bad(
            f"the kernel has ended {inside['out_of_memory']} processes of web for lack of memory",
            "docker-compose.yml: a higher mem_limit, or WEB_CONCURRENCY=1 in .env",
        )
    number, limit = int(_setting(facts, "WEB_CONCURRENCY")), facts.inspected["web"]["HostConfig"]["Memory"]
    if not limit:
        raise Doubtful("web has no memory limit: it can take all of the host's", "docker-compose.yml: mem_limit: 512m")
    if number * resources.MEMORY_PER_WORKER > limit:
        fitting = limit // resources.MEMORY_PER_WORKER
        raise Bad(f"{number} workers in {limit // 2**20} MB", f"WEB_CONCURRENCY={fitting} in .env")
    if inside["memory"] > 0.9 * limit:
        raise Doubtful(
            f"{inside['memory'] * 100 // limit} % of {limit // 2**20} MB are in use",
            "docker-compose.yml: a higher mem_limit for web",
        )
    return f"{number} workers, {inside['memory'] // 2**20} of {limit // 2**20} MB in use"


@check
def open_files(facts):
    """open files"""
    limit = facts.inside["nginx"]["files"]
    if limit < 8192:
        raise Bad(
            f"Nginx may have {limit}, and needs two for each of 4,096 connections",
            "docker-compose.yml: ulimits: {nofile: 65536} for nginx",
        )
    return f"{limit} for each process"


@check
def disk(facts):
    """disk"""
    free, size = facts.disk
    if free < max(2**30, size // 20):
        raise Bad(
            f"{free / 2**30:.1f} GB of {size / 2**30:.0f} GB are free where Docker keeps its volumes",
            "docker image prune; ./stack logs says whether the app writes too much",
        )
    small = {
        name: one
        for inside in facts.inside.values()
        for name, one in inside["folders"].items()
        if one["free"] < min(64 * 2**20, one["size"] // 2)
    }
    if small:
        name, one = next(iter(small.items()))
        raise Bad(f"{name} has {one['free'] // 2**20} MB left", "make room, or give its volume more")
    return f"{free / 2**30:.0f} of {size / 2**30:.0f} GB free"


@check
def owners(facts):
    """volumes' owners"""
    own = ("/var/lib/tripod", "/run/tripod", "/var/lib/tripod-assets")
    for name in own:
        owner = facts.inside["web"]["folders"].get(name, {}).get("owner")
        if owner != 10001:
            raise Bad(
                f"{name} belongs to {'nobody' if owner is None else f'uid {owner}'}, the app is uid 10001",
                f"docker compose run --rm --user 0 --cap-add CHOWN web chown -R 10001:10001 {name}",
            )
    return "the app's folders are the app's"


@check
def secret(facts):
    """secret key"""
    if facts.inside["web"]["secret_length"] < 16:
        raise Bad(
            "there is none, or a short one: sessions can be forged or end with each start",
            "leave SECRET_KEY out of .env, and ./stack up makes a good one",
        )
    return "one for all workers and releases"


@check
def database(facts):
    """database"""
    kind = facts.inside["web"]["database"]
    if kind.startswith("sqlite"):
        return "SQLite in the state volume"
    # app/database.py: ten connections at most for each worker, and twice the workers while a release overlaps.
    needed = int(_setting(facts, "WEB_CONCURRENCY")) * min(10, int(_setting(facts, "WEB_THREADS"))) * 2 + 3
    if needed > 100:
        raise Doubtful(
            f"a release may need {needed} connections; PostgreSQL's default is 100",
            f"max_connections = {needed} there, or fewer WEB_CONCURRENCY * WEB_THREADS",
        )
    return f"{kind}, {needed} connections at most during a release"


@check
def clock(facts):
    """clock"""
    if facts.clock_is_behind:
        raise Bad(
            "it is behind the date of this very release: sessions and certificates go wrong",
            sudo.shell_line("timedatectl set-ntp true"),
        )
    if not facts.clock_is_kept:
        raise Doubtful(
            "nobody keeps it in step, as far as the kernel knows", sudo.shell_line("timedatectl set-ntp true")
        )
    return "kept in step"
